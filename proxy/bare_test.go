package proxy

import (
	"context"
	"io"
	"strings"
	"testing"

	"tollgate/upstream"
	"tollgate/usage"
)

// TestBareEnds has a provider end its streams without [DONE], which its contract
// says that it may: such a stream is whole when every choice is and the transfer
// ends cleanly, and its client is sent the [DONE] that it waits for.
func TestBareEnds(t *testing.T) {
	var stream io.Reader
	framed := true
	r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		answer := streamAnswer(stream)
		answer.Framed = framed
		return answer, nil
	}), rigOptions{memory: true, upstream: func(c *upstream.Config) {
		for _, name := range []string{"other", "theturbo"} {
			provider := c.Providers[name]
			provider.Contract.Done = "optional"
			c.Providers[name] = provider
		}
	}})
	bare := strings.TrimSuffix(someStream, "data: [DONE]\n\n")
	f := func(model, options string, sent io.Reader, want string, end usage.EndReason) {
		t.Helper()
		stream = sent
		got := r.ask(`{"model":"` + model + `","messages":[{"role":"user","content":"hello"}],"stream":true` + options + `}`)
		if whole := end == usage.EndCompleted; got.status != 200 || (got.err == nil) != whole || whole && got.body != want || whole == strings.Contains(got.body, "upstream_interrupted") {
			t.Errorf("%d %v %q\nwant %q", got.status, got.err, got.body, want)
		}
		if record := r.record(got); record.EndReason != end || record.Completion == 0 {
			t.Errorf("billed %+v", record)
		}
	}
	const asked = `,"stream_options":{"include_usage":true}`
	f("any", asked, strings.NewReader(bare), someStream, usage.EndCompleted)
	f("any", asked, strings.NewReader(someStream), someStream, usage.EndCompleted)
	// The last event is not ended either.
	f("any", asked, strings.NewReader(strings.TrimSuffix(bare, "\n\n")), someStream, usage.EndCompleted)
	f("any", asked, strings.NewReader(strings.TrimSuffix(bare, "\n")),
		strings.Replace(someStream, "\n\ndata: [DONE]", "\n\n\ndata: [DONE]", 1), usage.EndCompleted)
	crlf := strings.ReplaceAll(bare, "\n", "\r\n")
	f("any", asked, strings.NewReader(crlf), crlf+"data: [DONE]\n\n", usage.EndCompleted)
	// What is not whole is not: a choice without its end, a transfer that breaks off, another provider.
	f("any", "", strings.NewReader(bare[:strings.Index(bare, `"hi"`)]+`"hi"},"finish_reason":null}]}`+"\n\n"), "", usage.EndUpstreamCut)
	f("any", "", broken(bare), "", usage.EndUpstreamCut)
	f("gemini-2.5-flash-lite", "", strings.NewReader(bare), "", usage.EndUpstreamCut)
	// Nor one that ends in the middle of a line or of a giant event, or before the usage that was asked for.
	f("any", asked, strings.NewReader(bare+"dat"), "", usage.EndUpstreamCut)
	f("any", asked, strings.NewReader(bare+"event: error\n"), "", usage.EndUpstreamCut)
	f("any", asked, strings.NewReader(bare+`data: {"images":["`+strings.Repeat("A", 100<<10)), "", usage.EndUpstreamCut)
	unpaid := bare[:strings.Index(bare, `data: {"id":"s1","choices":[],"usage"`)]
	f("any", asked, strings.NewReader(unpaid), "", usage.EndUpstreamCut)
	f("any", "", strings.NewReader(unpaid), "", usage.EndUpstreamCut)
	framed = false
	f("any", asked, strings.NewReader(bare), "", usage.EndUpstreamCut)
	r.idle()
}

// TestBareEndWithUsage has such a stream end with the usage chunk that Tollgate owes its client.
func TestBareEndWithUsage(t *testing.T) {
	const text = `data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}` + "\n\n" + `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(strings.NewReader(text)), nil
	}), rigOptions{memory: true, upstream: func(c *upstream.Config) {
		provider := c.Providers["theturbo"]
		provider.Contract.Done = "optional"
		c.Providers["theturbo"] = provider
	}})
	got := r.ask(`{"model":"gemini-2.0-flash","messages":[{"role":"user","content":"hello"}],"stream":true,"stream_options":{"include_usage":true}}`)
	events := strings.Split(got.body, "\n\n")
	if got.err != nil || !strings.HasPrefix(got.body, text+"\n\n") || len(events) != 5 || !strings.Contains(events[2], `"usage":{"prompt_tokens":1,`) || events[3] != "data: [DONE]" {
		t.Errorf("%v %q", got.err, got.body)
	}
}
