package main

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tollgate/admin"
)

// TestWaitsForTheGateway issues a key while nobody listens yet, nor has a token been made.
func TestWaitsForTheGateway(t *testing.T) {
	d := newDesk(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	_ = ln.Close()
	token, err := os.ReadFile(filepath.Join(d.operate[3], admin.TokenFile))
	if err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "data")
	t.Setenv("TOLLGATE_ADMIN_TOKEN", "")
	b := serveInBackground(t, "keys", "create", "--tenant", "acme", "--name", "ci", "-o", "json", "--admin", address, "--data-dir", fresh)

	line := b.stderr.await(t, "tollgate: waiting up to 30s: no admin token: ")
	if !strings.Contains(line, fresh) {
		t.Errorf("it does not say what it waits for: %s", line)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(fresh, admin.TokenFile), token, 0o600); err != nil {
		t.Fatal(err)
	}
	b.stderr.await(t, "tollgate: waiting up to 30s: cannot reach the admin API at http://"+address)
	if ln, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(d)
	_ = server.Listener.Close()
	server.Listener = ln
	server.Start()
	defer server.Close()
	b.stdout.await(t, `"secret": "tg_`)
	if got := b.stop(); got.code != exitDone || strings.Count(got.stderr, "\n") != 2 || len(d.all()) != 1 {
		t.Errorf("%d keys, and %+v", len(d.all()), got)
	}
}

// TestWaitsForTheStore is told twice that the key store is not there, and then issues its key.
func TestWaitsForTheStore(t *testing.T) {
	d := newDesk(t)
	tries := 0
	d.intercept(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
		if tries++; tries <= 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"error":{"message":"the key store cannot do this at the moment: the log says why","type":"server_error","param":null,"code":"key_store_unavailable"}}`))
			return
		}
		api.ServeHTTP(w, r)
	})
	got := d.run("", "keys", "create", "--tenant", "acme", "--name", "ci", "--expires", "1h")
	if got.code != exitDone || got.stderr != "tollgate: waiting up to 30s: the key store cannot do this at the moment: the log says why\n" || len(d.all()) != 1 {
		t.Errorf("%+v", got)
	}
	if changes := d.changes(); len(changes) != 2 || changes[0] != changes[1] {
		t.Errorf("two calls are not the same:\n%s", strings.Join(changes, "\n"))
	}
	tries = 0
	d.fails(exitFailed, "the key store cannot do this at the moment: the log says why. It is not known whether the key was issued: "+
		"where tollgate keys list shows it, delete it and issue another", "keys", "create", "--tenant", "acme", "--name", "other", "--wait", "0s")
}

// TestAnswerLost loses the answer after the key was issued, or rotated: the same command comes back with it.
func TestAnswerLost(t *testing.T) {
	d := newDesk(t)
	lose := 0
	d.intercept(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
		if lose--; lose < 0 {
			api.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	})
	lose = 1
	got := d.run("", "keys", "create", "--tenant", "acme", "--name", "ci", "--expires", "1h")
	if len(d.all()) != 1 {
		t.Fatalf("%d keys were issued: %+v", len(d.all()), got)
	}
	k := d.all()[0]
	secret := strings.Fields(strings.Split(got.stdout, "\n")[1])[1]
	if got.code != exitDone || !strings.Contains(got.stdout, k.ID) || !d.works(secret) {
		t.Errorf("the secret works: %v: %+v", d.works(secret), got)
	}
	lose = 1
	if _, secret := d.issued("keys", "rotate", k.ID, "--grace", "1h"); !d.works(secret) || last4(secret) != d.all()[0].Last4 {
		t.Error("the secret after a lost answer is not the key's")
	}
	for _, command := range [][]string{{"update", k.ID, "--burst", "2", "--requests-per-minute", "5"}, {"revoke", k.ID}, {"delete", k.ID}, {"list"}} {
		lose = 1
		if got := d.run("", append([]string{"keys"}, command...)...); got.code != exitDone || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("keys %s: %+v", command, got)
		}
	}
	lose = 1
	got = d.run("", "keys", "rotate", k.ID, "--wait", "0s")
	if got.code != exitFailed || !strings.HasSuffix(got.stderr, ". It is not known whether the key was rotated: rotate it once more\n") {
		t.Errorf("%+v", got)
	}
}

// TestSecretLostWithTheTable says which key's secret nobody has seen.
func TestSecretLostWithTheTable(t *testing.T) {
	d := newDesk(t)
	t.Setenv("TOLLGATE_ADMIN_TOKEN", "")
	err := run(t.Context(), d.args("keys", "create", "--tenant", "acme", "--name", "ci"), full{}, full{})
	want := "the secret of " + d.all()[0].ID + " could not be shown: rotate that key, or delete it: no space left"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// full is an output that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }
