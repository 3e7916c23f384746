package simulator

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test; it passes only when something hangs.
const patience = 20 * time.Second

// fixed is the clock of golden bodies: the moment in StarMagic's example.
func fixed() time.Time { return time.Unix(1760032810, 0) }

// hi is the smallest valid body of a provider, with members added in front.
func hi(p Provider, added string) string {
	return `{` + added + `"model":"` + p.Models()[0] + `","messages":[{"role":"user","content":"Please introduce yourself"}]}`
}

func newRequest(base string, p Provider, body string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, base+"/"+string(p)+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", "Bearer sk-test-0123456789")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	return r
}

// send asks without a network.
func send(s *Simulator, p Provider, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, newRequest("http://simulator", p, body))
	return w
}

// start serves s on a real socket until the test ends.
func start(t *testing.T, s *Simulator) *Running {
	t.Helper()
	running, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Close(within(t)); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return running
}

// within is a context that outlives the test's cleanups but not a hang.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	return ctx
}

// exchangeRaw sends one request over a connection of its own and returns every
// byte of the answer and how the connection ended: io.EOF for a FIN.
func exchangeRaw(t *testing.T, addr string, p Provider, body string) (string, error) {
	t.Helper()
	conn := dial(t, addr, p, body)
	defer conn.Close()
	raw, err := io.ReadAll(conn)
	if err == nil {
		err = io.EOF
	}
	return string(raw), err
}

func dial(t *testing.T, addr string, p Provider, body string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if err := newRequest("http://"+addr, p, body).Write(conn); err != nil {
		t.Fatal(err)
	}
	return conn
}

// events reads n server-sent events of an answer whose header it skips.
func events(t *testing.T, conn net.Conn, n int) []string {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(response.Body)
	var found []string
	for len(found) < n {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("after %d events: %v", len(found), err)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			found = append(found, strings.TrimSuffix(data, "\n"))
		}
	}
	return found
}

// settled waits for n requests to end.
func settled(t *testing.T, s *Simulator, n int) []Entry {
	t.Helper()
	entries, err := s.Settled(within(t), n)
	if err != nil {
		t.Fatalf("waiting for %d requests: %v", n, err)
	}
	return entries
}
