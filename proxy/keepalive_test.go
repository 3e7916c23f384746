package proxy

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/upstream"
	"tollgate/usage"
)

// step is what a provider sends, and how long after the step before.
type step struct {
	after time.Duration
	text  string
}

// timetable is an answer's body that comes by the clock.
type timetable struct {
	ctx   context.Context
	steps []step
}

func (p *timetable) Read(b []byte) (int, error) {
	if len(p.steps) == 0 {
		return 0, io.EOF
	}
	timer := time.NewTimer(p.steps[0].after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ctx.Done():
		return 0, context.Cause(p.ctx)
	}
	n := copy(b, p.steps[0].text)
	if p.steps[0] = (step{text: p.steps[0].text[n:]}); p.steps[0].text == "" {
		p.steps = p.steps[1:]
	}
	return n, nil
}

// diary notes what a client gets, and when.
type diary struct {
	began time.Time
	slow  time.Duration // how long each write takes
	mu    sync.Mutex
	lines []string
	text  strings.Builder
}

func (d *diary) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	time.Sleep(d.slow)
	d.lines = append(d.lines, fmt.Sprintf("%s %d", time.Since(d.began), len(p)))
	return d.text.Write(p)
}

// relayed runs a relay by the clock, with comments every 10 s and 30 s of silence
// allowed, and returns what went to the client.
func relayed(t *testing.T, r *rig, slow time.Duration, steps ...step) (d *diary, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		model := *mustModel(r)
		model.Timeouts.Idle = 30 * time.Second
		g := New(r.gateway.Options) // its contexts belong to the bubble
		x := &exchange{gateway: g, conn: connectionOf(&discardConn{}), accepted: time.Now(), model: &model, settled: true}
		s := relayedServing(g, nil)
		s.response = &upstream.Response{Status: 200, Body: io.NopCloser(&timetable{s.ctx, steps})}
		x.serving = s
		d = &diary{began: time.Now(), slow: slow}
		_, _ = x.WriteTo(d) // how it ends is in what was written
		took = time.Since(d.began)
		sent := len(d.lines)
		s.close()
		time.Sleep(time.Hour)
		if len(d.lines) != sent {
			t.Error("something was written after the answer had ended")
		}
	})
	return d, took
}

// TestKeepAlive keeps the connection of a silent stream in use: at the end of an
// event, never inside one, and without a byte of the provider's lost or moved.
func TestKeepAlive(t *testing.T) {
	r := newRig(t, legFunc(nil), rigOptions{server: func(c *Config) { c.KeepaliveComment = 10 * time.Second }})
	end := someStream[strings.Index(someStream, `data: {"id":"s1","choices":[{"index":0,"delta":{},"finish`):]
	f := func(name, want string, slow time.Duration, steps ...step) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			d, _ := relayed(t, r, slow, steps...)
			if got := strings.Join(d.lines, ", "); got != want {
				t.Errorf("the client got\n%s, want\n%s\n%s", got, want, d.text.String())
			}
			var sent strings.Builder
			for _, s := range steps {
				sent.WriteString(s.text)
			}
			if got := strings.ReplaceAll(d.text.String(), ": keep-alive\n\n", ""); !strings.HasPrefix(got, sent.String()) {
				t.Errorf("without its comments the stream is\n%q, want\n%q", got, sent.String())
			}
		})
	}
	rest := fmt.Sprint(len(end) - len("data: [DONE]\n\n"))
	f("a lively stream has none", "9s 167, 18s 167, 18s "+rest+", 18s 14", 0, step{9 * time.Second, oneWord}, step{9 * time.Second, oneWord}, step{0, end})
	f("one each 10 s", "10s 14, 20s 14, 25s 167, 35s 14, 40s "+rest+", 40s 14", 0, step{25 * time.Second, oneWord}, step{15 * time.Second, end})
	f("an event in pieces", "10s 14, 20s 14, 24s 167, 24s "+rest+", 24s 14", 0,
		step{8 * time.Second, oneWord[:50]}, step{8 * time.Second, oneWord[50:100]}, step{8 * time.Second, oneWord[100:]}, step{0, end})
	f("a provider's own comments count", "9s 15, 18s 15, 27s 167, 27s "+rest+", 27s 14", 0,
		step{9 * time.Second, ": PROCESSING.\n\n"}, step{9 * time.Second, ": PROCESSING.\n\n"}, step{9 * time.Second, oneWord}, step{0, end})
	long := strings.Repeat("x", 70<<10)
	giant := strings.Replace(oneWord, "some words", long, 1)
	f("never inside an event", fmt.Sprintf("0s %d, 25s %d, 25s %s, 25s 14", 64<<10, len(giant)-64<<10, rest), 0,
		step{0, giant[:64<<10]}, step{25 * time.Second, giant[64<<10:]}, step{0, end})
	f("a slow reader", "15s 14, 20s 167, 25s "+rest+", 30s 14", 5*time.Second, step{13 * time.Second, oneWord}, step{0, end})
}

// TestSilenceIsCountedFromEventToEvent ends a stream that drips bytes and never
// an event, and does not blame a provider for a slow reader.
func TestSilenceIsCountedFromEventToEvent(t *testing.T) {
	r := newRig(t, legFunc(nil), rigOptions{server: func(c *Config) { c.KeepaliveComment = 0 }})
	drip := []step{{0, oneWord}}
	for i := range 100 {
		drip = append(drip, step{time.Second, oneWord[i : i+1]})
	}
	d, took := relayed(t, r, 0, drip...)
	if took != 30*time.Second || !strings.Contains(d.text.String(), `"code":"upstream_timeout"`) || !strings.Contains(d.text.String(), "(timeouts.idle)") {
		t.Errorf("after %s: %s", took, d.text.String())
	}
	d, took = relayed(t, r, time.Minute, step{0, oneWord}, step{0, oneWord}, step{29 * time.Second, oneWord})
	if strings.Contains(d.text.String(), "upstream_timeout") {
		t.Errorf("after %s: %s", took, d.text.String())
	}
}

// TestKeepAliveBeforeFirstToken answers aloud: a quick failure keeps its status,
// one after the first comment is an event, and failover goes on behind comments.
func TestKeepAliveBeforeFirstToken(t *testing.T) {
	const long = 2 * time.Second // many times as long as what is between two comments
	slow := func(ctx context.Context, d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	f := func(name, model string, leg legFunc, status int, contains []string, end usage.EndReason) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, leg, rigOptions{server: func(c *Config) {
				c.KeepaliveComment, c.KeepaliveBeforeFirstToken = 100*time.Millisecond, true
				if status != 200 {
					c.KeepaliveComment = patience // a busy machine must not make it slow
				}
			}})
			got := r.ask(strings.Replace(streamOne, `"any"`, `"`+model+`"`, 1))
			if got.status != status {
				t.Errorf("status %d, want %d: %s", got.status, status, got.body)
			}
			for _, want := range contains {
				if !strings.Contains(got.body, want) {
					t.Errorf("no %q in %q", want, got.body)
				}
			}
			if n := strings.Count(got.body, `{"error":`); (end == usage.EndCompleted) != (n == 0) || n > 1 {
				t.Errorf("%d errors in %q", n, got.body)
			}
			if (got.err == nil) != (status != 200 || end == usage.EndCompleted) {
				t.Errorf("the transfer ended with %v", got.err)
			}
			if record := r.record(got); record.EndReason != end {
				t.Errorf("recorded %s, want %s", record.EndReason, end)
			}
			r.idle()
		})
	}
	answer := func() (*upstream.Response, error) { return streamAnswer(strings.NewReader(someStream)), nil }
	f("quick", "any", func(context.Context, *upstream.Request) (*upstream.Response, error) { return answer() }, 200, []string{someStream[:20]}, usage.EndCompleted)
	f("slow", "any", func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		slow(ctx, long)
		return answer()
	}, 200, []string{": keep-alive\n\n: keep-alive\n\ndata: ", "data: [DONE]\n\n"}, usage.EndCompleted)
	f("a quick failure", "any", func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return plainAnswer(500, "{}"), nil
	}, 502, []string{`"code":"upstream_error"`}, usage.EndUpstreamFailed)
	f("a slow failure", "any", func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		slow(ctx, long)
		return plainAnswer(500, "{}"), nil
	}, 200, []string{": keep-alive\n\n", `data: {"error":{"message":`, `"code":"upstream_error"`}, usage.EndUpstreamFailed)
	f("failover behind comments", "gemini-flash", func(ctx context.Context, r *upstream.Request) (*upstream.Response, error) {
		if r.Candidate.Provider.Name == "starmagic" {
			slow(ctx, long)
			return plainAnswer(500, "{}"), nil
		}
		return answer()
	}, 200, []string{": keep-alive\n\n", `"content":"hi"`, "data: [DONE]\n\n"}, usage.EndCompleted)
	f("a panic", "any", func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		slow(ctx, long)
		panic("on purpose")
	}, 200, []string{": keep-alive\n\n", `"code":"internal_error"`}, usage.EndUpstreamFailed)
}

// TestLeavingWhileAloud cancels the attempts of a stream that was answered early.
func TestLeavingWhileAloud(t *testing.T) {
	p := newProvider(func(ctx context.Context) (*upstream.Response, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	r := newSocketRig(t, p, rigOptions{server: func(c *Config) {
		c.KeepaliveComment, c.KeepaliveBeforeFirstToken = 100*time.Millisecond, true
	}})
	conn := r.start(streamOne)
	expect(t, conn, ": keep-alive\n\n")
	must(t, conn.Close())
	<-p.cancelled
	if record := r.only(); record.EndReason != usage.EndClientGone || record.Completion != 0 || record.Delivered != 0 {
		t.Errorf("recorded %+v", record)
	}
}
