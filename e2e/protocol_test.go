package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
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

	goesOn := func(name, framing, body string) {
		t.Helper()
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

// TestPipelined sends the next request before the answer to the last: the
// answers come in order, each whole.
func TestPipelined(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	key := f.issue(t)
	plain := func(prompt string) string { return completion(key.Secret, question("gemini-2.5-flash-lite", prompt)) }
	stream := func(prompt string) string {
		return completion(key.Secret, inStream(question("gemini-2.5-flash-lite", prompt)))
	}
	w := f.dial(t)
	w.write(t, plain("The first")+plain("The second")+stream("The third")+stream("The fourth")+plain("The fifth")+models(key.Secret))
	next := func(prompt, options string) {
		t.Helper()
		r := w.answered(t, http.StatusOK, "")
		body := question("gemini-2.5-flash-lite", prompt)
		if want := f.askDirectly(t, simulator.StarMagic, body[:len(body)-1]+options+"}"); r.body != want {
			t.Errorf("%s is answered\n%s\nthe provider says\n%s", prompt, r.body, want)
		}
		if got := f.record(t, r.id()); got.EndReason != "completed" {
			t.Errorf("the record of %s is %+v", prompt, got)
		}
	}
	next("The first", "")
	next("The second", "")
	next("The third", `,"stream":true`)
	next("The fourth", `,"stream":true`)
	next("The fifth", "")
	w.answered(t, http.StatusOK, "")
	w.usable(t, key.Secret)
}

// TestPipelinedAndGone sends two requests and no more: to the gateway, whoever
// closes his side has left, also where the second request hides that.
func TestPipelinedAndGone(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	key := f.issue(t)
	f.inject(t, simulator.Fault{Kind: simulator.HangBeforeHeaders})
	leave := func(first, second string) {
		t.Helper()
		f.providers.Reset()
		w := f.dial(t)
		w.write(t, completion(key.Secret, first)+completion(key.Secret, second))
		_, err := f.providers.Await(within(t, patience), func(all []simulator.Entry) bool { return len(all) == 1 && all[0].Fault != "" })
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		until(t, "a gateway with nothing in progress", patience, func() bool {
			all := f.providers.Truth()
			return f.inProgress(t) == "0" && !all[0].Ended.IsZero() && !all[len(all)-1].Ended.IsZero()
		})
		for _, e := range f.providers.Truth() {
			if !e.ClientGone {
				t.Errorf("a provider was not told: %+v", e)
			}
		}
	}
	plain := question("gemini-2.5-flash-lite", "I shall not wait")
	leave(plain, plain)
	leave(inStream(plain), plain)
	leave(plain, inStream(plain))
	for series, value := range f.scrape(t) {
		if strings.HasPrefix(series, "tollgate_requests_total{") && !strings.Contains(series, `tollgate_end_reason="client_gone"`) {
			t.Errorf("%s requests of clients that left ended as %s", value, series)
		}
	}
}

// TestRefusedKeepsConnection refuses small requests: their connections go on,
// and nothing in their bodies is taken for a request.
func TestRefusedKeepsConnection(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	key, poor := f.issue(t), f.issue(t, "--requests-per-minute", "1")
	good := question("gemini-flash", "May I?")
	f.call(t, poor.Secret).plain(t.Context(), ask("gemini-flash", "May I?")).complete(t)
	smuggled := strings.Repeat(models(key.Secret), 100)
	const longest = 8 << 10 // what is read of a body that nobody wants
	small, most, large := smuggled[:longest/8], smuggled[:longest], smuggled[:longest+1]
	post := func(path, secret, body string) string {
		return request("POST "+path+" HTTP/1.1", []string{bearer(secret), sized(body)}, body)
	}
	kept := func(name, text string, status int, code string) {
		t.Helper()
		w := f.dial(t)
		w.write(t, text+text+models(key.Secret, "Connection: close"))
		for range 2 {
			if r := w.answered(t, status, code); r.header.Get("Connection") == "close" {
				t.Errorf("%s: the connection is closed", name)
			}
		}
		w.answered(t, http.StatusOK, "")
		w.closed(t)
	}
	const chat = "/v1/chat/completions"
	kept("a stranger", post(chat, unknownSecret(), small), 401, "invalid_api_key")
	kept("a stranger with the most", post(chat, unknownSecret(), most), 401, "invalid_api_key")
	kept("no key", request(chatLine, []string{sized(small)}, small), 401, "invalid_api_key")
	kept("no JSON", post(chat, key.Secret, small), 400, "invalid_json")
	kept("no JSON at all", post(chat, key.Secret, most), 400, "invalid_json")
	kept("another model", post(chat, key.Secret, question("gpt-5", "May I?")), 404, "model_not_found")
	kept("a spent key", post(chat, poor.Secret, good), 429, "rate_limit_exceeded")

	shut := func(name, text string, status int, code string) {
		t.Helper()
		w := f.dial(t)
		w.write(t, text+models(key.Secret))
		if r := w.answered(t, status, code); r.header.Get("Connection") != "close" {
			t.Errorf("%s: the connection is kept", name)
		}
		w.closed(t)
	}
	chunked := func(body string) string {
		return request(chatLine, []string{bearer(unknownSecret()), "Transfer-Encoding: chunked"}, fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body))
	}
	shut("a stranger with much", post(chat, unknownSecret(), large), 401, "invalid_api_key")
	shut("a stranger with chunks", chunked(small), 401, "invalid_api_key")
	shut("another path with much", post("/v1/embeddings", key.Secret, large), 404, "unknown_path")
}

// TestKeepAliveComments reads a stream as curl -N does while its provider says
// nothing: there are comments between events and nowhere else, and without them
// every byte is the provider's.
func TestKeepAliveComments(t *testing.T) {
	t.Parallel()
	const every = 100 * time.Millisecond
	comment := []byte(": keep-alive\n\n")
	p := newPuppet(t)
	f := newFleet(t, environment{"FOURTH": p.url, "KEEPALIVE_COMMENT": every.String()})
	key := f.issue(t)
	read := func(t *testing.T, ends string) {
		t.Helper()
		ended := func(text string) string { return strings.ReplaceAll(text, "\n", ends) }
		part, body := p.expect(t.Name()), inStream(question("fourth", t.Name()))
		w := f.dial(t)
		w.write(t, completion(key.Secret, body))
		happens(t, "the stream", part.asked)
		first, second, last := ended(word("Hold")), ended(word(" the line")), ended(lastWords)
		part.say <- first
		response := w.head(t, http.MethodPost)
		defer response.Body.Close()
		var got []byte
		silentFor := func(comments int) {
			for upTo := bytes.Count(got, comment) + comments; bytes.Count(got, comment) < upTo; {
				piece := make([]byte, 1<<10)
				n, err := response.Body.Read(piece)
				if got = append(got, piece[:n]...); err != nil {
					t.Fatalf("%q, %v", got, err)
				}
			}
		}
		silentFor(3)
		part.say <- second[:len(second)/2]
		<-time.After(5 * every) // no comment may come: there is nothing to wait for
		part.say <- second[len(second)/2:]
		silentFor(2)
		part.end(last)
		rest, err := io.ReadAll(response.Body)
		pieces := bytes.Split(append(got, rest...), comment)
		if all := bytes.Join(pieces, nil); string(all) != first+second+last || err != nil {
			t.Errorf("got  %q, %v\nwant %q", all, err, first+second+last)
		}
		for _, piece := range pieces[:len(pieces)-1] {
			if text := string(piece); text != "" && !strings.HasSuffix(text, "\n\n") && !strings.HasSuffix(strings.TrimSuffix(text, "\n"), "\r\n\r") {
				t.Errorf("a comment stands behind %q", text)
			}
		}
	}
	for name, ends := range map[string]string{"LF": "\n", "CRLF": "\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read(t, ends)
		})
	}
}
