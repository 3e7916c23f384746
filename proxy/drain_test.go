package proxy

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"tollgate/upstream"
	"tollgate/usage"
)

// draining makes every provider's answers be read on when their client leaves.
func draining(config func(*upstream.ProviderConfig)) func(*upstream.Config) {
	return func(c *upstream.Config) {
		for name, p := range c.Providers {
			p.OnDisconnect = "drain"
			if config != nil {
				config(&p)
			}
			c.Providers[name] = p
		}
	}
}

// pipedProvider answers with what the test writes.
func pipedProvider() (*provider, *io.PipeWriter) {
	body, writer := io.Pipe()
	return newProvider(func(ctx context.Context) (*upstream.Response, error) {
		context.AfterFunc(ctx, func() { body.CloseWithError(context.Cause(ctx)) })
		return streamAnswer(body), nil
	}), writer
}

// TestDrain reads an answer on whose client left: the bill has the provider's own
// figures, and what was delivered; the client's place is free at once.
func TestDrain(t *testing.T) {
	p, writer := pipedProvider()
	r := newSocketRig(t, p, rigOptions{upstream: draining(nil)})
	conn := r.start(streamOne)
	_, err := io.WriteString(writer, oneWord)
	must(t, err)
	expect(t, conn, oneWord)
	must(t, conn.Close())
	eventually(t, "the client's place", func() bool { return r.gateway.InFlight() == 0 && r.gateway.Drains() == 1 })
	_, err = io.WriteString(writer, strings.Repeat(oneWord, 3)+someStream)
	must(t, err)
	must(t, writer.Close())
	record := r.only()
	if record.EndReason != usage.EndClientGone || record.Source != usage.SourceUpstream || record.Prompt != 3 || record.Completion != 2 {
		t.Errorf("recorded %s, %s, %d + %d tokens; want the provider's figures, 3 + 2", record.EndReason, record.Source, record.Prompt, record.Completion)
	}
	if record.Delivered != 5 {
		t.Errorf("%d tokens delivered, want the 5 of the one event", record.Delivered)
	}
	if len(p.cancelled) != 0 {
		t.Error("the provider was cancelled")
	}
}

// TestDrainOfOtherForms leaves before anything was decided.
func TestDrainOfOtherForms(t *testing.T) {
	f := func(name, body string, answer func() (*upstream.Response, error), end usage.EndReason, source usage.Source, completion int64) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			p := newProvider(func(ctx context.Context) (*upstream.Response, error) {
				select {
				case <-release:
					return answer()
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				}
			})
			r := newSocketRig(t, p, rigOptions{upstream: draining(nil)})
			conn := r.start(body)
			<-p.asked
			must(t, conn.Close())
			eventually(t, "a drain", func() bool { return r.gateway.Drains() == 1 })
			close(release)
			record := r.only()
			if record.EndReason != end || record.Source != source || record.Completion != completion || record.Delivered != 0 {
				t.Errorf("recorded %s, %s, %d tokens, %d delivered; want %s, %s, %d, 0", record.EndReason, record.Source, record.Completion, record.Delivered, end, source, completion)
			}
			if len(p.asked) != 0 {
				t.Error("another provider was asked")
			}
		})
	}
	plain := strings.Replace(plainAlias, "gemini-flash", "any", 1)
	f("a plain call", plain, func() (*upstream.Response, error) { return plainAnswer(200, someAnswer), nil }, usage.EndClientGone, usage.SourceUpstream, 2)
	f("a stream before its head", streamOne, func() (*upstream.Response, error) { return streamAnswer(strings.NewReader(someStream)), nil }, usage.EndClientGone, usage.SourceUpstream, 2)
	f("a stream that is cut", streamOne, func() (*upstream.Response, error) {
		return streamAnswer(io.MultiReader(strings.NewReader(oneWord), failingReader{io.ErrUnexpectedEOF})), nil
	}, usage.EndClientGone, usage.SourcePartial, 0)
	f("a provider that fails is not replaced", plainAlias, func() (*upstream.Response, error) { return plainAnswer(500, "{}"), nil }, usage.EndUpstreamFailed, usage.SourceNone, 0)
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// TestDrainHasBounds gives up after drain_time, after drain_tokens, beyond
// max_drains, and when a shutdown begins.
func TestDrainHasBounds(t *testing.T) {
	begin := func(t *testing.T, o rigOptions) (*socketRig, *provider, *io.PipeWriter) {
		p, writer := pipedProvider()
		r := newSocketRig(t, p, o)
		conn := r.start(streamOne)
		_, err := io.WriteString(writer, oneWord)
		must(t, err)
		expect(t, conn, oneWord)
		must(t, conn.Close())
		return r, p, writer
	}
	cancelled := func(t *testing.T, r *socketRig, p *provider, completion int64) {
		t.Helper()
		select {
		case <-p.cancelled:
		case <-time.After(patience):
			t.Fatal("the provider was not told")
		}
		if record := r.only(); record.EndReason != usage.EndClientGone || record.Source != usage.SourcePartial || record.Delivered != 5 || record.Completion < completion {
			t.Errorf("recorded %+v", record)
		}
	}
	t.Run("time", func(t *testing.T) {
		t.Parallel()
		r, p, _ := begin(t, rigOptions{upstream: draining(func(c *upstream.ProviderConfig) { c.DrainTime = 50 * time.Millisecond })})
		cancelled(t, r, p, 5)
	})
	t.Run("tokens", func(t *testing.T) {
		t.Parallel()
		r, p, writer := begin(t, rigOptions{upstream: draining(func(c *upstream.ProviderConfig) { c.DrainTokens = 100 })})
		eventually(t, "a drain", func() bool { return r.gateway.Drains() == 1 })
		var err error
		for range 200 { // 5 tokens each
			if _, err = io.WriteString(writer, oneWord); err != nil {
				break
			}
		}
		if err == nil {
			t.Error("the whole of 1,000 tokens was read, want about 100")
		}
		cancelled(t, r, p, 50)
	})
	t.Run("number", func(t *testing.T) {
		t.Parallel()
		r, p, _ := begin(t, rigOptions{upstream: draining(nil), server: func(c *Config) { c.MaxDrains = 0 }})
		cancelled(t, r, p, 5)
	})
	t.Run("shutdown", func(t *testing.T) {
		t.Parallel()
		r, p, _ := begin(t, rigOptions{upstream: draining(nil)})
		eventually(t, "a drain", func() bool { return r.gateway.Drains() == 1 })
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(t, r.server.Shutdown(ctx))
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Error("the shutdown waited for an answer that nobody reads")
		}
		cancelled(t, r, p, 5)
	})
}
