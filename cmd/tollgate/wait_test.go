package main

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

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
	if ln, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(d)
	_ = server.Listener.Close()
	server.Listener = ln
	server.Start()
	defer server.Close()
	b.stdout.await(t, `"secret": "tg_`)
	if got := b.stop(); got.code != exitDone || strings.Count(got.stderr, "\n") != 1 || len(d.all()) != 1 {
		t.Errorf("%d keys, and %+v", len(d.all()), got)
	}
}

// TestWaitsInVain says once why it waits, and then that nothing came of it.
func TestWaitsInVain(t *testing.T) {
	empty := t.TempDir()
	got := tollgate(t, "keys", "list", "--data-dir", empty, "--wait", "300ms")
	want := "tollgate: waiting up to 300ms: no admin token: "
	if got.code != exitFailed || !strings.HasPrefix(got.stderr, want) || !strings.HasSuffix(got.stderr, "\ntollgate: no admin token came within 300ms\n") || strings.Count(got.stderr, empty) != 1 {
		t.Errorf("%+v", got)
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
	got = d.run("", "keys", "create", "--tenant", "acme", "--name", "other", "--wait", "0s")
	if got.code != exitFailed || !strings.Contains(got.stdout, "tg_") || got.stderr != "tollgate: the key store cannot do this at the moment: the log says why. "+createUnsettled {
		t.Errorf("%+v", got)
	}
}

const createUnsettled = "It is not known whether the key was issued, with the secret that was shown: tollgate keys import --secret-stdin with this secret " +
	"and the same flags makes the same call again, and changes nothing where it was done\n"

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
	if got.code != exitFailed || !strings.Contains(got.stderr, ". It is not known whether the key was rotated, to the secret that was shown: tollgate keys show "+k.ID+" says that its secret ends in ") {
		t.Errorf("%+v", got)
	}
}

// vanish puts a gateway in front of the desk that makes one change, loses its answer, and is gone.
func (d *desk) vanish(run func() outcome) outcome {
	d.Helper()
	front := httptest.NewUnstartedServer(nil)
	front.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			d.handler.ServeHTTP(w, r)
			return
		}
		d.handler.ServeHTTP(httptest.NewRecorder(), r)
		_ = front.Listener.Close()
		panic(http.ErrAbortHandler)
	})
	front.Start()
	defer front.Close()
	address := d.operate[1]
	defer func() { d.operate[1] = address }()
	d.operate[1] = front.URL
	return run()
}

// TestAnswerLostWithTheGateway loses the answer, and then the gateway: the secret that was issued is shown or
// kept, although nobody listened at the last try.
func TestAnswerLostWithTheGateway(t *testing.T) {
	d := newDesk(t)
	id, _ := d.issued("keys", "create", "--tenant", "acme", "--name", "old")
	kept := filepath.Join(t.TempDir(), "secrets.jsonl")
	form := regexp.MustCompile(`tg_[0-9A-Za-z]{38}`)
	f := func(stdin, shown, hint string, args ...string) (secret string) {
		t.Helper()
		got := d.vanish(func() outcome { return d.run(stdin, append([]string{"keys"}, append(args, "--wait", "300ms")...)...) })
		text := got.stdout
		if strings.Contains(strings.Join(args, " "), kept) {
			file, err := os.ReadFile(kept)
			if err != nil || form.MatchString(text) {
				t.Errorf("%v: %+v", err, got)
			}
			text = string(file)
		}
		secret = form.FindString(text)
		if got.code != exitFailed || !strings.Contains(got.stdout, shown) || !strings.Contains(got.stderr, "connection refused") || !strings.Contains(got.stderr, hint) || !d.works(secret) {
			t.Errorf("keys %s: the secret works: %v: %+v", args, d.works(secret), got)
		}
		return secret
	}
	shown := f("", "result  unknown\ntenant  acme\nname    a\nsecret  tg_", createUnsettled, "create", "--tenant", "acme", "--name", "a")
	if again := d.run(shown, "keys", "import", "--tenant", "acme", "--name", "a", "--secret-stdin"); again.code != exitDone || len(d.all()) != 2 {
		t.Errorf("the same call again: %d keys: %+v", len(d.all()), again)
	}
	f("", `"result": "unknown",`, createUnsettled, "create", "--tenant", "acme", "--name", "b", "-o", "json")
	f("", "result  unknown\nid      "+id+"\nsecret  tg_", "whether the key was rotated, to the secret that was shown: tollgate keys show "+id, "rotate", id)
	f("", `"secret": "tg_`, "whether the key was rotated", "rotate", id, "-o", "json")
	f("keys: [{tenant: acme, name: c}]", `"result": "unknown",`, "Keep the secret that is shown for this key", "apply", "-f", "-", "-o", "json")
	f("keys: [{tenant: acme, name: d}]", "unknown  key.create  acme    d", "its secret is in the last line of --secrets", "apply", "-f", "-", "--secrets", kept)

	// On a terminal it is in the table.
	var stdout bytes.Buffer
	file, err := readKeysFile("keys.yaml", []byte("keys: [{tenant: acme, name: e}]"))
	if err != nil {
		t.Fatal(err)
	}
	d.vanish(func() outcome {
		a := &applying{operator: &operator{stdout: &stdout, address: d.operate[1], dataDir: d.operate[3]}, terminal: func() bool { return true }}
		client, err := a.client()
		if err == nil {
			err = a.run(t.Context(), client.Waiting(admin.Wait{Limit: 300 * time.Millisecond}), file)
		}
		if !admin.Unsettled(err) || !d.works(form.FindString(stdout.String())) {
			t.Errorf("%v\n%s", err, stdout.String())
		}
		return outcome{}
	})
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
