package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wire is a client's connection on which the test writes the bytes itself.
type wire struct {
	net.Conn
	in *bufio.Reader
}

// dial connects to the public listener.
func (g *gateway) dial(t *testing.T) *wire {
	t.Helper()
	_, address, _ := strings.Cut(g.url, "://")
	conn, err := new(net.Dialer).DialContext(within(t, patience), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return newWire(t, conn)
}

func newWire(t *testing.T, conn net.Conn) *wire {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &wire{conn, bufio.NewReader(conn)}
}

// write sends these bytes.
func (w *wire) write(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

// head reads the head of the next answer. 100 Continue is an answer here.
func (w *wire) head(t *testing.T, method string) *http.Response {
	t.Helper()
	response, err := http.ReadResponse(w.in, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	return response
}

// read reads the next answer to its end.
func (w *wire) read(t *testing.T, method string) reply {
	t.Helper()
	response := w.head(t, method)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if response.Close { // net/http takes the header away
		response.Header.Set("Connection", "close")
	}
	return reply{response.StatusCode, response.Header, string(body), err}
}

// answered reads the next answer and fails the test unless it has this status
// and, where it is an error, this code.
func (w *wire) answered(t *testing.T, status int, code string) reply {
	t.Helper()
	r := w.read(t, http.MethodGet)
	if r.status != status || r.code() != code || r.err != nil {
		t.Fatalf("got %s, want %d %s", r, status, code)
	}
	return r
}

// closed fails the test unless the gateway closes the connection without
// another byte.
func (w *wire) closed(t *testing.T) {
	t.Helper()
	rest, err := io.ReadAll(w.in)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) || len(rest) > 0 {
		t.Errorf("the connection should be closed, got %q, %v", rest, err)
	}
}

// request is a request as text: its line, these headers, a blank line and the body.
func request(line string, headers []string, body string) string {
	return line + "\r\nHost: gateway\r\n" + strings.Join(append(headers, "", body), "\r\n")
}

// bearer is the header of a key.
func bearer(secret string) string { return "Authorization: Bearer " + secret }

// sized is the header of a body.
func sized(body string) string { return fmt.Sprintf("Content-Length: %d", len(body)) }

// completion is a request for a chat completion as text.
func completion(secret, body string) string {
	return request("POST /v1/chat/completions HTTP/1.1", []string{bearer(secret), sized(body)}, body)
}

// models is a request for the list of models as text, with further headers.
func models(secret string, headers ...string) string {
	return request("GET /v1/models HTTP/1.1", append(headers, bearer(secret)), "")
}

// usable fails the test unless the connection still answers a request. It is
// the connection's last.
func (w *wire) usable(t *testing.T, secret string) {
	t.Helper()
	w.write(t, models(secret, "Connection: close"))
	w.answered(t, http.StatusOK, "")
	w.closed(t)
}

// inStream is the body of a request for a stream.
func inStream(body string) string { return `{"stream":true,` + body[1:] }

// handshake makes a TLS connection of a plain one.
func (w *wire) handshake(t *testing.T, config *tls.Config) *wire {
	t.Helper()
	conn := tls.Client(w.Conn, config)
	if err := conn.HandshakeContext(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	return newWire(t, conn)
}
