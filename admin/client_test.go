package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tollgate/keys"
	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"

	"github.com/google/go-cmp/cmp"
)

// serve runs the house's Server on loopback until the test ends, and returns its address.
func (h *house) serve() string {
	h.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(ln) }()
	h.Cleanup(func() {
		if err := h.server.Shutdown(context.Background()); err != nil {
			h.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			h.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

func TestClient(t *testing.T) {
	h := newHouse(t)
	c := NewClient(h.serve(), testToken)
	ctx := t.Context()

	issued, err := c.CreateKey(ctx, NewKey{Tenant: "acme", Name: "ci", Models: []string{"a*"}, RequestsPerMinute: 5, Expires: "1h"})
	if err != nil {
		t.Fatal(err)
	}
	known, err := h.keys.Authenticate(ctx, []byte(issued.Secret.Reveal()), netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	want := Key{
		ID: known.ID, Tenant: "acme", Name: "ci", Last4: known.Last4, State: keys.StateActive, Models: []string{"a*"}, CIDRs: []string{}, RequestsPerMinute: 5,
		CreatedAt: known.CreatedAt, ExpiresAt: known.ExpiresAt, Version: known.Version,
	}
	if diff := cmp.Diff(want, issued.Key); diff != "" {
		t.Errorf("CreateKey (-want +got):\n%s", diff)
	}
	want.Standing = []Standing{}
	shown, err := c.ShowKey(ctx, want.ID)
	if diff := cmp.Diff(want, shown); err != nil || diff != "" {
		t.Errorf("ShowKey: %v (-want +got):\n%s", err, diff)
	}
	h.ledger.rows = []usage.Row{{Tenant: "acme", Requests: 1, Charge: 1_250_000_000}}
	query := usage.Query{
		From: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 3, 2, 0, 0, 0, 1, time.UTC),
		By: []usage.Dimension{usage.ByTenant, usage.ByDay}, Tenant: "acme", KeyID: want.ID,
	}
	h.ledger.behind = 3
	rows, err := c.Usage(ctx, query)
	if diff := cmp.Diff(UsageRows{Rows: h.ledger.rows, Behind: 3}, rows); err != nil || diff != "" {
		t.Errorf("Usage: %v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff(query, h.ledger.asked); diff != "" {
		t.Errorf("the query changed on its way (-want +got):\n%s", diff)
	}
	if _, err := c.Usage(ctx, usage.Query{}); err != nil || !cmp.Equal(usage.Query{}, h.ledger.asked) {
		t.Errorf("empty query: %+v, %v", h.ledger.asked, err)
	}
	h.ledger.records = map[string][]usage.Record{"a/b?c": {{RequestID: "a/b?c", Kind: usage.KindSettle, Tokens: usage.Tokens{Prompt: 7}, Charge: 9}}}
	records, err := c.Request(ctx, "a/b?c")
	if diff := cmp.Diff(RequestRecords{Records: h.ledger.records["a/b?c"], Behind: 3}, records); err != nil || diff != "" {
		t.Errorf("Request: %v (-want +got):\n%s", err, diff)
	}
	endpoints, err := c.Upstreams(ctx)
	if diff := cmp.Diff([]Endpoint{
		{Provider: "evolink", URL: "https://api.evolink.ai/v1", Credential: "none", Model: "gemini-3-pro-preview", State: upstream.StateOff},
		{
			Provider: "starmagic", URL: "https://api.starmagic.ai/v1", Credential: "#1 ...wxyz", Model: "gemini-2.5-flash-lite", State: upstream.StateOpen,
			Why: "5 failures in a row", Pending: 2, FirstEventMS: 250, AnswerMS: 2,
			LastError: "server_error", LastErrorAt: time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC), ProbeInMS: 1500,
		},
	}, endpoints); err != nil || diff != "" {
		t.Errorf("Upstreams: %v (-want +got):\n%s", err, diff)
	}
}

func TestClientErrorsAreTyped(t *testing.T) {
	h := newHouse(t)
	address := h.serve()
	f := func(token telemetry.Secret, call func(*Client) error, want Error) {
		t.Helper()
		err := call(NewClient("http://"+address+"/", token))
		got, ok := errors.AsType[*Error](err)
		if !ok {
			t.Fatalf("%T is no *Error: %v", err, err)
		}
		if diff := cmp.Diff(want, *got); diff != "" || err.Error() != want.Message {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	create := func(c *Client) error { _, err := c.CreateKey(t.Context(), NewKey{Tenant: "acme"}); return err }
	show := func(c *Client) error { _, err := c.ShowKey(t.Context(), "key_x"); return err }
	f(testToken, create, Error{
		Status: 400, Param: "name", Code: "invalid_value",
		Message: `name: must be 1 to 64 printable characters without a space at either end, got ""`,
	})
	f(testToken, show, Error{Status: 404, Param: "id", Code: "key_not_found", Message: "no key has this id: GET /admin/v1/keys lists them"})
	f("wrong", show, Error{Status: 401, Code: "invalid_admin_token", Message: `the admin token is missing or wrong: send "Authorization: Bearer ...", ` +
		"or set TOLLGATE_ADMIN_TOKEN for the command line; it is admin.token or one of admin.tokens in config.yaml, or else in data_dir/admin-token"})
}

func TestClientMeetsNobody(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	_ = ln.Close()
	f := func(base, want string) {
		t.Helper()
		_, err := NewClient(base, testToken).Tenants(t.Context())
		if got := strings.ReplaceAll(fmt.Sprint(err), address, "ADDRESS"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f("http://"+address, "cannot reach the admin API at http://ADDRESS: dial tcp ADDRESS: connect: connection refused: "+
		"is tollgate serve running there? Name another with --admin or TOLLGATE_ADMIN_URL")
	f("http://user:canary@"+address, "cannot reach the admin API at http://ADDRESS: dial tcp ADDRESS: connect: connection refused: "+
		"is tollgate serve running there? Name another with --admin or TOLLGATE_ADMIN_URL")
	f("ftp://"+address, `cannot reach the admin API at ftp://ADDRESS: unsupported protocol scheme "ftp": is the address right? Name another with --admin or TOLLGATE_ADMIN_URL`)
	f("http://a b", `--admin "http://a b" is not the address of an admin API: write one such as http://127.0.0.1:8081`)
}

// Somebody else's server is told from Tollgate's, and is given the token once at most.
func TestClientMeetsAStranger(t *testing.T) {
	var asked int
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch r.URL.Path {
		case "/admin/v1/upstreams":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/admin/v1/tenants":
			fmt.Fprint(w, "<html>hello</html>")
		default:
			http.Error(w, `{"detail":"not found"}`, http.StatusNotFound)
		}
	}))
	defer stranger.Close()
	c := NewClient(stranger.URL, testToken)
	f := func(err error, status int) {
		t.Helper()
		want := fmt.Sprintf("%s answered %d, but not as Tollgate's admin API does: does --admin (TOLLGATE_ADMIN_URL) name admin.listen of the gateway?", stranger.URL, status)
		if fmt.Sprint(err) != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	_, err := c.Upstreams(t.Context())
	f(err, 302)
	_, err = c.Tenants(t.Context())
	f(err, 200)
	_, err = c.ShowKey(t.Context(), "key_x")
	f(err, 404)
	if asked != 3 {
		t.Errorf("asked %d times, want 3", asked)
	}
}

// A Server that is shut down finishes what it is doing, or cuts it when there is no time.
func TestShutdown(t *testing.T) {
	for _, patient := range []bool{true, false} {
		h := newHouse(t)
		entered, release := make(chan struct{}), make(chan struct{})
		h.server.options.Unready = func() Unready { close(entered); <-release; return Unready{} }
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served, answered, stopped := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() { served <- h.server.Serve(ln) }()
		go func() { answered <- get("http://" + ln.Addr().String() + "/readyz") }()
		<-entered
		ctx, cancel := context.WithCancel(t.Context())
		go func() { stopped <- h.server.Shutdown(ctx) }()
		if err := <-served; err != nil { // the listener goes first, while the answer is in progress
			t.Errorf("Serve: %v", err)
		}
		if patient {
			close(release)
		} else {
			cancel()
		}
		if err := <-stopped; (err == nil) != patient {
			t.Errorf("patient %v: Shutdown: %v", patient, err)
		}
		if err := <-answered; (err == nil) != patient {
			t.Errorf("patient %v: the answer: %v", patient, err)
		}
		if !patient {
			close(release)
		}
		cancel()
	}
}

// get asks once and leaves no connection behind.
func get(url string) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Only the one form that is made for it encodes the secret.
func TestIssuedKeyHidesItsSecret(t *testing.T) {
	k := IssuedKey{Key: Key{ID: "key_1", Tenant: "acme"}, Secret: "tg_canary"}
	hidden, err := json.Marshal(k)
	if err != nil || bytes.Contains(hidden, []byte("canary")) || strings.Contains(fmt.Sprintf("%+v %#v", k, k), "canary") {
		t.Errorf("got %s, %v", hidden, err)
	}
	shown, err := json.Marshal(k.Reveal())
	if err != nil || !bytes.HasPrefix(shown, []byte(`{"id":"key_1","secret":"tg_canary","tenant":"acme",`)) {
		t.Errorf("got %s, %v", shown, err)
	}
}
