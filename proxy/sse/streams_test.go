package sse

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A transcript is a stream as a provider sends it, and what there is to hear in it.
type transcript struct {
	name   string
	stream string
	want   heard
}

// A preamble that all chunks of OpenAI's reference share: https://platform.openai.com/docs/api-reference/chat-streaming.
const openAI = `{"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini","system_fingerprint":"fp_44709d6fcb",`

// The usage object that StarMagic documents, with its misleading zero twins.
const starMagicUsage = `{"prompt_tokens":13,"completion_tokens":1891,"total_tokens":1904,` +
	`"prompt_tokens_details":{"cached_tokens":0,"text_tokens":13,"audio_tokens":0,"image_tokens":0},` +
	`"completion_tokens_details":{"text_tokens":0,"audio_tokens":0,"reasoning_tokens":1480},` +
	`"input_tokens":0,"output_tokens":0,"input_tokens_details":null}`

func transcripts() []transcript {
	return slices.Concat(plainTranscripts(), oddTranscripts(), brokenTranscripts())
}

func plainTranscripts() []transcript {
	finished1 := [3]bool{true}
	return []transcript{{
		name: "openai",
		stream: "data: " + openAI + `"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}` + "\n\n" +
			"data: " + openAI + `"choices":[{"index":0,"delta":{"content":"Hello"},"logprobs":null,"finish_reason":null}]}` + "\n\n" +
			"data: " + openAI + `"choices":[{"index":0,"delta":{"content":" \"w\"\\"},"logprobs":null,"finish_reason":null}]}` + "\n\n" +
			"data: " + openAI + `"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}` + "\n\n" +
			"data: [DONE]\n\n",
		want: heard{
			Events: []string{
				"empty  " + openAI + `"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}`,
				"content  " + openAI + `"choices":[{"index":0,"delta":{"content":"Hello"},"logprobs":null,"finish_reason":null}]}`,
				"content  " + openAI + `"choices":[{"index":0,"delta":{"content":" \"w\"\\"},"logprobs":null,"finish_reason":null}]}`,
				"finish  " + openAI + `"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}`,
				"done  [DONE]",
			},
			Text: `Hello| \"w\"\\`, ContentBytes: 13, ID: "chatcmpl-123", Done: true, Finished: finished1,
		},
	}, {
		name: "usage null in every chunk, then the usage chunk",
		stream: `data: {"id":"a","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}` + "\n\n" +
			`data: {"id":"a","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}` + "\n\n" +
			`data: {"id":"a","choices":[],"usage":` + starMagicUsage + `}` + "\n\n" +
			"data: [DONE]\n\n",
		want: heard{
			Events: []string{
				`content  {"id":"a","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}`,
				`finish  {"id":"a","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}`,
				`usage  {"id":"a","choices":[],"usage":` + starMagicUsage + `}`,
				"done  [DONE]",
			},
			Usage: starMagicUsage, Text: "Hi", ContentBytes: 2, ID: "a", Done: true, Finished: finished1,
		},
	}, {
		name: "usage in every chunk, CR LF",
		stream: `data: {"id":"g","choices":[{"delta":{"role":"assistant","content":"Hel"},"index":0}],"usage":{"total_tokens":14}}` + "\r\n\r\n" +
			`data: {"id":"g","choices":[{"delta":{"content":"lo"},"finish_reason":"stop","index":0}],"usage":{"total_tokens":15}}` + "\r\n\r\n" +
			"data: [DONE]\r\n\r\n",
		want: heard{
			Events: []string{
				`content  {"id":"g","choices":[{"delta":{"role":"assistant","content":"Hel"},"index":0}],"usage":{"total_tokens":14}}`,
				`finish  {"id":"g","choices":[{"delta":{"content":"lo"},"finish_reason":"stop","index":0}],"usage":{"total_tokens":15}}`,
				"done  [DONE]",
			},
			Usage: `{"total_tokens":15}`, Text: "Hel|lo", ContentBytes: 5, ID: "g", Done: true, Finished: finished1,
		},
	}, {
		name: "several choices",
		stream: `data: {"choices":[{"index":1,"delta":{"content":"b"}},{"delta":{"content":"a"},"index":0}]}` + "\n\n" +
			`data: {"choices":[{"finish_reason":"stop","index":1,"delta":{}}]}` + "\n\n" +
			`data: {"choices":[{"index":2,"delta":{"content":"c"},"finish_reason":"length"}]}` + "\n\n" +
			`data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n" + "data: [DONE]\n\n",
		want: heard{
			Events: []string{
				`content  {"choices":[{"index":1,"delta":{"content":"b"}},{"delta":{"content":"a"},"index":0}]}`,
				`finish  {"choices":[{"finish_reason":"stop","index":1,"delta":{}}]}`,
				`finish  {"choices":[{"index":2,"delta":{"content":"c"},"finish_reason":"length"}]}`,
				`finish  {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`,
				"done  [DONE]",
			},
			Text: "b|a|c", ContentBytes: 3, Done: true, Finished: [3]bool{true, true, true},
		},
	}}
}

func oddTranscripts() []transcript {
	finished1 := [3]bool{true}
	return []transcript{{
		name: "pretty-printed over several data lines",
		stream: "event: message\ndata: {\ndata:  \"choices\": [{\ndata:   \"index\": 0,\ndata:   \"delta\": {\"content\": \"x\"},\n" +
			"data:   \"finish_reason\": \"stop\"\ndata:  }],\ndata:  \"usage\": {\ndata:   \"total_tokens\": 3\ndata:  }\ndata: }\n\ndata: [DONE]\n\n",
		want: heard{
			Events: []string{
				"finish message {\n \"choices\": [{\n  \"index\": 0,\n  \"delta\": {\"content\": \"x\"},\n  \"finish_reason\": \"stop\"\n }],\n" +
					" \"usage\": {\n  \"total_tokens\": 3\n }\n}", "done  [DONE]",
			},
			Usage: "{\n  \"total_tokens\": 3\n }", Text: "x", ContentBytes: 1, Done: true, Finished: finished1,
		},
	}, {
		name: "CR only, byte order mark, comments",
		stream: "\xef\xbb\xbf: OPENROUTER PROCESSING\r\rdata: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\r\r: ping\r\r" +
			"id: 7\rretry: 100\rdata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\r\rdata: [DONE]\r\r",
		want: heard{
			Events: []string{`content  {"choices":[{"delta":{"content":"x"}}]}`, `finish  {"choices":[{"delta":{},"finish_reason":"stop"}]}`, "done  [DONE]"},
			Text:   "x", ContentBytes: 1, Done: true, Finished: finished1,
		},
	}, {
		name:   "no final blank line, no space after the colon",
		stream: "data:{\"choices\":[{\"text\":\"x\",\"finish_reason\":\"stop\"}]}\n\n\n\ndata:[DONE]",
		want: heard{
			Events: []string{`finish  {"choices":[{"text":"x","finish_reason":"stop"}]}`, "done  [DONE] (unended)"},
			Text:   "x", ContentBytes: 1, Done: true, Finished: finished1,
		},
	}, {
		name: "reasoning, refusal and tool calls",
		stream: `data: {"choices":[{"index":0,"delta":{"reasoning_content":"think","content":null}}]}` + "\n\n" +
			`data: {"choices":[{"index":0,"delta":{"refusal":"no","tool_calls":[null]}}]}` + "\n\n" +
			`data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}}]}` + "\n\n" +
			`data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":\"usage\"}"}}]}}]}` + "\n\n" +
			`data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}` + "\n\n" + "data: [DONE]\n\n",
		want: heard{
			Events: []string{
				`content  {"choices":[{"index":0,"delta":{"reasoning_content":"think","content":null}}]}`,
				`content  {"choices":[{"index":0,"delta":{"refusal":"no","tool_calls":[null]}}]}`,
				`content  {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}}]}`,
				`content  {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":\"usage\"}"}}]}}]}`,
				`finish  {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`,
				"done  [DONE]",
			},
			Text: `think|no|f|{\"a\":\"usage\"}`, ContentBytes: 25, Done: true, Finished: finished1,
		},
	}}
}

func brokenTranscripts() []transcript {
	return []transcript{{
		name: "another protocol",
		stream: "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n" +
			"event: ping\ndata: {\"type\": \"ping\"}\n\n" +
			"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n" +
			"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":15}}\n\n" +
			"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
		want: heard{
			Events: []string{
				`empty message_start {"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":25,"output_tokens":1}}}`,
				`empty ping {"type": "ping"}`,
				`empty content_block_delta {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}`,
				`usage message_delta {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}`,
				`empty message_stop {"type":"message_stop"}`,
			},
			Usage: `{"output_tokens":15}`,
		},
	}, {
		name: "an error in the middle",
		stream: `data: {"choices":[{"index":0,"delta":{"content":"Once"}}]}` + "\n\n" +
			"event: error\ndata: {\"message\":\"overloaded\"}\n\n" +
			`data: {"error":{"message":"overloaded","code":503},"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}` + "\n\n",
		want: heard{
			Events: []string{
				`content  {"choices":[{"index":0,"delta":{"content":"Once"}}]}`,
				`error error {"message":"overloaded"}`,
				`error  {"error":{"message":"overloaded","code":503},"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}`,
			},
			Text: "Once", ContentBytes: 4,
		},
	}, {
		name:   "cut in the middle of an event",
		stream: "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"y\"},\"finish_reason\":\"st",
		want: heard{
			Events: []string{
				`content  {"choices":[{"delta":{"content":"x"}}]}`,
				`invalid  {"choices":[{"delta":{"content":"y"},"finish_reason":"st (unended)`,
			},
			Text: "x|y", ContentBytes: 2,
		},
	}, {
		name:   "a page instead of a stream",
		stream: "<html>\r\n<body>data: {}</body>\r\n\r\n</html>\r\n",
		want:   heard{},
	}}
}

func TestTranscripts(t *testing.T) {
	for _, tr := range transcripts() {
		t.Run(tr.name, func(t *testing.T) {
			if diff := cmp.Diff(tr.want, listen(t, NewFramer(0), tr.stream)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func same(t *testing.T, want, got heard, stream string, cuts ...int) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("cut at %v, the stream says something else (-whole +cut)\n%s\n%.2000q", cuts, cmp.Diff(want, got), stream)
	}
}

func TestSplitAtEveryByte(t *testing.T) {
	f := NewFramer(0)
	for _, tr := range transcripts() {
		for cut := 1; cut < len(tr.stream); cut++ {
			f.Reset(0)
			same(t, tr.want, listen(t, f, tr.stream, cut), tr.stream, cut)
		}
	}
}

func TestRandomSplits(t *testing.T) {
	random := rand.New(rand.NewPCG(20, 26))
	f := NewFramer(0)
	for _, tr := range transcripts() {
		for range 3_000 {
			cuts := randomCuts(random, len(tr.stream), 1+random.IntN(40))
			f.Reset(0)
			same(t, tr.want, listen(t, f, tr.stream, cuts...), tr.stream, cuts...)
		}
		every := make([]int, len(tr.stream))
		for i := range every {
			every[i] = i
		}
		f.Reset(0)
		same(t, tr.want, listen(t, f, tr.stream, every...), tr.stream)
	}
}

func randomCuts(random *rand.Rand, length, n int) []int {
	cuts := make([]int, n)
	for i := range cuts {
		cuts[i] = random.IntN(length)
	}
	slices.Sort(cuts)
	return cuts
}

// TestCutEverywhere ends each stream after every byte: what has not come is not believed.
func TestCutEverywhere(t *testing.T) {
	for _, tr := range transcripts() {
		ends := strings.LastIndex(tr.stream, "[DONE]") + len("[DONE]")
		for n := range len(tr.stream) {
			h := listen(t, NewFramer(0), tr.stream[:n])
			if h.Done && n < ends {
				t.Fatalf("%s: done after %d of %d bytes", tr.name, n, ends)
			}
			if h.Usage != "" && !json.Valid([]byte(h.Usage)) {
				t.Fatalf("%s: after %d bytes the usage is %s", tr.name, n, h.Usage)
			}
		}
	}
}
