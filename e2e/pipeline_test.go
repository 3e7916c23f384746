package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"tollgate/simulator"
)

// TestPipelined sends the next request before the answer to the last: the
// answers come in order, each whole.
func TestPipelined(t *testing.T) {
	t.Parallel()
	p := newPuppet(t)
	f := newFleet(t, environment{"FOURTH": p.url})
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

	slow := p.expect("The slow one")
	w.write(t, plain("The quick one")+completion(key.Secret, question("fourth", "The slow one")))
	next("The quick one", "")
	happens(t, "the slow one", slow.asked)
	slow.end(fourthAnswer)
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
	for range 20 { // the end comes with the request, or just before anybody looks for one
		w := f.dial(t)
		w.write(t, completion(key.Secret, inStream(plain)))
		if err := w.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		w.gone(t)
	}
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
