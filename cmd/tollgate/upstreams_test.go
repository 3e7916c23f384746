package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/admin"
)

// endpoints are what the looks of these tests find at the moment now.
func endpoints(now time.Time) []admin.Endpoint {
	return []admin.Endpoint{
		{Provider: "evolink", Model: "gemini-3-pro-preview", URL: "https://api.evolink.ai/v1", Credential: "none", State: "off", Why: "no api_keys"},
		{
			Provider: "starmagic", Model: "gemini-2.5-flash-lite", URL: "https://api.starmagic.ai/v1", Credential: "#1 ...wxyz", State: "ready",
			Pending: 12, FirstEventMS: 1240, AnswerMS: 2000, LastError: "throttled", LastErrorAt: now.Add(-3*time.Hour - 5*time.Minute),
		},
		{
			Provider: "starmagic", Model: "gemini-2.5-flash-lite", URL: "https://api.starmagic.ai/v1", Credential: "#2 ...abcd", State: "open",
			Pending: 1, FirstEventMS: 250, LastError: "server_error", LastErrorAt: now.Add(-12 * time.Second), ProbeInMS: 4210, Why: "5 failures in a row",
		},
	}
}

// watched runs --watch inside a bubble for so long, and returns what it printed.
func watched(t *testing.T, u *upstreams, runs time.Duration) (stdout, stderr string) {
	t.Helper()
	var out, complaints bytes.Buffer
	u.stdout, u.stderr, u.every = &out, &complaints, 2*time.Second
	ctx, cancel := context.WithTimeout(t.Context(), runs)
	defer cancel()
	if err := u.repeat(ctx); err != nil {
		t.Errorf("an interrupted --watch ends with %v", err)
	}
	return out.String(), complaints.String()
}

func TestUpstreamsTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := func(u upstreams, want string) {
			t.Helper()
			var stdout, stderr bytes.Buffer
			u.stdout, u.stderr = &stdout, &stderr
			u.look = func(context.Context) ([]admin.Endpoint, error) { return endpoints(time.Now()), nil }
			if err := u.once(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := stdout.String() + stderr.String(); got != strings.TrimPrefix(want, "\n") {
				t.Errorf("printed\n%s\nwant%s", got, want)
			}
		}
		f(upstreams{}, `
PROVIDER   MODEL                  URL                          CREDENTIAL  STATE  PENDING  FIRST EVENT  ANSWER  LAST ERROR            NEXT PROBE  WHY
evolink    gemini-3-pro-preview   https://api.evolink.ai/v1    none        off    0        -            -       -                     -           no api_keys
starmagic  gemini-2.5-flash-lite  https://api.starmagic.ai/v1  #1 ...wxyz  ready  12       1.2s         2s      throttled 3h5m ago    -           -
starmagic  gemini-2.5-flash-lite  https://api.starmagic.ai/v1  #2 ...abcd  open   1        250ms        -       server_error 12s ago  in 4.2s     5 failures in a row
`)
		f(upstreams{provider: "evolink"}, `
PROVIDER  MODEL                 URL                        CREDENTIAL  STATE  PENDING  FIRST EVENT  ANSWER  LAST ERROR  NEXT PROBE  WHY
evolink   gemini-3-pro-preview  https://api.evolink.ai/v1  none        off    0        -            -       -           -           no api_keys
`)
		const nothing = `
PROVIDER  MODEL  URL  CREDENTIAL  STATE  PENDING  FIRST EVENT  ANSWER  LAST ERROR  NEXT PROBE  WHY
tollgate: of 3 endpoints none has the --provider and --model asked for: without these all are shown
`
		f(upstreams{provider: "evolink", model: "gemini-2.5-flash-lite"}, nothing)
		f(upstreams{model: "gemini-flash"}, nothing)
	})
}

// TestUpstreamsWatch looks four times, the second time in vain.
func TestUpstreamsWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		u := &upstreams{model: "gemini-3-pro-preview", look: func(context.Context) ([]admin.Endpoint, error) {
			if looks++; looks == 2 {
				return nil, errors.New("cannot reach the admin API at http://127.0.0.1:8081")
			}
			return endpoints(time.Now()), nil
		}}
		const table = `
PROVIDER  MODEL                 URL                        CREDENTIAL  STATE  PENDING  FIRST EVENT  ANSWER  LAST ERROR  NEXT PROBE  WHY
evolink   gemini-3-pro-preview  https://api.evolink.ai/v1  none        off    0        -            -       -           -           no api_keys

`
		const want = `2000-01-01 00:00:00Z` + table + `2000-01-01 00:00:02Z
tollgate: cannot reach the admin API at http://127.0.0.1:8081

2000-01-01 00:00:04Z` + table + `2000-01-01 00:00:06Z` + table
		if got, complaint := watched(t, u, 7*time.Second); got != want || complaint != "" {
			t.Errorf("printed\n%s%s\nwant\n%s", got, complaint, want)
		}
	})
}

func TestUpstreamsWatchOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstreams{clear: true, look: func(context.Context) ([]admin.Endpoint, error) { return nil, errors.New("no") }}
		const want = "\x1b[H\x1b[2J2000-01-01 00:00:00Z\ntollgate: no\n\n\x1b[H\x1b[2J2000-01-01 00:00:02Z\ntollgate: no\n\n"
		if got, complaint := watched(t, u, 3*time.Second); got != want || complaint != "" {
			t.Errorf("printed %q and %q, want %q", got, complaint, want)
		}
	})
}

// TestUpstreamsWatchJSON prints values and nothing else, so that a program can read on.
func TestUpstreamsWatchJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		u := &upstreams{operator: operator{output: outputJSON}, provider: "evolink", look: func(context.Context) ([]admin.Endpoint, error) {
			if looks++; looks == 2 {
				return nil, errors.New("no")
			}
			return endpoints(time.Now()), nil
		}}
		stdout, stderr := watched(t, u, 5*time.Second)
		decoder := json.NewDecoder(strings.NewReader(stdout))
		for look := range 2 {
			var got struct{ Endpoints []admin.Endpoint }
			if err := decoder.Decode(&got); err != nil || len(got.Endpoints) != 1 || got.Endpoints[0].Provider != "evolink" {
				t.Errorf("look %d: %+v, %v", look, got, err)
			}
		}
		if decoder.More() || stderr != "tollgate: no\n" {
			t.Errorf("more than two values, or no error, in\n%s%s", stdout, stderr)
		}
	})
}

// TestUpstreamsWatchGoesOnWhenALookHangs interrupts the last look, which is no error.
func TestUpstreamsWatchGoesOnWhenALookHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := func(format outputFormat, stdout, stderr string) {
			t.Helper()
			began := time.Now()
			u := &upstreams{operator: operator{output: format}, look: func(ctx context.Context) ([]admin.Endpoint, error) {
				<-ctx.Done()
				return nil, fmt.Errorf("after %s: %w", time.Since(began), ctx.Err())
			}}
			got, complaint := watched(t, u, 7*time.Second)
			if got != stdout || complaint != stderr {
				t.Errorf("%s: printed %q and %q, want %q and %q", format, got, complaint, stdout, stderr)
			}
		}
		f(outputTable, "2000-01-01 00:00:05Z\ntollgate: after 5s: context deadline exceeded\n\n", "")
		f(outputJSON, "", "tollgate: after 5s: context deadline exceeded\n")
	})
}

func TestBrief(t *testing.T) {
	f := func(d time.Duration, want string) {
		t.Helper()
		if got := brief(d); got != want {
			t.Errorf("%d ns: got %s, want %s", d, got, want)
		}
	}
	f(0, "0s")
	f(1*time.Millisecond, "1ms")
	f(999*time.Millisecond, "999ms")
	f(1240*time.Millisecond, "1.2s")
	f(12_400*time.Millisecond, "12s")
	f(200*time.Second, "3m20s")
	f(time.Hour, "1h0m")
	f(73*time.Hour+5*time.Minute+29*time.Second, "73h5m")
}

// TestUpstreamsOfAGateway asks a real one.
func TestUpstreamsOfAGateway(t *testing.T) {
	g := operated(t)
	got := tollgate(t, g.args("upstreams")...)
	const want = `PROVIDER   MODEL                  URL                                  CREDENTIAL  STATE  PENDING  FIRST EVENT  ANSWER  LAST ERROR  NEXT PROBE  WHY
starmagic  gemini-2.5-flash-lite  http://127.0.0.1:40000/starmagic/v1  #1 ...BBBB  ready  0        -            -       -           -           -
`
	if got.code != exitDone || steady(got.stdout) != want || got.stderr != "" {
		t.Errorf("%+v\nwant\n%s", got, want)
	}
	got = tollgate(t, g.args("upstreams", "-o", "json", "--provider", "starmagic", "--model", "gemini-2.5-flash-lite")...)
	for _, name := range []string{"endpoints", "provider", "url", "credential", "model", "state", "pending"} {
		if !strings.Contains(got.stdout, `"`+name+`":`) || got.code != exitDone {
			t.Errorf("no %q in %+v", name, got)
		}
	}
	got = tollgate(t, g.args("upstreams", "-o", "json", "--provider", "evolink")...)
	if got.code != exitDone || got.stdout != "{\n  \"endpoints\": []\n}\n" || got.stderr == "" {
		t.Errorf("a provider that is not there: %+v", got)
	}

	b := serveInBackground(t, g.args("upstreams", "--watch", "--every", "100ms")...)
	b.stdout.await(t, "starmagic")
	if got := b.stop(); got.code != exitDone || got.stderr != "" || strings.Contains(got.stdout, "\x1b") {
		t.Errorf("--watch, interrupted: %+v", got)
	}
}

// TestUpstreamsInMetrics holds a scrape against the same gateway: an alert and the
// command must not disagree. What needs no token shows nothing of a credential.
func TestUpstreamsInMetrics(t *testing.T) {
	g := operated(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.operate[1]+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	const endpoint = `{gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-2.5-flash-lite",tollgate_credential="#1",`
	for _, want := range []string{
		`tollgate_upstream_state` + endpoint + `tollgate_state="ready",tollgate_upstream="http://127.0.0.1:40000/starmagic/v1"} 1`,
		`tollgate_upstream_pending` + endpoint + `tollgate_upstream="http://127.0.0.1:40000/starmagic/v1"} 0`,
	} {
		if !strings.Contains(steady(string(text)), want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "wxyz") {
		t.Errorf("the end of a credential is in\n%s", text)
	}
}
