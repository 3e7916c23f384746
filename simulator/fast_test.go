package simulator

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// startFast serves fast mode until the test ends.
func startFast(t *testing.T, o FastOptions) *Fast {
	t.Helper()
	f, err := StartFast("127.0.0.1:0", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(within(t)); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return f
}

// ask sends StarMagic a body over a connection of its own and reads the answer.
func askAt(t *testing.T, base, body string) (*http.Response, string) {
	t.Helper()
	r := newRequest(base, StarMagic, body)
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(raw)
}

// shape is JSON without what may differ between two answers: texts, figures and times.
func shape(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return shapeOf("", v)
}

func shapeOf(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for n, member := range v {
			v[n] = shapeOf(n, member)
		}
	case []any:
		for i, element := range v {
			v[i] = shapeOf("", element)
		}
	case string:
		switch name {
		case "content":
			return "a text"
		}
	case float64:
		switch name {
		case "created", "prompt_tokens", "total_tokens", "text_tokens":
			return "a figure"
		}
	}
	return v
}

// shapes are those of a plain answer or of each event of a stream.
func shapes(t *testing.T, body string) []any {
	t.Helper()
	if !strings.HasPrefix(body, "data: ") {
		return []any{shape(t, body)}
	}
	var found []any
	for event := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		switch {
		case !ok || strings.Contains(data, "\n"):
			t.Fatalf("no event: %q", event)
		case data == "[DONE]":
			found = append(found, data)
		default:
			found = append(found, shape(t, data))
		}
	}
	return found
}

func TestFastAnswersLikeTheSimulator(t *testing.T) {
	slow := start(t, New(Options{Behaviour: Behaviour{Tokens: 6}}))
	fast := startFast(t, FastOptions{Tokens: 6})
	f := func(added string, events int) {
		t.Helper()
		wantHead, wantBody := askAt(t, slow.URL(), hi(StarMagic, added))
		gotHead, gotBody := askAt(t, fast.URL(), hi(StarMagic, added))
		for _, h := range []http.Header{wantHead.Header, gotHead.Header} {
			h.Del("Date")           // fast mode has none
			h.Del("Content-Length") // the texts differ
		}
		if diff := cmp.Diff(wantHead.Header, gotHead.Header); diff != "" || gotHead.StatusCode != 200 {
			t.Errorf("%s: status %d, header (-want +got):\n%s", added, gotHead.StatusCode, diff)
		}
		if diff := cmp.Diff(wantHead.TransferEncoding, gotHead.TransferEncoding); diff != "" {
			t.Errorf("%s: transfer coding (-want +got):\n%s", added, diff)
		}
		got := shapes(t, gotBody)
		if diff := cmp.Diff(shapes(t, wantBody), got); diff != "" || len(got) != events {
			t.Errorf("%s: %d events, want %d (-want +got):\n%s", added, len(got), events, diff)
		}
	}
	f(``, 1)
	f(`"max_tokens":4,`, 1)
	f(`"stream":false,"max_completion_tokens":2,`, 1)
	f(`"stream":true,`, 6+3)
	f(`"stream":true,"max_tokens":2,`, 2+3)
	f(`"stream":true,"max_tokens":5,"max_completion_tokens":3,`, 3+3)
	f(`"stream":true,"stream_options":{"include_usage":true},`, 6+4)
	f(`"stream":true,"stream_options":{"include_usage":false},`, 6+3)
}

func TestFastTextIsLongAndBounded(t *testing.T) {
	fast := startFast(t, FastOptions{})
	f := func(added, finish string, tokens, least int) {
		t.Helper()
		_, body := askAt(t, fast.URL(), hi(StarMagic, added))
		var got struct {
			Choices []struct {
				Message struct{ Content string }
				Finish  string `json:"finish_reason"`
			}
			Usage struct {
				Completion int `json:"completion_tokens"`
			}
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		text := got.Choices[0].Message.Content
		if got.Usage.Completion != tokens || len(strings.Fields(text)) != tokens || len(text) < least || got.Choices[0].Finish != finish {
			t.Errorf("%s: %d tokens, %d bytes, %s", added, got.Usage.Completion, len(text), got.Choices[0].Finish)
		}
	}
	f(``, "stop", 50, 300)
	f(`"max_tokens":4096,`, "length", 4096, 4096)
	f(`"max_tokens":1000000,`, "stop", 4096, 4096)
}

// One connection carries request after request, whatever tells a body's length.
func TestFastKeepsConnections(t *testing.T) {
	fast := startFast(t, FastOptions{})
	conn := dialFast(t, fast)
	in := bufio.NewReader(conn)
	f := func(body string, framed bool, want string) {
		t.Helper()
		r := newRequest(fast.URL(), StarMagic, body)
		if !framed {
			r.ContentLength = -1
		}
		if err := r.Write(conn); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(in, r)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != 200 || !strings.Contains(string(raw), want) {
			t.Errorf("status %d, error %v: %.200s", response.StatusCode, err, raw)
		}
	}
	megabyte := fmt.Sprintf(`{"messages":[{"role":"user","content":%q}],"max_tokens":7}`, strings.Repeat(`\"stream":true,`, 1<<16))
	for range 2 {
		f(hi(StarMagic, ""), true, `"completion_tokens":50`)
		f(hi(StarMagic, `"stream":true,`), false, "data: [DONE]\n\n")
		f(megabyte, true, `"completion_tokens":7`)
		f(megabyte, false, `"completion_tokens":7`)
	}
}

func TestFastWaitsForNobodyToContinue(t *testing.T) {
	fast := startFast(t, FastOptions{})
	conn := dialFast(t, fast)
	in := bufio.NewReader(conn)
	send := func(text string) {
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
	}
	send("POST /starmagic/v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n")
	if line, err := in.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	send("{}")
	rest, err := io.ReadAll(in) // ends: the request asked for it
	if err != nil || !strings.Contains(string(rest), "\r\nConnection: close\r\n") || !strings.HasSuffix(string(rest), "}") {
		t.Errorf("%v: %s", err, rest)
	}
}

// How events share writes, and how far apart they are, changes no byte.
func TestFastPaceChangesNoByte(t *testing.T) {
	const gap = 3 * time.Millisecond
	body := hi(StarMagic, `"stream":true,"max_tokens":20,"stream_options":{"include_usage":true},`)
	f := func(o FastOptions, least time.Duration) string {
		t.Helper()
		fast := startFast(t, o)
		began := time.Now()
		_, got := askAt(t, fast.URL(), body)
		if took := time.Since(began); took < least {
			t.Errorf("%+v: took %s, less than %s", o, took, least)
		}
		return strings.ReplaceAll(got, fmt.Sprintf(`"created":%d`, fast.script.created), "")
	}
	want := f(FastOptions{}, 0)
	for _, got := range []string{
		f(FastOptions{EventsPerWrite: 7}, 0),
		f(FastOptions{EventsPerWrite: 1000}, 0),
		f(FastOptions{EventsPerWrite: 7, Gap: gap}, 19*gap),
		f(FastOptions{FirstToken: 50 * time.Millisecond}, 50*time.Millisecond),
	} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestFastRefuses(t *testing.T) {
	fast := startFast(t, FastOptions{})
	f := func(sent, status, code string) {
		t.Helper()
		conn := dialFast(t, fast)
		if _, err := io.WriteString(conn, sent); err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(conn) // ends: the connection is closed
		got := string(raw)
		if err != nil || !strings.HasPrefix(got, "HTTP/1.1 "+status+" ") || !strings.Contains(got, `"code":"`+code+`"`) ||
			!strings.Contains(got, "\r\nConnection: close\r\n") || strings.Count(got, "HTTP/1.1") != 1 {
			t.Errorf("%.100q: %v: %s", sent, err, got)
		}
	}
	const (
		line = "POST /starmagic/v1/chat/completions HTTP/1.1\r\n"
		host = "Host: x\r\n"
	)
	for _, head := range []string{
		"GARBAGE\r\n\r\n", "\r\n\r\n", " \r\n\r\n", "\x16\x03\x01\r\n\r\n",
		"POST /starmagic/v1/chat/completions HTTP/1.0\r\n" + host + "\r\n",
		"POST  /starmagic/v1/chat/completions HTTP/1.1\r\n" + host + "\r\n",
		"POST starmagic HTTP/1.1\r\n" + host + "\r\n",
		line + "\r\n", line + host + host + "\r\n",
		line + host + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
		line + host + "Content-Length: +2\r\n\r\n{}",
		line + host + "Content-Length: 99999999999999999999\r\n\r\n",
		line + host + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
		line + host + "Transfer-Encoding: gzip, chunked\r\n\r\n",
		line + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		line + host + "Expect: more\r\n\r\n",
		line + host + "No colon\r\n\r\n",
		line + host + "Content-Length : 2\r\n\r\n{}",
		line + host + " folded: 2\r\n\r\n",
		line + host + "A: b\nContent-Length: 2\r\n\r\n{}",
		line + host + "A: " + strings.Repeat("a", fastMaxHead) + "\r\n\r\n",
	} {
		f(head, "400", "invalid_request_head")
	}
	for _, body := range []string{"", "[]", "{", `{"a"`, `{"a":`, `{"a":"b}`, `{"a":[1}`, `{"a" 1}`, `{"a":1 "b":2}`, `{a:1}`, `{"a":1`} {
		f(fmt.Sprintf("%s%sContent-Length: %d\r\n\r\n%s", line, host, len(body), body), "400", "invalid_json")
	}
	f(fmt.Sprintf("%s%sContent-Length: %d\r\n\r\n{", line, host, fastMaxBody+1), "413", "body_too_large")
	f("GET /starmagic/v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n", "405", "method_not_allowed")
	f("POST /evolink/v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n", "404", "unknown_url")
	f("GET /_truth HTTP/1.1\r\nHost: x\r\n\r\n", "404", "unknown_url")
}

// Close ends idle connections, half a request, and a stream that is far from its end.
func TestFastCloseEndsEverything(t *testing.T) {
	fast, err := StartFast("127.0.0.1:0", FastOptions{Gap: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	idle, half := dialFast(t, fast), dialFast(t, fast)
	if _, err := io.WriteString(half, "POST /star"); err != nil {
		t.Fatal(err)
	}
	open := dial(t, fast.Addr(), StarMagic, hi(StarMagic, `"stream":true,`))
	defer open.Close()
	events(t, open, 2) // the role and the first token; the next one is an hour away

	if err := fast.Close(within(t)); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := fast.Close(within(t)); err != nil {
		t.Errorf("Close again: %v", err)
	}
	for _, conn := range []net.Conn{idle, half, open} {
		if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
			t.Error("a connection is still open")
		}
	}
	if _, err := net.Dial("tcp", fast.Addr()); err == nil {
		t.Error("the closed simulator still listens")
	}
}

func TestFastRefusesATakenAddress(t *testing.T) {
	fast := startFast(t, FastOptions{})
	if _, err := StartFast(fast.Addr(), FastOptions{}); err == nil || !strings.Contains(err.Error(), fast.Addr()) {
		t.Errorf("got %v, want an error that names the address", err)
	}
}

func dialFast(t *testing.T, f *Fast) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", f.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}
