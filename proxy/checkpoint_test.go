package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/store"
	"tollgate/upstream"
	"tollgate/usage"

	"github.com/google/go-cmp/cmp"
)

// notebook is a recorder that says when it was given a checkpoint, and what it holds.
type notebook struct {
	discardRecorder
	began time.Time
	mu    sync.Mutex
	lines []string
}

func (n *notebook) Note(r *usage.Record) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf("%s %s %d+%d, %d delivered", time.Since(n.began), r.Kind, r.Prompt, r.Completion, r.Delivered))
}

// TestCheckpoints relays streams by the clock: what is on record of each meanwhile.
func TestCheckpoints(t *testing.T) {
	r := newRig(t, legFunc(nil), rigOptions{server: func(c *Config) { c.KeepaliveComment = 0 }})
	f := func(name string, counting usage.Counting, counted int64, want []string, steps ...step) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				notes := &notebook{began: time.Now()}
				o := r.gateway.Options
				o.Recorder = notes
				g := New(o)
				x := &exchange{gateway: g, conn: connectionOf(&discardConn{}), accepted: time.Now(), model: mustModel(r), settled: true}
				x.prompt.total = 4*70 - 3
				if counted > 0 {
					x.promptTokens = make(chan int64, 1)
					x.promptTokens <- counted
				}
				s := relayedServing(g, nil)
				s.counting, s.meter = counting, g.Estimator.NewMeter(counting)
				s.tap.Reset(s.meter)
				s.response = &upstream.Response{Status: 200, Body: io.NopCloser(&timetable{s.ctx, steps})}
				x.serving = s
				_, _ = x.WriteTo(io.Discard)
				s.close()
				if diff := cmp.Diff(want, notes.lines); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
	word := func(n int) string {
		return `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat(" word", n) + `"}}]}` + "\n\n"
	}
	every := func(pause time.Duration, n, words int) (steps []step) {
		for range n {
			steps = append(steps, step{pause, word(words)})
		}
		return steps
	}
	const image = `data: {"choices":[{"index":0,"delta":{"images":[{"image_url":{"url":"data:image/png;base64,iVBO"}}]}}]}` + "\n\n"
	const role = `data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}` + "\n\n"

	// Less than 1,024 bytes in less than 2 s.
	f("a short stream", usage.CountAtEnd, 0, nil, every(19*time.Millisecond, 100, 2)...)
	f("no text", usage.CountAtEnd, 31, nil, step{0, role}, step{3 * time.Second, role}, step{3 * time.Second, role})
	f("no text, and content", usage.CountAtEnd, 31, []string{
		"2s checkpoint 31+0, 0 delivered",
	}, step{0, image}, step{3 * time.Second, role}, step{3 * time.Second, role})
	// A word that has only begun is not counted yet: it could go on.
	f("a slow stream", usage.CountAtEnd, 0, []string{
		"2s checkpoint 70+3, 3 delivered", "4s checkpoint 70+9, 9 delivered", "6s checkpoint 70+15, 15 delivered",
	}, every(700*time.Millisecond, 10, 2)...)
	f("nothing new", usage.CountAtEnd, 31, []string{
		"2s checkpoint 31+1, 1 delivered",
	}, step{0, word(2)}, step{3 * time.Second, ": still here\n\n"}, step{3 * time.Second, ": still here\n\n"})
	f("silence", usage.CountAtEnd, 31, []string{
		"2s checkpoint 31+1, 1 delivered", "32s checkpoint 31+3, 3 delivered",
	}, step{0, word(2)}, step{30500 * time.Millisecond, word(2)}, step{30 * time.Second, ": still here\n\n"})
	// 10 bytes in an event: the 103rd is beyond each 1,024. From the second checkpoint on the first one's count is scaled.
	f("a fast stream", usage.CountAtEnd, 0, []string{
		"103ms checkpoint 70+205, 205 delivered", "206ms checkpoint 70+410, 410 delivered",
		"309ms checkpoint 70+615, 615 delivered", "412ms checkpoint 70+820, 820 delivered",
	}, every(time.Millisecond, 500, 2)...)
	f("a fast stream that is counted here", usage.CountEagerly, 31, []string{
		"103ms checkpoint 31+205, 205 delivered", "206ms checkpoint 31+411, 411 delivered",
		"309ms checkpoint 31+617, 617 delivered", "412ms checkpoint 31+823, 823 delivered",
	}, every(time.Millisecond, 500, 2)...)
	// One for what each read brings.
	f("all at once", usage.CountAtEnd, 0, []string{
		"1s checkpoint 70+247, 247 delivered", "1s checkpoint 70+494, 494 delivered",
		"1s checkpoint 70+741, 741 delivered", "1s checkpoint 70+988, 988 delivered",
	}, step{time.Second, strings.Repeat(word(2), 500)})
}

// TestCheckpointsOfARequest holds the checkpoints of whole requests against their bills.
func TestCheckpointsOfARequest(t *testing.T) {
	const words = 2000 // in 10,000 bytes
	chunk := `data: {"id":"s1","choices":[{"index":0,"delta":{"content":" word"}}]}` + "\n\n"
	end := `data: {"id":"s1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	figures := `data: {"id":"s1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2000,"total_tokens":2003}}` + "\n\n"
	f := func(model, figures string, prompt, completion int64) {
		t.Helper()
		r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
			return streamAnswer(&perEvent{stream: strings.Repeat(chunk, words) + end + figures + "data: [DONE]\n\n", size: len(chunk)}), nil
		}), rigOptions{memory: true})
		got := r.ask(`{"model":"` + model + `","messages":[{"role":"user","content":"one two three four"}],"stream":true}`)
		r.idle()
		bill := r.record(got)
		checkpoints := r.records.(*memoryRecorder).noted(usage.KindCheckpoint)
		if got.status != 200 || bill.EndReason != usage.EndCompleted || bill.Completion != words || len(checkpoints) != 9 {
			t.Fatalf("%d, %d checkpoints, billed %+v", got.status, len(checkpoints), bill)
		}
		want := usage.Record{
			RequestID: bill.RequestID, Kind: usage.KindCheckpoint, Tenant: bill.Tenant, KeyID: bill.KeyID, Model: model, Stream: true,
			Provider: bill.Provider, Endpoint: bill.Endpoint, UpstreamModel: bill.UpstreamModel,
			Tokens: usage.Tokens{Prompt: prompt, Completion: completion}, Delivered: completion, UpstreamID: "s1",
			AcceptedAt: bill.AcceptedAt, FirstByteAt: bill.FirstByteAt, EndedAt: checkpoints[8].EndedAt, TraceID: bill.TraceID,
		}
		if want.FirstByteAt.IsZero() || want.EndedAt.Before(want.FirstByteAt) || want.EndedAt.After(bill.EndedAt) {
			t.Errorf("the last one is of %s, the bill %+v", want.EndedAt, bill)
		}
		if diff := cmp.Diff(want, checkpoints[8]); diff != "" {
			t.Errorf("the last one (-want +got):\n%s", diff)
		}
	}
	f("any", figures, 5, 1836)         // 18 bytes
	f("gemini-2.0-flash", "", 4, 1844) // four words, and all but the last of 1,845
}

// breaksOff is a stream whose provider breaks off when what came so far is on record.
type breaksOff struct {
	io.Reader
	noted chan struct{}
}

func (b *breaksOff) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == nil {
		return n, nil
	}
	select {
	case <-b.noted:
		return n, io.ErrUnexpectedEOF
	case <-time.After(time.Minute):
		return n, errors.New("nothing is put on record")
	}
}

// notes tells a stream of its first checkpoint.
type notes struct {
	Recorder
	once  sync.Once
	noted chan struct{}
}

func (n *notes) Note(r *usage.Record) {
	n.Recorder.Note(r)
	if r.Kind == usage.KindCheckpoint {
		n.once.Do(func() { close(n.noted) })
	}
}

// Regression titles: "a recovered bill is beyond max_tokens", and "an image that was
// delivered is not paid after a crash". Whether its provider breaks off or the gateway
// dies, at the same moment a stream costs its tenant the same.
func TestRecoveredBillIsThatOfACut(t *testing.T) {
	words := func(n int) string {
		return `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat(" word", n) + `"}}]}` + "\n\n"
	}
	const image = `data: {"choices":[{"index":0,"delta":{"images":[{"image_url":{"url":"data:image/png;base64,iVBO"}}]}}]}` + "\n\n"
	f := func(limits, stream string, completion, delivered, allowed int64) {
		t.Helper()
		noted := make(chan struct{})
		r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
			return streamAnswer(&breaksOff{strings.NewReader(stream), noted}), nil
		}), rigOptions{memory: true, costs: rigCosts(), recorder: func(memory Recorder) Recorder { return &notes{Recorder: memory, noted: noted} }})
		// Four words in 16 bytes: the prompt is the same by its length, if it was not counted yet.
		got := r.ask(`{"model":"gemini-2.0-flash","messages":[{"role":"user","content":"one two four six"}],"stream":true` + limits + `}`)
		r.idle()
		cut := r.record(got)
		if want := (usage.Tokens{Prompt: 4, Completion: completion}); cut.EndReason != usage.EndUpstreamCut || cut.Tokens != want || cut.MaxCompletion != allowed || cut.Charge == 0 {
			t.Fatalf("%s: cut, it is billed %+v", limits, cut)
		}
		want := cut
		want.EndReason, want.Source, want.Delivered, want.Trail = usage.EndRecovered, usage.SourceRecovered, delivered, ""
		memory := r.records.(*memoryRecorder)
		checkpoints := memory.noted(usage.KindCheckpoint)
		want.EndedAt = checkpoints[len(checkpoints)-1].EndedAt
		if diff := cmp.Diff(want, recovered(t, r, slices.Concat(memory.noted(usage.KindIntent), checkpoints))); diff != "" {
			t.Errorf("%s: recovered (-cut +got):\n%s", limits, diff)
		}
	}
	f(`,"max_tokens":100`, words(500), 100, 499, 100)
	f(`,"max_tokens":100`, strings.Repeat(words(50), 10), 100, 499, 100)
	// More than the worst case reckons with.
	f(`,"max_tokens":70000`, strings.Repeat(words(1000), 80), 70000, 79999, 70000)
	f("", image, 0, 0, 0)
	f(`,"max_tokens":100`, image, 0, 0, 100)
}

// recovered is the bill of a request that a start finds with these records and no end.
func recovered(t *testing.T, r *rig, found []usage.Record) usage.Record {
	t.Helper()
	dir := t.TempDir()
	db, err := store.OpenBolt(dir)
	must(t, err)
	ledger, err := usage.OpenLedger(db)
	must(t, err)
	o := usage.BooksOptions{
		Dir: filepath.Join(dir, "journal"), Config: usage.DefaultConfig().Journal, Ledger: ledger, Prices: r.gateway.plan.Load().Prices, Log: r.gateway.Log,
	}
	books, err := usage.OpenBooks(o)
	must(t, err)
	for i := range found {
		if found[i].Kind == usage.KindIntent {
			must(t, books.Intend(&found[i]))
		} else {
			books.Note(&found[i])
		}
	}
	must(t, books.Close())
	books, err = usage.OpenBooks(o)
	must(t, err)
	records, err := books.ByRequest(t.Context(), found[0].RequestID)
	must(t, err)
	must(t, books.Close())
	must(t, ledger.Close())
	must(t, db.Close())
	if len(records) != 1 {
		t.Fatalf("%d bills: %+v", len(records), records)
	}
	return records[0]
}
