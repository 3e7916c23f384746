package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tollgate/admin"
	"tollgate/keys"
	"tollgate/ratelimit"
	"tollgate/store"
)

// desk is an operators' API over a real key store, and what a test may do to its answers.
type desk struct {
	served
	*testing.T
	directory *keys.Directory
	handler   http.Handler
	mu        sync.Mutex
	requests  []string // method, path and body of each
	// standing is where limits stand, of keys and tenants alike.
	standing ratelimit.Answer
	// between may answer in the API's place, or after it; see intercept.
	between func(w http.ResponseWriter, r *http.Request, api http.Handler)
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	data := t.TempDir()
	db, err := store.OpenBolt(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	keyStore, err := keys.NewBoltStore(db)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := admin.LoadTokens(admin.Config{}, data)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{T: t, directory: keys.New(keyStore, keys.Config{})}
	d.handler = admin.New(admin.Options{Keys: d.directory, Usage: &oracle{}, Limits: d, Tokens: tokens}).Handler()
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	d.operate = []string{"--admin", server.URL, "--data-dir", data}
	return d
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	d.mu.Lock()
	d.requests = append(d.requests, r.Method+" "+r.URL.String()+" "+string(body))
	d.mu.Unlock()
	d.mu.Lock()
	between := d.between
	d.mu.Unlock()
	if between != nil {
		between(w, r, d.handler)
		return
	}
	d.handler.ServeHTTP(w, r)
}

func (d *desk) Standing(context.Context, *keys.Key) ratelimit.Answer { return d.standing }

func (d *desk) TenantStanding(context.Context, string) ratelimit.Answer { return d.standing }

// intercept puts between into the API's place; nil: the API answers.
func (d *desk) intercept(between func(w http.ResponseWriter, r *http.Request, api http.Handler)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.between = between
}

// last is the latest request.
func (d *desk) last() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.requests[len(d.requests)-1]
}

// changes are the requests since the last call that were no look.
func (d *desk) changes() (changes []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.requests {
		if !strings.HasPrefix(r, "GET ") {
			changes = append(changes, r)
		}
	}
	d.requests = nil
	return changes
}

// run is tollgate with this standard input.
func (d *desk) run(stdin string, args ...string) outcome {
	d.Helper()
	d.Setenv("TOLLGATE_ADMIN_TOKEN", "")
	ctx, cancel := context.WithTimeout(d.Context(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	root, _ := newRoot(&stdout, &stderr)
	root.SetIn(strings.NewReader(stdin))
	root.SetArgs(d.args(args...))
	code := exitCode(root.ExecuteContext(ctx), &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

// prints runs a command that must succeed, and print this but for what differs from run to run.
func (d *desk) prints(want string, args ...string) {
	d.Helper()
	got := d.run("", args...)
	if want = strings.TrimPrefix(want, "\n"); got.code != exitDone || got.stderr != "" || steady(got.stdout) != want {
		d.Errorf("tollgate %s: exit code %d: %s\n%s\nwant\n%s", strings.Join(args, " "), got.code, got.stderr, steady(got.stdout), want)
	}
}

// fails runs a command that must fail with this code and words, and print nothing.
func (d *desk) fails(code int, want string, args ...string) {
	d.Helper()
	got := d.run("", args...)
	if want = "tollgate: " + want + "\n"; got.code != code || got.stdout != "" || steady(got.stderr) != want {
		d.Errorf("tollgate %s: exit code %d, printed %q and complained\n%s\nwant\n%s", strings.Join(args, " "), got.code, got.stdout, steady(got.stderr), want)
	}
}

// refused runs a command that the gateway refuses in words of its own, which begin so.
func (d *desk) refused(begin string, args ...string) {
	d.Helper()
	if got := d.run("", args...); got.code != exitFailed || got.stdout != "" || !strings.HasPrefix(got.stderr, "tollgate: "+begin) {
		d.Errorf("tollgate %s: %+v, want %s", strings.Join(args, " "), got, begin)
	}
}

// issued runs a command that shows a key with its secret, as JSON.
func (d *desk) issued(args ...string) (id, secret string) {
	d.Helper()
	got := d.run("", append(args, "-o", "json")...)
	var key struct{ ID, Secret string }
	if err := json.Unmarshal([]byte(got.stdout), &key); err != nil || got.code != exitDone || key.Secret == "" {
		d.Fatalf("tollgate %s: %v: %+v", strings.Join(args, " "), err, got)
	}
	return key.ID, key.Secret
}

// works tells whether a client gets in with the secret.
func (d *desk) works(secret string) bool {
	_, err := d.directory.Authenticate(d.Context(), []byte(secret), netip.MustParseAddr("203.0.113.7"))
	return err == nil
}

// all are the keys there are, of whatever state.
func (d *desk) all() []*keys.Key {
	d.Helper()
	list, _, err := d.directory.List(d.Context(), keys.Filter{})
	if err != nil {
		d.Fatal(err)
	}
	return list
}

// file writes a file of this name that only its owner reads.
func (d *desk) file(name, text string) string {
	d.Helper()
	path := filepath.Join(d.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.Fatal(err)
	}
	return path
}
