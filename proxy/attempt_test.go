package proxy

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"tollgate/upstream"
	"tollgate/usage"

	"github.com/google/go-cmp/cmp"
)

const (
	someAnswer = `{"id":"a1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`
	someStream = `data: {"id":"s1","choices":[{"index":0,"delta":{"role":"assistant"}}]}` + "\n\n" +
		`data: {"id":"s1","choices":[{"index":0,"delta":{"content":"hi"}}]}` + "\n\n" +
		`data: {"id":"s1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n" +
		`data: {"id":"s1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}` + "\n\n" +
		"data: [DONE]\n\n"
	plainAlias  = `{"model":"gemini-flash","messages":[{"role":"user","content":"hello"}]}`
	streamAlias = `{"model":"gemini-flash","messages":[{"role":"user","content":"hello"}],"stream":true}`
)

// broken is a body that breaks off after its text.
func broken(text string) io.Reader {
	return io.MultiReader(strings.NewReader(text), errorReader{io.ErrUnexpectedEOF})
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// TestFailover makes the first provider of an alias fail in every way that the
// client must not notice: the answer is the second one's, billed once.
func TestFailover(t *testing.T) {
	html := func() *upstream.Response {
		r := plainAnswer(200, "<html>welcome</html>")
		r.ContentType = "text/html"
		return r
	}
	status := func(code int) func() (*upstream.Response, error) {
		return func() (*upstream.Response, error) {
			return plainAnswer(code, `{"error":{"message":"no","type":"x","param":null,"code":null}}`), nil
		}
	}
	body := func(text string) func() (*upstream.Response, error) {
		return func() (*upstream.Response, error) { return plainAnswer(200, text), nil }
	}
	stream := func(r io.Reader) func() (*upstream.Response, error) {
		return func() (*upstream.Response, error) { return streamAnswer(r), nil }
	}
	f := func(name, request string, first func() (*upstream.Response, error)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			var asked []string
			r := newRig(t, legFunc(func(_ context.Context, q *upstream.Request) (*upstream.Response, error) {
				asked = append(asked, q.Candidate.Provider.Name)
				if len(asked) == 1 {
					return first()
				}
				if q.Stream {
					return streamAnswer(strings.NewReader(someStream)), nil
				}
				return plainAnswer(200, someAnswer), nil
			}), rigOptions{})
			got := r.ask(request)
			if got.status != 200 || got.err != nil || !strings.Contains(got.body, `"hi"`) {
				t.Errorf("the client noticed: %d %v %s", got.status, got.err, got.body)
			}
			if strings.Join(asked, " ") != "starmagic theturbo" {
				t.Errorf("asked %v", asked)
			}
			record := r.record(got)
			if record.Provider != "theturbo" || record.Attempt != 1 || record.Prompt != 3 || record.Completion != 2 || record.EndReason != usage.EndCompleted {
				t.Errorf("billed %+v", record)
			}
			r.idle()
		})
	}
	for _, code := range []int{301, 401, 402, 403, 429, 500, 502, 503, 529} {
		f("plain status "+strconv.Itoa(code), plainAlias, status(code))
		f("stream status "+strconv.Itoa(code), streamAlias, status(code))
	}
	f("the provider does not know its model", plainAlias, func() (*upstream.Response, error) {
		return plainAnswer(404, `{"error":{"message":"no such model","type":"invalid_request_error","param":"model","code":"model_not_found"}}`), nil
	})
	f("no connection", plainAlias, func() (*upstream.Response, error) {
		return nil, &upstream.ConnectError{Address: "x:1", Err: errors.New("refused")}
	})
	f("cut before the head", streamAlias, func() (*upstream.Response, error) { return nil, io.ErrUnexpectedEOF })
	f("an error inside a 200", plainAlias, body(`{"error":{"message":"overloaded"}}`))
	f("not JSON", plainAlias, body(`{"id":`))
	f("an object that is no answer", plainAlias, body(`{}`))
	f("an error of another shape", plainAlias, body(`{"code":500,"msg":"internal failure"}`))
	f("no choices", plainAlias, body(`{"id":"a","choices":[]}`))
	f("no finish reason", plainAlias, body(strings.Replace(someAnswer, `"stop"`, `null`, 1)))
	f("nothing", plainAlias, body(``))
	f("HTML", plainAlias, func() (*upstream.Response, error) { return html(), nil })
	f("a plain answer cut short", plainAlias, func() (*upstream.Response, error) {
		r := plainAnswer(200, someAnswer)
		r.Body = io.NopCloser(broken(someAnswer[:40]))
		return r, nil
	})
	f("a stream that is HTML", streamAlias, func() (*upstream.Response, error) { return html(), nil })
	f("an empty stream", streamAlias, stream(strings.NewReader("")))
	f("a stream of [DONE] alone", streamAlias, stream(strings.NewReader("data: [DONE]\n\n")))
	f("a stream whose first event is an error", streamAlias, stream(strings.NewReader(`data: {"error":{"message":"overloaded"}}`+"\n\n")))
	f("a stream whose first event is not JSON", streamAlias, stream(strings.NewReader("data: welcome\n\n")))
	f("a stream cut after the role", streamAlias, stream(broken(someStream[:strings.Index(someStream, "\n\n")+2])))
	f("a stream cut inside its first content", streamAlias, stream(broken(someStream[:strings.Index(someStream, `"hi"`)+1])))
	f("a plain answer to a stream", streamAlias, body(someAnswer))
}

// TestNobodyAnswers expects the error table's answers, and one record that
// charges nothing.
func TestNobodyAnswers(t *testing.T) {
	f := func(name, request string, leg legFunc, status int, code string, end usage.EndReason) {
		t.Helper()
		source := usage.SourceNone
		if end == usage.EndUpstreamTimeout {
			source = usage.SourcePartial // the provider may charge us for what it never sent
		}
		t.Run(name, func(t *testing.T) {
			r := newRig(t, leg, rigOptions{})
			got := r.ask(request)
			kind, gotCode, _, _ := errorOf(t, got)
			if got.status != status || kind != "server_error" && status >= 500 || gotCode != code {
				t.Errorf("got %d %s", got.status, got.body)
			}
			if record := r.record(got); record.EndReason != end || record.Charge != 0 || record.Source != source {
				t.Errorf("billed %+v", record)
			}
			r.idle()
		})
	}
	f("three times 500", plainAlias, func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return plainAnswer(500, ""), nil
	}, 502, "upstream_error", usage.EndUpstreamFailed)
	f("three cut streams", streamAlias, func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(broken(": hello\n\n")), nil
	}, 502, "upstream_error", usage.EndUpstreamFailed)
	f("time-outs", streamAlias, func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return nil, context.DeadlineExceeded
	}, 504, "upstream_timeout", usage.EndUpstreamTimeout)
	f("the request is refused", plainAlias, func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return plainAnswer(422, `{"error":{"message":"temperature is too\nhigh for sk-live-0123456789abcdef","type":"invalid_request_error","param":"temperature","code":"out_of_range"}}`), nil
	}, 422, "out_of_range", usage.EndRefused)
}

// TestRefusalIsSanitised shows what of a provider's refusal reaches a client.
func TestRefusalIsSanitised(t *testing.T) {
	r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return plainAnswer(400, `{"error":{"message":"temperature is too\nhigh for provider-key-starmagic9 at https://internal.example/x","type":"evil\r\ntype","param":"a b","code":7}}`), nil
	}), rigOptions{})
	got := r.ask(plainAlias)
	want := `{"error":{"message":"temperature is too high for [redacted] at [redacted]","type":"invalid_request_error","param":null,"code":"upstream_refused"}}`
	if got.status != 400 || got.body != want {
		t.Errorf("got  %d %s\nwant 400 %s", got.status, got.body, want)
	}
}

// TestKeysInDisguise are words that a provider may have made of a credential.
func TestKeysInDisguise(t *testing.T) {
	f := func(word string, want bool) {
		t.Helper()
		if got := looksSecret(word); got != want {
			t.Errorf("%q: %t, want %t", word, got, want)
		}
	}
	f("sk-provider-4f7d1c9a2b6e8035", true)
	f(`"sk-provider%2B4f7d1c9a%2F2b"`, true)
	f(`("sk-short")`, true)
	f("[sk-short],", true)
	f("%73%6b%2d%70%72%6f%76%69%64%65%72", true)
	f("c2stcHJvdmlkZXItNGY3ZDFjOWE=", true)
	f("736b2d70726f7669646572", true)
	f("temperature", false)
	f("task-force", false)
	f("gemini-2.5-flash-lite-preview", false)
	f("100%", false)
}

// TestRefusalFields is what may be shown of a refusal's type, code and param.
func TestRefusalFields(t *testing.T) {
	f := func(is func(string) bool, s string, want bool) {
		t.Helper()
		if got := is(s); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
	f(isCode, "context_length_exceeded", true)
	f(isCode, "", false)
	f(isCode, "_", false)
	f(isCode, "sk-provider-4f7d1c9a", false)
	f(isCode, "sk_4f7d1c9a", false)
	f(isCode, "Evil\r\nHeader", false)
	f(isCode, strings.Repeat("a", 49), false)
	f(isFieldPath, "temperature", true)
	f(isFieldPath, "messages[3].content[0].image_url.url", true)
	f(isFieldPath, "messages.3", false)
	f(isFieldPath, "messages[3", false)
	f(isFieldPath, "messages[]", false)
	f(isFieldPath, "messages[12345]", false)
	f(isFieldPath, "sk-provider-4f7d1c9a", false)
}

// TestTimeLimits lets one provider hang in each phase: before the first
// forwarded byte the next one answers, after it the stream ends visibly.
func TestTimeLimits(t *testing.T) {
	hang := func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	quick := func(c *upstream.Config) {
		for name, m := range c.Models {
			m.Timeouts = upstream.Timeouts{FirstToken: 30e6, Answer: 30e6, Idle: 30e6}
			c.Models[name] = m
		}
	}
	f := func(name, request string, first func(ctx context.Context) (*upstream.Response, error), check func(r *rig, got answer)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			asked := 0
			r := newRig(t, legFunc(func(ctx context.Context, q *upstream.Request) (*upstream.Response, error) {
				if asked++; asked == 1 {
					return first(ctx)
				}
				if q.Stream {
					return streamAnswer(strings.NewReader(someStream)), nil
				}
				return plainAnswer(200, someAnswer), nil
			}), rigOptions{upstream: quick})
			check(r, r.ask(request))
			r.idle()
		})
	}
	served := func(r *rig, got answer) {
		if record := r.record(got); got.status != 200 || got.err != nil || record.Provider != "theturbo" {
			r.t.Errorf("got %d %v %s, record %+v", got.status, got.err, got.body, record)
		}
	}
	f("no head of a plain answer", plainAlias, func(ctx context.Context) (*upstream.Response, error) { return nil, hang(ctx) }, served)
	f("no head of a stream", streamAlias, func(ctx context.Context) (*upstream.Response, error) { return nil, hang(ctx) }, served)
	f("half a plain answer", plainAlias, func(ctx context.Context) (*upstream.Response, error) {
		a := plainAnswer(200, someAnswer)
		a.Body = io.NopCloser(io.MultiReader(strings.NewReader(someAnswer[:20]), hangReader{ctx}))
		return a, nil
	}, served)
	f("a role and then nothing", streamAlias, func(ctx context.Context) (*upstream.Response, error) {
		return streamAnswer(io.MultiReader(strings.NewReader(someStream[:strings.Index(someStream, "\n\n")+2]), hangReader{ctx})), nil
	}, served)
	f("a first event at the very end of its time", streamAlias, func(ctx context.Context) (*upstream.Response, error) {
		event := someStream[:strings.Index(someStream, `"hi"`)+10] + "\n\n"
		return streamAnswer(io.MultiReader(lateReader{ctx}, strings.NewReader(event), hangReader{ctx})), nil
	}, served)
	f("silence after content", streamAlias, func(ctx context.Context) (*upstream.Response, error) {
		return streamAnswer(io.MultiReader(strings.NewReader(someStream[:strings.Index(someStream, `"hi"`)+10]+"\n\n"), hangReader{ctx})), nil
	}, func(r *rig, got answer) {
		if got.status != 200 || got.err == nil || strings.Contains(got.body, "[DONE]") || !strings.Contains(got.body, `"code":"upstream_timeout"`) {
			r.t.Errorf("got %d %v %s", got.status, got.err, got.body)
		}
		if record := r.record(got); record.EndReason != usage.EndUpstreamTimeout || record.Source != usage.SourcePartial || record.Completion == 0 {
			r.t.Errorf("billed %+v", record)
		}
	})
}

// TestForbiddenEverywhere asks providers of whom all, or only the last, forbid the
// request: where one has merely failed, it is worth another try.
func TestForbiddenEverywhere(t *testing.T) {
	f := func(retry string, statuses ...int) {
		t.Helper()
		asked := 0
		r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
			asked++
			return plainAnswer(statuses[asked-1], `{}`), nil
		}), rigOptions{})
		got := r.ask(plainAlias)
		if _, code, _, _ := errorOf(t, got); got.status != 502 || code != "upstream_error" || got.header.Get("X-Should-Retry") != retry {
			t.Errorf("%v: got %d %s, x-should-retry %q, want it %q", statuses, got.status, got.body, got.header.Get("X-Should-Retry"), retry)
		}
		r.idle()
	}
	f("false", 403, 403, 403)
	f("", 500, 403, 403)
	f("", 403, 403, 500)
}

// TestTheTimeOfAllAttempts has the first provider use up most of a request's time:
// the second, which is cut off with the rest, has done nothing wrong.
func TestTheTimeOfAllAttempts(t *testing.T) {
	r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}), rigOptions{upstream: func(c *upstream.Config) {
		m := c.Models["gemini-flash"]
		m.Timeouts = upstream.Timeouts{FirstToken: 200e6, Total: 400e6}
		c.Models["gemini-flash"] = m
	}})
	got := r.ask(streamAlias)
	if _, code, _, message := errorOf(t, got); got.status != 504 || code != "upstream_timeout" || !strings.Contains(message, "timeouts.total") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	r.idle()
	var outcomes []string
	for _, line := range r.counters() {
		if strings.HasPrefix(line, "tollgate.attempts{") {
			outcomes = append(outcomes, line)
		}
	}
	want := []string{
		"tollgate.attempts{gen_ai.provider.name=starmagic,gen_ai.request.model=gemini-2.5-flash-lite,tollgate.outcome=timeout} 1",
		"tollgate.attempts{gen_ai.provider.name=theturbo,gen_ai.request.model=gemini-2.0-flash,tollgate.outcome=out_of_time} 1",
	}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		t.Error(diff)
	}
}

// hangReader blocks until its context ends, as a socket does.
type hangReader struct{ ctx context.Context }

func (r hangReader) Read([]byte) (int, error) {
	<-r.ctx.Done()
	return 0, context.Cause(r.ctx)
}

// lateReader waits until its context ends, and lets what is behind it come.
type lateReader struct{ ctx context.Context }

func (r lateReader) Read([]byte) (int, error) {
	<-r.ctx.Done()
	return 0, io.EOF
}
