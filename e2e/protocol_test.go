package e2e

import (
	"fmt"
	"net/http"
	"testing"
)

const chatLine = "POST /v1/chat/completions HTTP/1.1"

// TestExpectContinue asks before it sends a body: who will be refused anyway is
// told so at once, everyone else is told to go on, and only then sends.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	p := newPuppet(t)
	f := newFleet(t, environment{"FOURTH": p.url, "MAX_REQUEST_BODY": "64KiB", "MAX_IN_FLIGHT": "1"})
	key := f.issue(t)
	body := question("gemini-flash", "May I?")
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	known, expects := bearer(key.Secret), "Expect: 100-continue"

	idle := func() { // the one place is given back behind the last byte of an answer
		t.Helper()
		until(t, "the end of every request", patience, func() bool { return f.scrape(t)["http_server_active_requests"] == "0" })
	}
	goesOn := func(name, framing, body string) {
		t.Helper()
		idle()
		w := f.dial(t)
		for range 2 { // on one connection: the second finds nothing left of the first
			w.write(t, request(chatLine, []string{known, expects, framing}, ""))
			if line, err := w.in.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
				t.Fatalf("%s: got %q, %v, want to be told to go on", name, line, err)
			}
			if line, err := w.in.ReadString('\n'); err != nil || line != "\r\n" {
				t.Fatalf("%s: got %q, %v behind the interim answer", name, line, err)
			}
			if n := w.in.Buffered(); n > 0 {
				t.Fatalf("%s: %d bytes more before the body was sent", name, n)
			}
			w.write(t, body)
			w.answered(t, http.StatusOK, "")
		}
		w.usable(t, key.Secret)
	}
	goesOn("a length", sized(body), body)
	goesOn("chunks", "Transfer-Encoding: chunked", chunked)

	refused := func(name string, status int, code string, headers ...string) {
		t.Helper()
		w := f.dial(t)
		w.write(t, request(chatLine, headers, ""))
		if r := w.answered(t, status, code); r.header.Get("Connection") != "close" {
			t.Errorf("%s: the connection is kept for a body that may come or not", name)
		}
		w.closed(t)
	}
	refused("a stranger", 401, "invalid_api_key", bearer(unknownSecret()), expects, sized(body))
	refused("no key", 401, "invalid_api_key", expects, sized(body))
	refused("too long", 413, "request_too_large", known, expects, "Content-Length: 65537")
	refused("a body of unknown coding", 415, "unsupported_encoding", known, expects, sized(body), "Content-Encoding: gzip")
	part, ended := p.expect("Please take my place"), make(chan reply, 1)
	go func() {
		ended <- f.bare(t).send(t.Context(), wish{secret: key.Secret, body: question("fourth", "Please take my place")})
	}()
	happens(t, "the request that fills the gateway", part.asked)
	refused("no room", 503, "overloaded", known, expects, sized(body))
	part.end(fourthAnswer)
	if r := <-ended; r.status != http.StatusOK {
		t.Errorf("the request in progress was answered %s", r)
	}
	idle()
	if got := len(f.providers.Truth()); got != 4 {
		t.Errorf("%d requests were sent upstream, want the four that were let through", got)
	}

	w := f.dial(t)
	w.write(t, request(chatLine, []string{known, "Expect: junk", sized(body)}, body))
	w.answered(t, http.StatusExpectationFailed, "invalid_request_head")
	w = f.dial(t) // RFC 9110, section 10.1.1: HTTP/1.0 knows no interim answer, so nobody waits for one
	w.write(t, request("POST /v1/chat/completions HTTP/1.0", []string{known, expects, sized(body)}, body))
	w.answered(t, http.StatusOK, "")
	w.closed(t)
}

// TestHTTP10 asks as an old client does: a plain answer is fine, and its
// connection is kept only where that was asked for; a stream needs chunks.
func TestHTTP10(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	key := f.issue(t)
	old := func(body string, headers ...string) string {
		return request("POST /v1/chat/completions HTTP/1.0", append(headers, bearer(key.Secret), sized(body)), body)
	}
	plain := question("gemini-flash", "Do you remember the nineties?")
	w := f.dial(t)
	w.write(t, old(plain))
	w.answered(t, http.StatusOK, "")
	w.closed(t)

	w = f.dial(t)
	for range 2 {
		w.write(t, old(plain, "Connection: keep-alive"))
		if r := w.answered(t, http.StatusOK, ""); r.header.Get("Connection") != "keep-alive" {
			t.Errorf("an old client that keeps its connection is told %q", r.header.Get("Connection"))
		}
	}
	w.write(t, old(inStream(plain), "Connection: keep-alive"))
	w.answered(t, http.StatusBadRequest, "unsupported_protocol")
}

// TestHEAD asks for heads: they are those of GET, without a byte of a body.
func TestHEAD(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"REQUESTS_PER_MINUTE": "0"})
	key, free := f.issue(t, "--requests-per-minute", "600"), f.issue(t)
	head := func(path, secret string, status int) {
		t.Helper()
		w := f.dial(t)
		ask := func(method string) reply {
			w.write(t, request(method+" "+path+" HTTP/1.1", []string{bearer(secret)}, ""))
			r := w.read(t, method)
			for _, ofTheMoment := range []string{"X-Request-Id", "Date", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests"} {
				r.header.Del(ofTheMoment)
			}
			return r
		}
		get := ask(http.MethodGet)
		if get.status != status || get.header.Get("Content-Length") != fmt.Sprint(len(get.body)) || get.body == "" {
			t.Fatalf("GET %s is answered %s", path, get)
		}
		if got := ask(http.MethodHead); got.status != get.status || comparable(got.header) != comparable(get.header) || got.body != "" {
			t.Errorf("%s\nHEAD: %s\n%sGET:  %s\n%s", path, got, comparable(got.header), get, comparable(get.header))
		}
		if again := ask(http.MethodGet); again.status != status || again.err != nil { // a byte of HEAD's would stand in its way
			t.Errorf("GET behind HEAD %s is answered %s", path, again)
		}
	}
	head("/v1/models", key.Secret, 200)
	head("/v1/models/gemini-flash", key.Secret, 200)
	head("/v1/usage?from=2026-01-01", free.Secret, 200) // a limit's figures would not stand still
	head("/v1/models/no-such-model", key.Secret, 404)
	head("/v1/nothing", key.Secret, 404)
	head("/v1/models", unknownSecret(), 401)

	w := f.dial(t)
	w.write(t, request("HEAD /v1/chat/completions HTTP/1.1", []string{bearer(key.Secret)}, ""))
	if r := w.read(t, http.MethodHead); r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != "POST" {
		t.Errorf("HEAD of a completion is answered %s, allowed: %q", r, r.header.Get("Allow"))
	}
	w.usable(t, key.Secret)
}
