package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/upstream"
)

// dialogue is a client that speaks HTTP by hand over a real socket.
type dialogue struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (r *socketRig) talk() *dialogue {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.address)
	must(r.t, err)
	must(r.t, conn.SetDeadline(time.Now().Add(patience)))
	r.t.Cleanup(func() { _ = conn.Close() })
	return &dialogue{r.t, conn, bufio.NewReader(conn)}
}

func (d *dialogue) say(text string) {
	d.t.Helper()
	_, err := io.WriteString(d.conn, text)
	must(d.t, err)
}

// hear reads one answer to a request with this method.
func (d *dialogue) hear(method string) answer {
	d.t.Helper()
	response, err := http.ReadResponse(d.in, &http.Request{Method: method})
	must(d.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body), err}
}

// over reports whether the gateway has closed the connection without another byte.
func (d *dialogue) over() bool {
	_, err := d.in.ReadByte()
	return err == io.EOF
}

func ask(r *socketRig, version, headers, body string) string {
	return fmt.Sprintf("POST /v1/chat/completions HTTP/%s\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n%s\r\n",
		version, r.secret.Reveal(), len(body), headers)
}

// TestExpect lets a body come only when its head would be served.
func TestExpect(t *testing.T) {
	p := newProvider(func(context.Context) (*upstream.Response, error) { return plainAnswer(200, someAnswer), nil })
	r := newSocketRig(t, p, rigOptions{server: func(c *Config) { c.MaxRequestBody, c.MaxBodyMemory = 4<<10, 64<<20; c.MaxInFlight = 1 }})
	const expectation = "Expect: 100-continue\r\n"

	d := r.talk()
	for _, spelling := range []string{expectation, "expect: 100-CONTINUE\r\n"} { // and the connection goes on
		eventually(t, "room", func() bool { return r.gateway.InFlight() == 0 })
		d.say(ask(r, "1.1", spelling, plainAlias))
		if got := d.hear("POST"); got.status != 100 {
			t.Fatalf("before the body: %d", got.status)
		}
		d.say(plainAlias)
		if got := d.hear("POST"); got.status != 200 || got.body != someAnswer {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	f := func(name, request string, status int) {
		t.Helper()
		d := r.talk()
		d.say(request)
		if got := d.hear("POST"); got.status != status || got.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: got %d %s, want %d", name, got.status, got.body, status)
		}
		if !d.over() {
			t.Errorf("%s: the connection goes on, although its body may come yet", name)
		}
	}
	f("a wrong key", strings.Replace(ask(r, "1.1", expectation, plainAlias), "Bearer tg_", "Bearer tg_wrong", 1), 401)
	f("a long body", ask(r, "1.1", expectation, strings.Repeat(" ", 5<<10)), 413)
	f("a compressed body", ask(r, "1.1", expectation+"Content-Encoding: gzip\r\n", plainAlias), 415)
	f("an unknown path", strings.Replace(ask(r, "1.1", expectation, plainAlias), "/v1/chat", "/v2/chat", 1), 404)

	idle := func() bool { return r.gateway.InFlight() == 0 }
	eventually(t, "room", idle)
	old := r.talk()
	old.say(ask(r, "1.0", expectation, plainAlias) + plainAlias)
	if got := old.hear("POST"); got.status != 200 {
		t.Errorf("HTTP/1.0: got %d, want its answer and no 100", got.status)
	}
	eventually(t, "room", idle)
	junk := r.talk()
	junk.say(ask(r, "1.1", "Expect: a-miracle\r\n", plainAlias)) // and no body
	if got := junk.hear("POST"); got.status != 417 {
		t.Errorf("another expectation: got %d %s, want 417", got.status, got.body)
	}

	eventually(t, "room", idle)
	waiting := r.talk() // holds the one place
	waiting.say(ask(r, "1.1", expectation, plainAlias))
	if got := waiting.hear("POST"); got.status != 100 {
		t.Fatalf("got %d", got.status)
	}
	f("no room", ask(r, "1.1", expectation, plainAlias), 503)
	must(t, waiting.conn.Close())
	eventually(t, "the place of a client that left before its body", idle)
	if len(p.asked) != 3 {
		t.Errorf("%d requests went to a provider, want 3", len(p.asked))
	}
}

// TestHead answers HEAD as GET, without the body (RFC 9110, section 9.3.2).
func TestHead(t *testing.T) {
	r := newSocketRig(t, answering(someAnswer), rigOptions{})
	auth := "Host: a\r\nAuthorization: Bearer " + r.secret.Reveal() + "\r\n\r\n"
	d := r.talk()
	for _, path := range []string{"/v1/models", "/v1/models/any", "/v1/models/none", "/v1/usage"} {
		d.say("GET " + path + " HTTP/1.1\r\n" + auth)
		get := d.hear("GET")
		d.say("HEAD " + path + " HTTP/1.1\r\n" + auth)
		head := d.hear("HEAD")
		if head.status != get.status || head.header.Get("Content-Type") != get.header.Get("Content-Type") || head.body != "" {
			t.Errorf("%s: got %d %q, want as GET %d", path, head.status, head.body, get.status)
		}
		if path != "/v1/usage" && head.header.Get("Content-Length") != get.header.Get("Content-Length") {
			t.Errorf("%s: Content-Length %s, want %s", path, head.header.Get("Content-Length"), get.header.Get("Content-Length"))
		}
	}
	d.say("HEAD /v1/chat/completions HTTP/1.1\r\n" + auth)
	if got := d.hear("HEAD"); got.status != 405 || got.header.Get("Allow") != "POST" {
		t.Errorf("got %d, Allow %q", got.status, got.header.Get("Allow"))
	}
	d.say("GET /v1/models HTTP/1.1\r\n" + auth)
	if got := d.hear("GET"); got.status != 200 {
		t.Errorf("behind it: %d", got.status)
	}
}

// TestRefusalsKeepTheConnection spares a client that is refused for want of room
// the way of connecting anew, as long as its body is here already.
func TestRefusalsKeepTheConnection(t *testing.T) {
	release := make(chan struct{})
	p := newProvider(func(context.Context) (*upstream.Response, error) {
		<-release
		return plainAnswer(200, someAnswer), nil
	})
	r := newSocketRig(t, p, rigOptions{server: func(c *Config) { c.MaxInFlight = 1 }})
	first := r.start(plainAlias)
	defer first.Close()
	<-p.asked
	d := r.talk()
	d.say(strings.Repeat(r.request(plainAlias), 3)) // pipelined
	for range 3 {
		got := d.hear("POST")
		if _, code, _, _ := errorOf(t, got); got.status != 503 || code != "overloaded" || got.header.Get("Retry-After") == "" {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	close(release)
	eventually(t, "room", func() bool { return r.gateway.InFlight() == 0 })
	d.say(r.request(plainAlias))
	if got := d.hear("POST"); got.status != 200 {
		t.Errorf("on the kept connection: %d %s", got.status, got.body)
	}
	eventually(t, "room", func() bool { return r.gateway.InFlight() == 0 })
	large := r.talk()
	large.say(r.request(plainAlias + strings.Repeat(" ", 20<<10)))
	if got := large.hear("POST"); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// TestRetire closes each connection with its answer.
func TestRetire(t *testing.T) {
	r := newSocketRig(t, answering(someAnswer), rigOptions{})
	d := r.talk()
	d.say(r.request(plainAlias))
	if got := d.hear("POST"); got.header.Get("Connection") == "close" {
		t.Error("closed before anybody retires")
	}
	r.server.Retire()
	d.say(r.request(plainAlias))
	if got := d.hear("POST"); got.status != 200 || !d.over() {
		t.Errorf("got %d, and the connection goes on", got.status)
	}
}

// TestShutdownClosesConnections leaves none, whatever it is doing: one that has
// never sent a byte, an idle one, one in the middle of a request.
func TestShutdownClosesConnections(t *testing.T) {
	r := newSocketRig(t, answering(someAnswer), rigOptions{})
	silent, idle, half := r.talk(), r.talk(), r.talk()
	idle.say(r.request(plainAlias))
	idle.hear("POST")
	half.say(r.request(plainAlias)[:100])
	eventually(t, "three connections", func() bool {
		r.server.connections.mu.Lock()
		defer r.server.connections.mu.Unlock()
		return len(r.server.connections.open) == 3
	})
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	must(t, r.server.Shutdown(ctx))
	for i, d := range []*dialogue{silent, idle, half} {
		if _, err := io.ReadAll(d.in); isTimeout(err) {
			t.Errorf("connection %d is open", i)
		}
	}
}

// TestShutdownEndsUploads answers a request whose body is still on its way when the
// time for draining is over, or of which only a part of the head has come.
func TestShutdownEndsUploads(t *testing.T) {
	r := newSocketRig(t, answering(someAnswer), rigOptions{})
	half, announced, head := r.talk(), r.talk(), r.talk()
	half.say(ask(r, "1.1", "", strings.Repeat(" ", 30<<10)) + strings.Repeat(" ", 15<<10))
	announced.say(ask(r, "1.1", "Expect: 100-continue\r\n", plainAlias))
	if got := announced.hear("POST"); got.status != 100 {
		t.Fatalf("got %d", got.status)
	}
	head.say("G")
	eventually(t, "two requests in progress", func() bool { return r.gateway.InFlight() == 2 })
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	must(t, r.server.Shutdown(ctx))
	if took := time.Since(began); took > patience {
		t.Errorf("the shutdown took %s", took)
	}
	for name, d := range map[string]*dialogue{"half a body": half, "no body": announced} {
		got := d.hear("POST")
		if _, code, _, _ := errorOf(t, got); got.status != 503 || code != "shutting_down" {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	// No request yet: it may be told, or not.
	if rest, _ := io.ReadAll(head.in); len(rest) > 0 && !strings.HasPrefix(string(rest), "HTTP/1.1 503 ") {
		t.Errorf("half a head was answered: %s", rest)
	}
}
