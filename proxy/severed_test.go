package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/keys"
	"tollgate/upstream"
	"tollgate/usage"
)

// revokedEvent is how a stream ends whose key was revoked at once.
const revokedEvent = `data: {"error":{"message":"the API key was revoked: its open answers end here, and what came so far is incomplete","type":"invalid_request_error","param":null,"code":"key_revoked"}}` + "\n\n"

// sever revokes the rig's key at once.
func (r *rig) sever() {
	r.t.Helper()
	_, err := r.keys.By("test").Revoke(context.Background(), r.key.ID, keys.AtOnce)
	must(r.t, err)
}

// opened is a stream whose head has come.
type opened struct {
	t        *testing.T
	response *http.Response
}

// open asks for a stream with the rig's present secret.
func (r *socketRig) open(body string) *opened {
	r.t.Helper()
	d := r.talk()
	d.say(r.request(body))
	response, err := http.ReadResponse(d.in, nil)
	must(r.t, err)
	return &opened{r.t, response}
}

// next reads what comes next, which must be text, but for comments before it.
func (o *opened) next(text string) {
	o.t.Helper()
	got := ""
	for len(got) < len(text) {
		part := make([]byte, len(text)-len(got))
		n, err := io.ReadFull(o.response.Body, part)
		got = withoutComments(got + string(part[:n]))
		if err != nil {
			o.t.Fatalf("%v after %q", err, got)
		}
	}
	if got != text {
		o.t.Fatalf("got %q\nwant %q", got, text)
	}
}

func withoutComments(text string) string { return strings.ReplaceAll(text, ": keep-alive\n\n", "") }

// rest reads to the end, which is reported with err.
func (o *opened) rest() answer {
	body, err := io.ReadAll(o.response.Body)
	return answer{o.response.StatusCode, o.response.Header, string(body), err}
}

// TestSeveredStream revokes one of two keys at once while each has an open stream: its own
// ends at the next event, and the other goes on to its [DONE].
func TestSeveredStream(t *testing.T) {
	f := func(name string, aloud bool) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, firstFeed := pipedProvider()
			second, secondFeed := pipedProvider()
			legs := make(chan *provider, 2)
			legs <- first
			legs <- second
			r := newSocketRig(t, legFunc(func(ctx context.Context, q *upstream.Request) (*upstream.Response, error) {
				p := <-legs
				if aloud {
					time.Sleep(150 * time.Millisecond) // until comments have begun the answer
				}
				return p.Do(ctx, q)
			}), rigOptions{server: func(c *Config) {
				c.KeepaliveComment, c.KeepaliveBeforeFirstToken = 100*time.Millisecond, aloud
			}})
			say := func(feed io.Writer, text string) {
				t.Helper()
				_, err := io.WriteString(feed, text)
				must(t, err)
			}
			begin := func(feed io.Writer) *opened {
				go func() { _, _ = io.WriteString(feed, oneWord) }() // its head comes with it
				o := r.open(streamOne)
				o.next(oneWord)
				return o
			}
			own := begin(firstFeed)
			severed := r.key.ID
			otherKey, otherSecret := r.issue(keys.Spec{})
			ownSecret := r.secret
			r.secret = otherSecret
			other := begin(secondFeed)
			r.secret = ownSecret

			r.sever()
			say(firstFeed, strings.Repeat(oneWord, 3))
			if got := own.rest(); withoutComments(got.body) != revokedEvent || !errors.Is(got.err, io.ErrUnexpectedEOF) {
				t.Errorf("the severed stream ended with %v after %q", got.err, got.body)
			} else if record := r.record(got); record.EndReason != usage.EndKeyRevoked || record.KeyID != severed || record.Source != usage.SourcePartial ||
				record.Completion != 5 || record.Prompt != 1 || record.Charge != 1*1000+5*2000 {
				t.Errorf("recorded %+v", record)
			}
			eventually(t, "an end of its provider's request", func() bool { return len(first.cancelled) > 0 })
			if len(second.cancelled) > 0 {
				t.Error("the other stream's provider was cancelled")
			}
			say(secondFeed, oneWord+someStream)
			if got := other.rest(); got.err != nil || !strings.HasPrefix(withoutComments(got.body), oneWord) || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
				t.Errorf("the other stream ended with %v after %q", got.err, got.body)
			} else if record := r.record(got); record.EndReason != usage.EndCompleted || record.KeyID != otherKey.ID {
				t.Errorf("recorded %+v", record)
			}
			if again := r.ask(streamOne); again.status != 401 {
				t.Errorf("the next request: %d", again.status)
			}
		})
	}
	f("ordinary", false)
	f("begun with comments", true)
}

// TestSeveredInSilence ends streams whose providers say nothing more, whatever their
// comments.
func TestSeveredInSilence(t *testing.T) {
	const often = 100 * time.Millisecond
	f := func(name, begin string, comment time.Duration, aloud bool, charge usage.NanoUSD) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(func(ctx context.Context) (*upstream.Response, error) {
				return streamAnswer(io.MultiReader(strings.NewReader(begin), hangReader{ctx})), nil
			})
			r := newSocketRig(t, p, rigOptions{server: func(c *Config) {
				c.KeepaliveComment, c.KeepaliveBeforeFirstToken = comment, aloud
			}})
			o := r.open(streamOne)
			if !aloud {
				o.next(begin)
			}
			r.sever()
			got := o.rest()
			if rest := withoutComments(got.body); rest != revokedEvent || got.err == nil {
				t.Errorf("ended with %v after %q", got.err, got.body)
			}
			eventually(t, "an end of the provider's request", func() bool { return len(p.cancelled) > 0 })
			if record := r.record(got); record.EndReason != usage.EndKeyRevoked || record.Charge != charge {
				t.Errorf("recorded %+v", record)
			}
			if line := r.settled(); !strings.Contains(line, `"error_code":"key_revoked"`) || !strings.Contains(line, `"end_reason":"key_revoked"`) {
				t.Errorf("the line of the log: %s", line)
			}
		})
	}
	f("after an event", oneWord, often, false, 1*1000+5*2000)
	f("after an event, with comments every now and then", oneWord, time.Hour, false, 1*1000+5*2000)
	f("after an event, without comments", oneWord, 0, false, 1*1000+5*2000)
	f("before the first", "", often, true, 0)
	f("before the first with content", roleOnly, often, true, 0)
}

// TestSeveredWhenTimeIsOut blames the end of the key, and not the provider, where both
// a time limit and the key have ended while the client was written to.
func TestSeveredWhenTimeIsOut(t *testing.T) {
	r := newRig(t, legFunc(nil), rigOptions{})
	x := &exchange{gateway: r.gateway, model: mustModel(r), watch: r.keys.Cuts().Watch(r.key.ID)}
	x.record.Stream = true
	f := func(cause error, want usage.EndReason) {
		t.Helper()
		s := relayedServing(r.gateway, nil)
		defer s.alarm.stop()
		s.cancel(cause)
		end := relay{x: x, s: s}
		if got, _ := end.interruption(cause); got != want {
			t.Errorf("%v: %s, want %s", cause, got, want)
		}
	}
	f(errTotal, usage.EndUpstreamTimeout)
	r.sever()
	f(errTotal, usage.EndKeyRevoked)
	f(errIdle, usage.EndKeyRevoked)
	f(io.ErrUnexpectedEOF, usage.EndUpstreamCut)
}

// TestSeveredInsideAnEvent lets an event that is on its way come to its end.
func TestSeveredInsideAnEvent(t *testing.T) {
	p, feed := pipedProvider()
	r := newSocketRig(t, p, rigOptions{})
	giant := strings.Replace(oneWord, "some words", strings.Repeat("x", 200<<10), 1)
	go func() { _, _ = io.WriteString(feed, giant[:150<<10]) }()
	o := r.open(streamOne)
	o.next(giant[:64<<10])
	r.sever()
	go func() { _, _ = io.WriteString(feed, giant[150<<10:]+oneWord) }()
	if got := o.rest(); got.body != giant[64<<10:]+revokedEvent {
		t.Errorf("%d bytes, ending with %q; want the whole event of %d, and then the error", len(got.body), got.body[max(0, len(got.body)-400):], len(giant))
	}
}

// TestSeveredBeforeTheFirstEvent revokes the key while its request looks for an answer.
func TestSeveredBeforeTheFirstEvent(t *testing.T) {
	refused := strings.TrimSuffix(strings.TrimPrefix(revokedEvent, "data: "), "\n\n")
	f := func(name, body string, answer func(context.Context) (*upstream.Response, error), urgency keys.Urgency, status int, want string, end usage.EndReason) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			var r *rig
			r = newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
				asked++
				_, err := r.keys.By("test").Revoke(context.Background(), r.key.ID, urgency)
				must(t, err)
				return answer(ctx)
			}), rigOptions{})
			got := r.ask(body)
			if got.status != status || !strings.HasSuffix(got.body, want) || asked != 1 {
				t.Errorf("%d providers were asked: %d %s", asked, got.status, got.body)
			}
			record := r.record(got)
			if record.EndReason != end || (record.Charge > 0) != (end == usage.EndCompleted) {
				t.Errorf("recorded %+v", record)
			}
			r.idle()
		})
	}
	stream := func(context.Context) (*upstream.Response, error) {
		return streamAnswer(strings.NewReader(someStream)), nil
	}
	plain := func(context.Context) (*upstream.Response, error) { return plainAnswer(200, someAnswer), nil }
	failing := func(context.Context) (*upstream.Response, error) { return plainAnswer(500, "{}"), nil }
	silent := func(ctx context.Context) (*upstream.Response, error) { return streamAnswer(hangReader{ctx}), nil }
	unheard := func(ctx context.Context) (*upstream.Response, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	f("the event is in hand", streamAlias, stream, keys.AtOnce, 401, refused, usage.EndKeyRevoked)
	f("no event comes", streamAlias, silent, keys.AtOnce, 401, refused, usage.EndKeyRevoked)
	f("no answer comes", streamAlias, unheard, keys.AtOnce, 401, refused, usage.EndKeyRevoked)
	f("failing over", streamAlias, failing, keys.AtOnce, 401, refused, usage.EndKeyRevoked)
	f("a plain answer comes to its end", plainAlias, plain, keys.AtOnce, 200, someAnswer, usage.EndCompleted)
	f("a key that is revoked, and not at once", streamAlias, stream, keys.Soon, 200, "data: [DONE]\n\n", usage.EndCompleted)
}

// TestSeveredWithItsFigures revokes a key whose answer has come whole, figures and all, and
// of which nothing has gone out: nobody pays for it, and it costs what was reported.
func TestSeveredWithItsFigures(t *testing.T) {
	const whole = `data: {"id":"s1","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}` + "\n\n"
	var r *rig
	r = newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		r.sever()
		return streamAnswer(strings.NewReader(whole + "data: [DONE]\n\n")), nil
	}), rigOptions{costs: rigCosts()})
	got := r.ask(strings.Replace(streamAlias, `}]`, `}],"max_tokens":10`, 1))
	bill := r.record(got)
	if got.status != 401 || bill.EndReason != usage.EndKeyRevoked || bill.Charge != 0 || bill.Cost != 3*500+2*1000 || bill.UpstreamID != "s1" {
		t.Errorf("%d, billed %+v", got.status, bill)
	}
	r.idle()
}

// TestRefusalsReadTheSame holds every answer to a key that is not valid to the same
// bytes, but for the request's id and the date.
func TestRefusalsReadTheSame(t *testing.T) {
	r := newSocketRig(t, answering(someAnswer), rigOptions{})
	f := func(change func(id string) error) string {
		t.Helper()
		key, secret := r.issue(keys.Spec{})
		must(t, change(key.ID))
		d := r.talk()
		d.say("GET /v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer " + secret.Reveal() + "\r\n\r\n")
		raw, err := io.ReadAll(d.in)
		must(t, err)
		var kept []string
		for line := range strings.Lines(string(raw)) {
			if !strings.HasPrefix(line, "X-Request-Id: ") && !strings.HasPrefix(line, "Date: ") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	operator := r.keys.By("test")
	unknown := f(func(id string) error {
		_, err := operator.Delete(t.Context(), id)
		return err
	})
	if !strings.HasPrefix(unknown, "HTTP/1.1 401 Unauthorized\r\n") || !strings.Contains(unknown, "the API key is not valid: check it, or ask for a new one") {
		t.Errorf("an unknown key is answered\n%s", unknown)
	}
	for name, change := range map[string]func(id string) error{
		"disabled": func(id string) error {
			_, err := operator.Update(t.Context(), id, func(s *keys.Spec) { s.Disabled = true })
			return err
		},
		"revoked": func(id string) error {
			_, err := operator.Revoke(t.Context(), id, keys.Soon)
			return err
		},
		"severed": func(id string) error {
			_, err := operator.Revoke(t.Context(), id, keys.AtOnce)
			return err
		},
	} {
		if got := f(change); got != unknown {
			t.Errorf("a %s key is answered\n%s\nan unknown one\n%s", name, got, unknown)
		}
	}
}
