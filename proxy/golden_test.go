package proxy

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"tollgate/upstream"
	"tollgate/usage"
)

// golden is one provider's documented answer and what must be made of it.
type golden struct {
	provider, model string
	prompt, output  int64 // billed for the plain answer
	// stream: what the bill says, and what the client sees less or more than the
	// provider sent when it did not, and when it did ask for usage.
	streamSource             usage.Source
	streamPrompt, streamText int64
	strip                    bool
	sent                     string // the body that must go upstream for a stream
}

func goldens() []golden {
	return []golden{
		{
			provider: "starmagic", model: "gemini-2.5-flash-lite", prompt: 13, output: 1891,
			streamSource: usage.SourceUpstream, streamPrompt: 13, streamText: 1891, strip: true,
			sent: `{"model":"gemini-2.5-flash-lite","messages":[{"role":"user","content":"Please introduce yourself"}],"stream":true,"stream_options":{"include_usage":true}}`,
		},
		{
			provider: "theturbo", model: "gemini-2.0-flash", prompt: 10, output: 30,
			streamSource: usage.SourceEstimated, streamPrompt: 3, streamText: 16,
			sent: `{"model":"gemini-2.0-flash","messages":[{"role":"user","content":"Please introduce yourself"}],"stream":true}`,
		},
		{
			provider: "evolink", model: "gemini-3-pro-preview", prompt: 13, output: 1891,
			streamSource: usage.SourceEstimated, streamPrompt: 3, streamText: 8,
			sent: `{"model":"gemini-3-pro-preview","messages":[{"role":"user","content":"Please introduce yourself"}],"stream":true}`,
		},
	}
}

// splitReader gives a text in two reads.
func splitReader(text string, at int) io.Reader {
	return iotest.DataErrReader(io.MultiReader(strings.NewReader(text[:at]), strings.NewReader(text[at:])))
}

// TestGoldenPlain replays each provider's documented body, split over two reads
// at every byte: the client gets the very bytes, the bill the very figures.
func TestGoldenPlain(t *testing.T) {
	for _, g := range goldens() {
		t.Run(g.provider, func(t *testing.T) {
			body := readTestdata(t, g.provider+".json")
			at := 0
			r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
				return &upstream.Response{Status: 200, ContentType: "application/json", ContentLength: -1, Body: io.NopCloser(splitReader(body, at))}, nil
			}), rigOptions{memory: true})
			for at = range len(body) + 1 {
				got := r.ask(fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"Please introduce yourself"}]}`, g.model))
				if got.status != 200 || got.body != body || got.err != nil {
					t.Fatalf("split at %d: %d %v %s", at, got.status, got.err, got.body)
				}
				record := r.record(got)
				if record.Prompt != g.prompt || record.Completion != g.output || record.Source != usage.SourceUpstream || record.EndReason != usage.EndCompleted {
					t.Fatalf("split at %d: billed %+v", at, record)
				}
				// The rig's prices are 1 and 2 dollars a million: 1,000 and 2,000 nano-dollars a token.
				if want := usage.NanoUSD(1000*g.prompt + 2000*g.output); record.Charge != want {
					t.Fatalf("split at %d: charged %s, want %s", at, record.Charge, want)
				}
			}
			r.idle()
		})
	}
}

// TestGoldenStream does the same for a stream, for a client that did not ask
// for usage and for one that did.
func TestGoldenStream(t *testing.T) {
	for _, g := range goldens() {
		t.Run(g.provider, func(t *testing.T) { goldenStream(t, g) })
	}
}

func goldenStream(t *testing.T, g golden) {
	transcript := readTestdata(t, g.provider+".sse")
	usageChunk := ""
	if i := strings.Index(transcript, `"choices":[]`); i >= 0 {
		begin := strings.LastIndex(transcript[:i], "data: ")
		usageChunk = transcript[begin : begin+strings.Index(transcript[begin:], "\n\n")+2]
	}
	at, sent := 0, ""
	r := newRig(t, legFunc(func(_ context.Context, q *upstream.Request) (*upstream.Response, error) {
		sent = string(q.Body)
		return streamAnswer(splitReader(transcript, at)), nil
	}), rigOptions{memory: true})
	request := fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"Please introduce yourself"}],"stream":true`, g.model)
	for at = range len(transcript) + 1 {
		got := r.ask(request + `}`)
		if want := strings.Replace(transcript, usageChunk, "", 1); got.body != want || got.err != nil {
			t.Fatalf("split at %d: %v\ngot  %q\nwant %q", at, got.err, got.body, want)
		}
		if sent != g.sent {
			t.Fatalf("sent upstream\n%s\nwant\n%s", sent, g.sent)
		}
		checkGoldenRecord(t, r.record(got), g, at)

		got = r.ask(request + `,"stream_options":{"include_usage":true}}`)
		want := transcript
		if !g.strip {
			done := strings.LastIndex(transcript, "data:")
			want = transcript[:done] + addedUsage(g, got.body) + transcript[done:]
		}
		if got.body != want || got.err != nil {
			t.Fatalf("usage asked for, split at %d: %v\ngot  %q\nwant %q", at, got.err, got.body, want)
		}
		checkGoldenRecord(t, r.record(got), g, at)
	}
	r.idle()
}

func checkGoldenRecord(t *testing.T, record usage.Record, g golden, at int) {
	t.Helper()
	if record.Source != g.streamSource || record.Prompt != g.streamPrompt || record.Completion != g.streamText || record.EndReason != usage.EndCompleted || !record.Stream {
		t.Fatalf("split at %d: billed %+v", at, record)
	}
}

// addedUsage is the usage chunk that Tollgate writes where the provider sends
// none. Only its time is taken from the answer.
func addedUsage(g golden, body string) string {
	id := "chatcmpl-20251010015944503180122WJNB8Eid"
	if g.provider == "theturbo" {
		id = "chatcmpl-1234567890"
	}
	created := body[strings.LastIndex(body, `"created":`)+len(`"created":`):]
	created = created[:strings.IndexByte(created, ',')]
	return fmt.Sprintf(`data: {"id":%q,"object":"chat.completion.chunk","created":%s,"model":%q,"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`+"\n\n",
		id, created, g.model, g.streamPrompt, g.streamText, g.streamPrompt+g.streamText)
}

func readTestdata(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	must(t, err)
	return string(text)
}
