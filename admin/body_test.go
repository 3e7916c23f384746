package admin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// A body that does not arrive is the caller's to mend, and no failure of the gateway.
func TestUnreadableBodies(t *testing.T) {
	h := newHouse(t)
	id, _ := h.issue(`{"tenant":"acme","name":"ci"}`)
	h.log.Reset()
	f := func(method, target string, err error, status int, want string) {
		t.Helper()
		r := httptest.NewRequest(method, target, io.MultiReader(strings.NewReader(`{"`), iotest.ErrReader(err)))
		r.Header.Set("Authorization", "Bearer "+testToken.Reveal())
		w := httptest.NewRecorder()
		h.serves().ServeHTTP(w, r)
		h.contract.check(t, r, `{"`, w)
		h.want(w, status, want)
	}
	late := &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
	for _, target := range []string{
		"POST /admin/v1/keys", "PATCH /admin/v1/keys/" + id, "POST /admin/v1/keys/" + id + "/rotate", "POST /admin/v1/keys/" + id + "/revoke",
		"PUT /admin/v1/tenants/acme", "PATCH /admin/v1/tenants/acme", "POST /admin/v1/explain?key=" + id,
	} {
		method, path, _ := strings.Cut(target, " ")
		f(method, path, late, 408, refused("the request body did not arrive within 30s: send it again", "null", "request_timeout"))
		f(method, path, net.ErrClosed, 400, refused("the request body did not arrive whole: send it again", "null", "unreadable_body"))
	}
	if h.log.Len() > 0 {
		t.Errorf("the log says\n%s", h.log)
	}
}

// What net/http refuses by itself is as the document says it is.
func TestOutsideHTTP(t *testing.T) {
	h := newHouse(t)
	address := h.serve()
	f := func(head string, status int, contentType, want string) {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(conn, head) }()
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != status || !answer.Close || string(body) != want || answer.Header.Get("Content-Type") != contentType {
			t.Errorf("%d %q %q close=%t %v", answer.StatusCode, answer.Header.Get("Content-Type"), body, answer.Close, err)
		}
	}
	const plain = "text/plain; charset=utf-8"
	f("GET / HTTP/1.1\r\nHost: h\r\nExpect: junk\r\n\r\n", 417, "", "")
	f("junk\r\n\r\n", 400, plain, "400 Bad Request")
	f("GET / HTTP/1.1\r\nHost: h\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n", 431, plain, "431 Request Header Fields Too Large")
	if !strings.Contains(document, "closed with 400 or 431 in plain text, and with 417 without a body where Expect is anything but 100-continue") {
		t.Error("the document does not say so")
	}
}

// Over a connection: whoever is too slow is told so.
func TestSlowBody(t *testing.T) {
	h := newHouse(t)
	h.server.http.ReadTimeout = 50 * time.Millisecond
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.serve())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(conn, "POST /admin/v1/keys HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{\"tenant\"", testToken.Reveal())
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != 408 || !strings.Contains(string(body), `"code":"request_timeout"`) {
		t.Errorf("%d %s %v", answer.StatusCode, body, err)
	}
}
