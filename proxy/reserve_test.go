package proxy

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"tollgate/keys"
	"tollgate/proxy/scan"
	"tollgate/ratelimit"
	"tollgate/upstream"
	"tollgate/usage"
)

// TestReservation is what requests are taken for, before anybody has counted them.
func TestReservation(t *testing.T) {
	const (
		head = `{"model":"any","messages":[{"role":"user","content":`
		tail = `}]`
	)
	image := func(url string) string { return `{"type":"image_url","image_url":{"url":"` + url + `"}}` }
	megabyte := base64.StdEncoding.EncodeToString(make([]byte, 1<<20))
	forecast := ratelimit.NewForecast()
	g := &Gateway{Options: Options{Forecast: forecast}}
	f := func(body string, completion int64, media int, mediaBytes int) {
		t.Helper()
		var d scan.Document
		must(t, d.Parse([]byte(body)))
		x := &exchange{gateway: g, plan: &Plan{MaxCompletionTokens: 5000}, document: &d, key: &keys.Key{ID: "key_1"}, model: &upstream.Model{Name: "any"}}
		want := (int64(len(body)-mediaBytes)+2)/3 + int64(media)*258 + completion
		if got := x.reservation(); got != want {
			t.Errorf("%.90s: %d tokens, want %d", body, got, want)
		}
	}
	f(head+`"hello"`+tail+`}`, 1024, 0, 0)
	f(head+`"hello"`+tail+`,"n":4}`, 4*1024, 0, 0)
	f(head+`"hello"`+tail+`,"max_tokens":10,"n":3}`, 30, 0, 0)
	f(head+`"hello"`+tail+`,"max_completion_tokens":5001}`, 5000, 0, 0)
	f(head+`"hello"`+tail+`,"max_tokens":2147483647,"n":128}`, 128*5000, 0, 0)
	f(head+`"`+strings.Repeat("word ", 10_000)+`"`+tail+`,"max_tokens":1}`, 1, 0, 0)
	f(head+`"x"`+tail+`,"max_tokens":1,"tools":[{"type":"function","function":{"name":"f","description":"`+strings.Repeat("long ", 900)+`"}}]}`, 1, 0, 0)
	f(head+`[`+image("https://example.com/cat.png")+`]`+tail+`,"max_tokens":1}`, 1, 1, 0)
	png := "data:image/png;base64," + megabyte
	f(head+`[`+image(png)+`,`+image(png)+`,{"type":"text","text":"two cats"}]`+tail+`,"max_tokens":1}`, 1, 2, 2*len(png))
	f(head+`[{"type":"input_audio","input_audio":{"data":"`+megabyte+`","format":"wav"}}]`+tail+`,"max_tokens":1}`, 1, 1, len(megabyte))
	f(head+`[`+image("data:text/plain,"+strings.Repeat("words", 500))+`]`+tail+`,"max_tokens":1}`, 1, 1, 0) // which is text
	for range 1000 {
		forecast.Learn("key_1", "any", 1_000_000)
	}
	f(head+`"hello"`+tail+`,"n":2}`, 2*5000, 0, 0) // no longer than is believed of anybody
}

// TestForecastsFollowAnswers has a key whose answers are short, and one whose answers are long: each request without a
// limit of its own is soon taken for what those before it were.
func TestForecastsFollowAnswers(t *testing.T) {
	prompt := int64(len(plainAlias)+2) / 3
	for _, completion := range []int{40, 6000} {
		r := newRig(t, answering(large(10, completion)), rigOptions{memory: true, spec: keys.Spec{Limits: keys.Limits{TokensPerMinute: 1_000_000_000}}})
		for range 60 {
			if got := r.ask(plainAlias); got.status != 200 {
				t.Fatal(got.body)
			}
		}
		reserved := r.gateway.Explain(t.Context(), r.key, []byte(plainAlias)).Request.ReservedTokens
		if least, most := prompt+int64(completion), prompt+int64(completion)*3/2; reserved < least || reserved > most {
			t.Errorf("after answers of %d tokens a request is taken for %d, want %d to %d", completion, reserved, least, most)
		}
		_, other := r.issue(keys.Spec{Limits: r.key.Limits})
		r.secret = other
		if got := r.ask(plainAlias); got.status != 200 {
			t.Fatal(got.body)
		}
		r.idle()
	}
}

// TestChoicesAreForecastEach learns from answers of several choices how long one is.
func TestChoicesAreForecastEach(t *testing.T) {
	four := strings.Replace(plainAlias, "}]}", `}],"n":4}`, 1)
	four = strings.Replace(four, "gemini-flash", "any", 1)
	r := newRig(t, answering(large(10, 4000)), rigOptions{memory: true, spec: keys.Spec{Limits: keys.Limits{TokensPerMinute: 1_000_000_000}}})
	for range 60 {
		if got := r.ask(four); got.status != 200 {
			t.Fatal(got.body)
		}
	}
	reserved := r.gateway.Explain(t.Context(), r.key, []byte(four)).Request.ReservedTokens
	if reserved < 4000 || reserved > 6000 {
		t.Errorf("%d tokens reserved for four choices of 1000", reserved)
	}
	r.idle()
}

// TestTokensAreSettled ends requests in every way, and finds the limits without what their records say, no more and no
// less; and the slot free as soon as the client has its last byte.
func TestTokensAreSettled(t *testing.T) {
	const (
		limit = 60_000 // 1,000 come back in a second
		plain = `{"model":"any","messages":[{"role":"user","content":"hello"}],"max_tokens":30000}`
	)
	stream := strings.Replace(plain, `"max_tokens"`, `"stream":true,"max_tokens"`, 1)
	usageOf := func(text string) string {
		return strings.Replace(text, `"prompt_tokens":3,"completion_tokens":2,"total_tokens":5`, `"prompt_tokens":9000,"completion_tokens":6000,"total_tokens":15000`, 1)
	}
	of := func(r *upstream.Response) legFunc {
		return func(context.Context, *upstream.Request) (*upstream.Response, error) { return r, nil }
	}
	panics := func(next Recorder) Recorder { return panicRecorder{next} }
	fails := func(next Recorder) Recorder { return failingRecorder{next} }
	for _, c := range []struct {
		name     string
		body     string
		leg      legFunc
		recorder func(Recorder) Recorder
		tokens   int64 // -1: what the record says, which is not nothing
	}{
		{"a plain answer", plain, answering(large(9000, 6000)), nil, 15_000},
		{"more than was reserved", plain, answering(large(30_000, 25_000)), nil, 55_000},
		{"a stream", stream, of(streamAnswer(strings.NewReader(usageOf(someStream)))), nil, 15_000},
		{"a stream that breaks off", stream, of(streamAnswer(broken(someContent(100)))), nil, -1},
		{"a stream that breaks off behind its figures", stream, of(streamAnswer(broken(strings.TrimSuffix(usageOf(someStream), "data: [DONE]\n\n")))), nil, 15_000},
		{"a stream that breaks off at once", stream, of(streamAnswer(broken(""))), nil, 0},
		{"no figures", plain, answering(strings.Replace(someAnswer, `,"usage"`, `,"other"`, 1)), nil, -1},
		{"figures that cannot be true", plain, answering(large(10, 40_000)), nil, -1},
		{"an answer of nothing", plain, answering(strings.Replace(large(9000, 0), `"hi"`, `""`, 1)), nil, 0},
		{"every provider fails", plain, of(plainAnswer(500, "")), nil, 0},
		{"nobody can be reached", plain, func(context.Context, *upstream.Request) (*upstream.Response, error) { return nil, errors.New("reset") }, nil, 0},
		{"the provider refuses", plain, of(plainAnswer(400, `{"error":{"message":"no"}}`)), nil, 0},
		{"a panic in an attempt", plain, func(context.Context, *upstream.Request) (*upstream.Response, error) { panic("canary") }, nil, 0},
		{"a panic in an answer", stream, of(streamAnswer(io.MultiReader(strings.NewReader(someContent(100)), panicReader{}))), nil, -1},
		{"a record that is lost", plain, answering(large(9000, 6000)), fails, 15_000},
		{"a panic of the ledger", plain, answering(large(9000, 6000)), panics, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.leg, rigOptions{
				memory: true, recorder: c.recorder, limits: func(*ratelimit.Config) {},
				spec: keys.Spec{Limits: keys.Limits{TokensPerMinute: limit, Concurrent: 1}},
			})
			r.limitTenant(keys.Limits{TokensPerMinute: 2 * limit, Concurrent: 1})
			began := time.Now()
			got := r.ask(c.body)
			r.idle()
			want := c.tokens
			if c.recorder == nil {
				record := r.record(got)
				if want = record.Prompt + record.Completion; c.tokens >= 0 && want != c.tokens || c.tokens < 0 && want == 0 {
					t.Fatalf("%d %s: recorded %+v, want %d tokens", got.status, got.body, record, c.tokens)
				}
			}
			r.wantSpent(want, began)
		})
	}
}

// wantSpent compares what is missing of both limits of tokens with what was used since.
func (r *rig) wantSpent(tokens int64, since time.Time) {
	r.t.Helper()
	standing := r.standing()
	for _, limit := range [...]ratelimit.Limit{ratelimit.KeyTokens, ratelimit.TenantTokens} {
		d := standing[limit]
		back := int64(time.Since(since).Seconds()*float64(d.Limit)/60) + 1
		if missing := d.Limit - d.Remaining; missing > tokens || missing < tokens-back {
			r.t.Errorf("%s: %d tokens are missing, want %d, of which %d may have come back", limit, missing, tokens, back)
		}
	}
	if held := r.gateway.Limiter.Stats().Held; held != 0 {
		r.t.Errorf("%d slots are held", held)
	}
}

// TestTokensOfClientsThatLeave lets a client leave in the middle of its stream: what it had is settled, the rest
// given back, and its slot is free.
func TestTokensOfClientsThatLeave(t *testing.T) {
	const limit = 60_000
	p := newProvider(func(ctx context.Context) (*upstream.Response, error) {
		return streamAnswer(io.MultiReader(strings.NewReader(oneWord), hangReader{ctx})), nil
	})
	r := newSocketRig(t, p, rigOptions{
		memory: true, limits: func(*ratelimit.Config) {}, spec: keys.Spec{Limits: keys.Limits{TokensPerMinute: limit, Concurrent: 1}},
	})
	r.limitTenant(keys.Limits{TokensPerMinute: 2 * limit, Concurrent: 1})
	began := time.Now()
	conn := r.start(strings.Replace(streamOne, `"stream"`, `"max_tokens":30000,"stream"`, 1))
	expect(t, conn, "some words")
	if held := r.gateway.Limiter.Stats().Held; held != 2 {
		t.Errorf("%d slots are held meanwhile, want one of the key's and one of the tenant's", held)
	}
	must(t, conn.Close())
	record := r.only()
	if record.EndReason != usage.EndClientGone || record.Completion == 0 {
		t.Errorf("billed %+v", record)
	}
	r.wantSpent(record.Prompt+record.Completion, began)
}

// TestOneAfterTheOther is a client that may have one request in progress, and sends the next as soon as it has the last
// byte of the answer, each time over another connection: it is never told to wait.
func TestOneAfterTheOther(t *testing.T) {
	r := newSocketRig(t, legFunc(func(_ context.Context, q *upstream.Request) (*upstream.Response, error) {
		if q.Stream {
			return streamAnswer(strings.NewReader(someStream)), nil
		}
		return plainAnswer(200, someAnswer), nil
	}), rigOptions{memory: true, limits: func(*ratelimit.Config) {}, spec: keys.Spec{Limits: keys.Limits{Concurrent: 1}}})
	for i := range 100 {
		body, last := plainAlias, `"total_tokens":5}}`
		if i%2 == 1 {
			body, last = streamAlias, "[DONE]"
		}
		conn := r.start(body)
		expect(t, conn, last)
		if held := r.gateway.Limiter.Stats().Held; held != 0 {
			t.Fatalf("request %d: %d slots are held although its last byte is here", i, held)
		}
		must(t, conn.Close())
	}
	r.wantDecisions("allowed", "concurrent", 100)
}
