package admin

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// legs answers in the place of the network: one func for each call, the last for all that follow.
type legs struct {
	calls int
	funcs []func() (*http.Response, error)
}

func (l *legs) RoundTrip(*http.Request) (*http.Response, error) {
	l.calls++
	return l.funcs[min(l.calls, len(l.funcs))-1]()
}

func refuses() (*http.Response, error) { return nil, syscall.ECONNREFUSED }

func loses() (*http.Response, error) { return nil, io.EOF }

// says is an answer; after is its Retry-After.
func says(status int, after, body string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		h := http.Header{}
		if after != "" {
			h.Set("Retry-After", after)
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// TestClientWaits counts the calls, and how long they take together.
func TestClientWaits(t *testing.T) {
	const busy = `{"error":{"message":"busy","type":"server_error","param":null,"code":"key_store_unavailable"}}`
	fine := says(200, "", `{"tenants":[]}`)
	f := func(limit time.Duration, funcs []func() (*http.Response, error), calls int, took time.Duration, want string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			l, said := &legs{funcs: funcs}, 0
			c := NewClient("http://gateway:8081", testToken)
			c.http.Transport = l
			began := time.Now()
			_, err := c.Waiting(Wait{Limit: limit, Say: func(error) { said++ }}).Tenants(t.Context())
			if got := fmt.Sprint(err); l.calls != calls || time.Since(began) != took || !strings.Contains(got, want) {
				t.Errorf("%d calls in %s: %s; want %d in %s: %s", l.calls, time.Since(began), got, calls, took, want)
			}
			if said != min(1, calls-1) {
				t.Errorf("said %d times that it waits, in %d calls", said, calls)
			}
		})
	}
	type answers = []func() (*http.Response, error)
	f(time.Minute, answers{fine}, 1, 0, "<nil>")
	f(time.Minute, answers{refuses, refuses, fine}, 3, 600*time.Millisecond, "<nil>")
	f(time.Minute, answers{loses, fine}, 2, 200*time.Millisecond, "<nil>")
	f(time.Minute, answers{says(503, "3", busy), fine}, 2, 3*time.Second, "<nil>")
	f(time.Minute, answers{says(429, "1", busy), fine}, 2, time.Second, "<nil>")
	f(0, answers{refuses}, 1, 0, "connection refused")
	f(time.Second, answers{refuses}, 4, time.Second, "connection refused")
	f(time.Second, answers{says(503, "2", busy)}, 1, 0, "busy") // too late for this caller
	f(time.Minute, answers{says(503, "", busy)}, 1, 0, "busy")
	f(time.Minute, answers{says(404, "", busy)}, 1, 0, "busy")
	unresolved := func() (*http.Response, error) { return nil, &net.DNSError{Err: "no such host", IsNotFound: true} }
	f(time.Minute, answers{unresolved, fine}, 2, 200*time.Millisecond, "<nil>")
	f(time.Minute, answers{says(502, "", "<html>"), says(503, "", "<html>"), says(504, "", "<html>"), fine}, 4, 1400*time.Millisecond, "<nil>")
	f(time.Second, answers{says(502, "", "<html>")}, 4, time.Second, "not as Tollgate's admin API does")
	f(time.Minute, answers{says(500, "", "<html>")}, 1, 0, "not as Tollgate's admin API does")
	f(time.Minute, answers{says(501, "", "<html>")}, 1, 0, "not as Tollgate's admin API does")
}

// hangs answers nothing until its call is given up.
type hangs struct{ calls int }

func (h *hangs) RoundTrip(r *http.Request) (*http.Response, error) {
	if h.calls++; h.calls == 1 {
		return nil, syscall.ECONNREFUSED
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestClientBoundsARetry gives up a try that hangs with the wait, and not a minute later.
func TestClientBoundsARetry(t *testing.T) {
	f := func(limit, took time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			c := NewClient("http://gateway:8081", testToken)
			c.http.Transport = &hangs{}
			began := time.Now()
			_, err := c.Waiting(Wait{Limit: limit}).Tenants(t.Context())
			if !Unsettled(err) || time.Since(began) != took {
				t.Errorf("after %s, want %s: %v", time.Since(began), took, err)
			}
		})
	}
	f(30*time.Second, 30*time.Second)
	f(time.Second, 200*time.Millisecond+shortestRetry)
}

// TestClientPaced makes as many calls a second as it may.
func TestClientPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient("http://gateway:8081", testToken).Paced(20)
		c.http.Transport = &legs{funcs: []func() (*http.Response, error){says(200, "", `{"tenants":[]}`)}}
		began := time.Now()
		for range 101 {
			if _, err := c.Tenants(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began).Round(time.Millisecond); took != 5*time.Second {
			t.Errorf("101 calls took %s, want 5s", took)
		}
	})
}

// TestClientDoesNotRepeatWhatItMayNot leaves a call alone that would issue a second secret.
func TestClientDoesNotRepeatWhatItMayNot(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		panic(http.ErrAbortHandler)
	}))
	defer server.Close()
	c := NewClient(server.URL, testToken).Waiting(Wait{Limit: 300 * time.Millisecond})
	f := func(call func() error, repeated bool) {
		t.Helper()
		asked.Store(0)
		if err := call(); err == nil || (asked.Load() > 1) != repeated {
			t.Errorf("%v after %d calls; want more than one: %v", err, asked.Load(), repeated)
		}
	}
	f(func() error { _, err := c.CreateKey(t.Context(), NewKey{}); return err }, false)
	f(func() error { _, err := c.CreateKey(t.Context(), NewKey{SHA256: "00"}); return err }, true)
	f(func() error { _, err := c.RotateKey(t.Context(), "key_1", Rotation{}); return err }, false)
	f(func() error { _, err := c.RotateKey(t.Context(), "key_1", Rotation{SHA256: "00"}); return err }, true)
}

// TestUnsettled tells a call that may have been done from one that was not: any try counts, not the last alone.
func TestUnsettled(t *testing.T) {
	type answers = []func() (*http.Response, error)
	f := func(base string, funcs answers, want bool) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			c := NewClient(base, testToken)
			c.http.Transport = &legs{funcs: funcs}
			_, err := c.Waiting(Wait{Limit: time.Second}).Tenants(t.Context())
			if got := Unsettled(fmt.Errorf("at the call: %w", err)); err == nil || got != want {
				t.Errorf("%v: got %v", err, got)
			}
		})
	}
	fails := func(err error) func() (*http.Response, error) {
		return func() (*http.Response, error) { return nil, err }
	}
	refused := says(401, "", `{"error":{"message":"who are you?"}}`)
	const gateway = "http://gateway:8081"
	f(gateway, answers{refuses}, false)
	f(gateway, answers{loses, refuses}, true)
	f(gateway, answers{refuses, loses, refuses}, true)
	f(gateway, answers{loses, refused}, true)
	f(gateway, answers{refuses, refused}, false)
	f(gateway, answers{fails(&net.DNSError{Err: "no such host"})}, false)
	f(gateway, answers{fails(&net.OpError{Op: "dial", Err: syscall.ETIMEDOUT})}, false)
	f(gateway, answers{fails(&net.OpError{Op: "read", Err: syscall.EHOSTUNREACH})}, true)
	f(gateway, answers{says(503, "", `{"error":{"message":"busy"}}`)}, true)
	f(gateway, answers{says(200, "", `{"tenants":[`)}, true)
	f("http://gate way", answers{loses}, false)
}
