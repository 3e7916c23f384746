package main

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestSimulateFast plays StarMagic alone, and answers any request.
func TestSimulateFast(t *testing.T) {
	simulate := serveInBackground(t, "simulate", "--fast", "--listen", "127.0.0.1:0", "--tokens", "3", "--events-per-write", "2")
	line := simulate.stdout.await(t, "starmagic")
	url := strings.TrimSpace(strings.TrimPrefix(line, "starmagic"))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/chat/completions", strings.NewReader(`{"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if got := string(raw); err != nil || strings.Count(got, `"content":" `) != 2 || !strings.HasSuffix(got, "data: [DONE]\n\n") {
		t.Errorf("%v: %s", err, got)
	}
	if got := simulate.stop(); strings.Count(got.stdout, "\n") != 1 {
		t.Errorf("it printed %q, want one line", got.stdout)
	}
}

// TestSimulateFaults has two faults: they strike in turn, the answers between them are written as was asked for.
func TestSimulateFaults(t *testing.T) {
	simulate := serveInBackground(t, "simulate", "--listen", "127.0.0.1:0", "--tokens", "2", "--style", "crlf", "--comments", "1",
		"--fault", "kind=cut_between,provider=theturbo,events=3,nth=2",
		"--fault", `kind=respond,status=429,header.Retry-After=7,nth=3,body={"error":{"code":"a,b"}}`)
	line := simulate.stdout.await(t, "theturbo")
	url := strings.TrimSpace(strings.TrimPrefix(line, "theturbo"))
	ask := func() (response *http.Response, body string, err error) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/chat/completions",
			strings.NewReader(`{"model":"gemini-2.0-flash","stream":true,"messages":[{"role":"user","content":"Hello"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Close = true
		r.Header = http.Header{"Authorization": {"Bearer any"}, "Content-Type": {"application/json"}, "Accept": {"application/json"}}
		response, err = http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		raw, err := io.ReadAll(response.Body)
		return response, string(raw), err
	}
	if _, body, err := ask(); err != nil || strings.Count(body, ": PROCESSING\r\n\r\n") != 5 || !strings.HasSuffix(body, "data: [DONE]\r\n\r\n") {
		t.Errorf("the first answer is %q, %v", body, err)
	}
	if _, body, err := ask(); !errors.Is(err, io.ErrUnexpectedEOF) || strings.Count(body, "data: ") != 3 {
		t.Errorf("the second answer is %q, %v", body, err)
	}
	if response, body, err := ask(); err != nil || response.StatusCode != 429 || response.Header.Get("Retry-After") != "7" || body != `{"error":{"code":"a,b"}}` {
		t.Errorf("the third answer is %d %q, %v", response.StatusCode, body, err)
	}
	simulate.stop()
}

func TestSimulateRefusesWhatItWouldIgnore(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		got := tollgate(t, append([]string{"simulate"}, args...)...)
		if got != (outcome{exitUsage, "", "tollgate: " + want + "\n"}) {
			t.Errorf("%q: exit code %d, printed %q, complained\n%swant\n%s", args, got.code, got.stdout, got.stderr, want)
		}
	}
	f("--events-per-write is for --fast without --gap", "--events-per-write", "2")
	f("--events-per-write is for --fast without --gap", "--fast", "--gap", "1ms", "--events-per-write", "2")
	f("--fault is not for --fast", "--fast", "--fault", "kind=drop")
	f("--style is not for --fast", "--fast", "--style", "crlf")
	f("--comments is not for --fast", "--fast", "--comments", "1")
	f("--deviation is not for --fast", "--fast", "--deviation", "no_done")
	f("--comments: must be 0 or more, got -1", "--comments", "-1")
	f(`invalid argument "cr lf" for "--style" flag: style: must be one of lf, crlf, cr, no_space, fields, data_lines, bom, batched, torn, mixed, got "cr lf"`,
		"--style", "cr lf")
	f(`invalid argument "kind=stall,event=3" for "--fault" flag: fault option "event": is unknown; there are kind, name, provider, model, nth, every, times, `+
		`status, header.NAME, events, at_byte, reset, for, interval, size, body`, "--fault", "kind=drop", "--fault", "kind=stall,event=3")
	f(`invalid argument "provider=theturbo,takes=n" for "--deviation" flag: deviation option "takes": must be fields that theturbo does not document, got "n"`,
		"--deviation", "provider=theturbo,takes=n")
	const twice = `a provider has one deviation, write all its options in one, with commas between them`
	f(`invalid argument "provider=evolink,model=x" for "--deviation" flag: `+twice,
		"--deviation", "provider=evolink,no_done", "--deviation", "provider=evolink,model=x")
	f(`invalid argument "no_done" for "--deviation" flag: `+twice, "--deviation", "provider=evolink,no_done", "--deviation", "no_done")
	f(`invalid argument "provider=evolink,no_done" for "--deviation" flag: `+twice, "--deviation", "no_done", "--deviation", "provider=evolink,no_done")
}

// TestSimulateDeviations has two providers that deviate, whatever flags come after; the third does not.
func TestSimulateDeviations(t *testing.T) {
	simulate := serveInBackground(t, "simulate", "--listen", "127.0.0.1:0",
		"--deviation", "provider=theturbo,takes=seed,model=gemini-2.0-flash", "--deviation", "provider=evolink,errors=text", "--tokens", "2")
	url := strings.TrimSuffix(strings.TrimSpace(strings.TrimPrefix(simulate.stdout.await(t, "evolink"), "evolink")), "/evolink/v1")
	f := func(provider, model string, wantStatus int, want ...string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/"+provider+"/v1/chat/completions",
			strings.NewReader(`{"model":"`+model+`","seed":1,"messages":[{"role":"user","content":"Hello"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Close = true
		r.Header = http.Header{"Authorization": {"Bearer any"}, "Content-Type": {"application/json"}, "Accept": {"application/json"}}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		raw, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != wantStatus {
			t.Errorf("%s answers %d %s, %v", provider, response.StatusCode, raw, err)
		}
		for _, part := range want {
			if !strings.Contains(string(raw), part) {
				t.Errorf("%s answers %s, which does not hold %s", provider, raw, part)
			}
		}
	}
	f("starmagic", "gemini-2.5-flash-lite", 200, `"model":"gemini-2.5-flash-lite"`, `"completion_tokens":2,`)
	f("theturbo", "gemini-1.5-pro", 200, `"model":"gemini-2.0-flash"`, `"completion_tokens":2,`)
	f("evolink", "gemini-3-pro-preview", 400, "Unknown parameter: 'seed'.\n")
	simulate.stop()
}
