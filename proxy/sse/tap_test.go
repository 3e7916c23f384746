package sse

import (
	"strings"
	"testing"
)

// hear lets a new Tap hear the payloads in order and returns the last kind.
func hear(payloads ...string) (Kind, *Tap, string) {
	tap, text := new(Tap), new(words)
	tap.Reset(text)
	kind := KindComment
	for _, data := range payloads {
		kind = tap.Observe(Event{Data: []byte(data)})
	}
	return kind, tap, text.String()
}

func TestKinds(t *testing.T) {
	f := func(data string, want Kind) {
		t.Helper()
		if got, _, _ := hear(data); got != want {
			t.Errorf("%s is %v, want %v", data, got, want)
		}
	}
	f(`{}`, KindEmpty)
	f(` { } `, KindEmpty)
	f(`{"choices":[]}`, KindEmpty)
	f(`{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}`, KindEmpty)
	f(`{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`, KindEmpty)
	f(`{"choices":[{"index":0,"delta":{"content":null,"tool_calls":[],"reasoning":null,"refusal":null,"function_call":null}}]}`, KindEmpty)
	f(`{"choices":[{"index":0,"delta":{"content":[]}}]}`, KindEmpty)
	f(`{"choices":[{"index":0,"delta":{"tool_calls":[null]}}]}`, KindEmpty)
	f(`{"choices":[{"index":0,"delta":null}]}`, KindEmpty)
	f(`{"choices":[null]}`, KindEmpty)
	f(`{"choices":[{"delta":{},"finish_reason":""}]}`, KindEmpty)

	f(`{"choices":[{"delta":{"content":"x"}}]}`, KindContent)
	f(`{"choices":[{"delta":{"content":" "}}]}`, KindContent)
	f(`{"choices":[{"message":{"content":"x"}}]}`, KindContent)
	f(`{"choices":[{"text":"x"}]}`, KindContent)
	f(`{"choices":[{"delta":{"images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBO"}}]}}]}`, KindContent)
	f(`{"choices":[{"delta":{"audio":{"id":"a","data":"UklG"}}}]}`, KindContent)
	f(`{"choices":[{"delta":{"content":"x"}}],"usage":{"total_tokens":1}}`, KindContent)

	f(`{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}`, KindFinish)
	f(`{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"total_tokens":1}}`, KindFinish)

	f(`{"choices":[],"usage":{"total_tokens":1}}`, KindUsage)
	f(`{"choices":[],"usage":{}}`, KindUsage)
	f(`{"choices":null,"usage":{"total_tokens":1}}`, KindUsage)
	f(`{"usage":{"total_tokens":1}}`, KindUsage)
	f(`{"choices":[],"usage":null}`, KindEmpty)
	f(`{"choices":[],"usage":7}`, KindEmpty)
	f(`{"choices":[{"delta":{}}],"usage":{"total_tokens":1}}`, KindEmpty)

	f(`[DONE]`, KindDone)
	f(` [DONE] `, KindDone)
	f(`[DONE]x`, KindDone)
	f(`[DONE`, KindInvalid)
	f(`"[DONE]"`, KindInvalid)

	f(``, KindInvalid)
	f(` `, KindInvalid)
	f(`x`, KindInvalid)
	f(`null`, KindInvalid)
	f(`[]`, KindInvalid)
	f(`"x"`, KindInvalid)
	f(`<html>`, KindInvalid)
	f(`{`, KindInvalid)
	f(`{"choices":[{"delta":{"content":"x"}}]`, KindInvalid)
	f(`{"choices":[{"delta":{"content":"x`, KindInvalid)
	f(`{"choices":[{"delta":{"content":"x\"}}]}`, KindInvalid)
	f(`{"choices":[{"delta":{"content":["x"}}]}`, KindInvalid)
	f(`{"choices":[{}]}}`, KindInvalid)
	f(`{} {}`, KindInvalid)
	f(`{"a"}`, KindInvalid)
	f(`{"a":}`, KindInvalid)
	f(`{"a":1,}`, KindInvalid)
	f(`{,"a":1}`, KindInvalid)
	f(`{"a":1 "b":2}`, KindInvalid)
	f(`{a:1}`, KindInvalid)
	f(`{"usage":{"a":1}`, KindInvalid)
	f(`{"choices":[{},]}`, KindInvalid)
}

func TestErrors(t *testing.T) {
	f := func(data string, want Kind) {
		t.Helper()
		if got, _, _ := hear(data); got != want {
			t.Errorf("%s is %v, want %v", data, got, want)
		}
		if got := ValidChunk([]byte(data)); got != (want != KindError) {
			t.Errorf("ValidChunk of %s is %t", data, got)
		}
	}
	f(`{"error":{"message":"overloaded","code":503}}`, KindError)
	f(`{"error": {}}`, KindError)
	f(`{"error":"overloaded"}`, KindError)
	f(`{"error":true}`, KindError)
	f(`{"error":503}`, KindError)
	f(`{"id":"a","choices":[{"delta":{"content":"x"},"finish_reason":"error"}],"error":{"code":502}}`, KindError)

	f(`{"error":null,"choices":[]}`, KindEmpty)
	f(`{"error":"","choices":[]}`, KindEmpty)
	f(`{"error":false,"choices":[]}`, KindEmpty)
	f(`{"error":0,"choices":[]}`, KindEmpty)
	f(`{"choices":[{"delta":{"content":"\"error\":{"}}]}`, KindContent)
	f(`{"choices":[{"delta":{"content":"error"}}]}`, KindContent)
	f(`{"choices":[{"delta":{"content":"x","error":{"x":1}},"error":{"x":1}}],"x":{"error":{}}}`, KindContent)
	f(`{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":{"error":{}}}}]}}]}`, KindEmpty)

	var tap Tap
	if kind := tap.Observe(Event{Name: []byte("error"), Data: []byte("overloaded")}); kind != KindError {
		t.Errorf("an event named error is %v", kind)
	}
	if kind := tap.Observe(Event{Name: []byte("errors"), Data: []byte("{}")}); kind != KindEmpty {
		t.Errorf("an event named errors is %v", kind)
	}
	if kind := tap.Observe(Event{Name: []byte("error")}); kind != KindComment {
		t.Errorf("an event named error, without data, which no client sees, is %v", kind)
	}
	if _, tap, _ := hear(`{"error":{"code":1},"choices":[{"finish_reason":"error"}]}`); tap.Finished(1) {
		t.Error("an error finishes an answer")
	}
}

func TestValidChunk(t *testing.T) {
	f := func(data string, want bool) {
		t.Helper()
		if got := ValidChunk([]byte(data)); got != want {
			t.Errorf("ValidChunk of %s is %t", data, got)
		}
	}
	f(`{}`, true)
	f(" {\n\"choices\": []} ", true)
	f(``, false)
	f(`[DONE]`, false)
	f(`[]`, false)
	f(`null`, false)
	f(`{"a":nul}`, false)
	f(`{"a":1}}`, false)
	f("{\"a\":\"\n\"}", false)
	f(`<!doctype html>`, false)
}

func TestText(t *testing.T) {
	f := func(data, want string) {
		t.Helper()
		_, tap, got := hear(data)
		if got != want {
			t.Errorf("%s says %s, want %s", data, got, want)
		}
		if n := int64(len(strings.ReplaceAll(want, "|", ""))); tap.ContentBytes() != n {
			t.Errorf("%s: %d bytes of content, want %d", data, tap.ContentBytes(), n)
		}
	}
	delta := func(members, want string) {
		t.Helper()
		f(`{"choices":[{"index":0,"delta":{`+members+`}}]}`, want)
	}
	delta(`"content":"x"`, `x`)
	delta(`"content" : "a\"b"`, `a\"b`)
	delta(`"content":"\\"`, `\\`)
	delta(`"content":"a\\\""`, `a\\\"`)
	delta(`"content":"usage","role":"content"`, `usage`)
	delta(`"content":"`+strings.Repeat(`long \"`, 20)+`"`, strings.Repeat(`long \"`, 20))
	delta(`"content":"`+strings.Repeat(`x`, 200)+`\\","x":"\\"`, strings.Repeat(`x`, 200)+`\\`)
	delta(`"content":[{"type":"text","text":"a"},{"type":"thinking","thinking":[{"type":"text","text":"b"}]},"c"]`, `a|b|c`)
	delta(`"content":["a","b"]`, `a|b`)
	delta(`"refusal":"no"`, `no`)
	delta(`"reasoning_content":"r","content":"c"`, `r|c`)
	delta(`"reasoning":"r"`, `r`)
	delta(`"reasoning":"same","reasoning_content":"same"`, `same`)
	delta(`"reasoning":"","reasoning_content":"r"`, `r`)
	delta(`"reasoning":"r","reasoning_details":[{"type":"reasoning.text","text":"r"}]`, `r`)
	delta(`"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]`, `f|{\"a\":1}`)
	delta(`"tool_calls":[{"index":0,"type":"custom","custom":{"name":"f","input":"text"}}]`, `f|text`)
	delta(`"function_call":{"name":"f","arguments":"{}"}`, `f|{}`)
	delta(`"audio":{"id":"a","data":"UklG","transcript":"hello"}`, `hello`)
	delta(`"images":[{"image_url":{"url":"data:image/png;base64,iVBO"}}]`, ``)
	delta(`"role":"assistant","name":"x","other":{"content":"no"}`, ``)
	f(`{"choices":[{"message":{"content":"x"}}]}`, `x`)
	f(`{"choices":[{"text":"x","logprobs":{"content":[{"token":"x","text":"x"}]}}]}`, `x`)
	f(`{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}`, `a|b`)
	f(`{"content":"no","delta":{"content":"no"},"x":{"choices":[{"delta":{"content":"no"}}]}}`, ``)

	var deaf Tap
	if deaf.Observe(Event{Data: []byte(`{"choices":[{"delta":{"content":"x"}}]}`)}); deaf.ContentBytes() != 1 {
		t.Errorf("without a sink %d bytes were counted", deaf.ContentBytes())
	}
}

func TestUsage(t *testing.T) {
	f := func(want string, payloads ...string) {
		t.Helper()
		if _, tap, _ := hear(payloads...); string(tap.Usage()) != want || (tap.Usage() == nil) != (want == "") {
			t.Errorf("%s: usage %s, want %s", payloads, tap.Usage(), want)
		}
	}
	f(``)
	f(``, `{"choices":[],"usage":null}`)
	f(``, `{"choices":[],"usage": {} }`)
	f(``, `{"choices":[],"usage":[1]}`)
	f(`{"total_tokens":1}`, `{"choices":[],"usage" : {"total_tokens":1} }`)
	f(`{"total_tokens":0}`, `{"usage":{"total_tokens":0}}`)
	f(starMagicUsage, `{"choices":[],"usage":`+starMagicUsage+`}`)
	f(`{"a":"}\"{\\"}`, `{"usage":{"a":"}\"{\\"}}`)

	// The last one that says something wins.
	f(`{"n":2}`, `{"usage":{"n":1}}`, `{"usage":{"n":2}}`)
	f(`{"n":1}`, `{"usage":{"n":1}}`, `{"usage":null}`, `{"usage":{}}`, `{"choices":[]}`)

	// It counts on top of the payload alone, wherever a model might write another.
	f(``, `{"choices":[{"delta":{},"usage":{"n":1}}]}`)
	f(``, `{"choices":[{"delta":{"content":"\"usage\":{\"n\":1}"}}]}`)
	f(``, `{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":{"usage":{"n":1}}}}]}}]}`)
	f(``, `{"x":"usage"}`, `{"usage":"usage"}`)

	// It is not taken from a broken payload.
	f(``, `{"choices":[],"usage":{"n":1}`)
	f(`{"n":1}`, `{"usage":{"n":1}}`, `{"usage":{"n":2}}}`)
}

func TestFinished(t *testing.T) {
	f := func(n int, payloads ...string) {
		t.Helper()
		_, tap, _ := hear(payloads...)
		if n > 0 && !tap.Finished(n) || tap.Finished(n+1) || tap.Finished(0) != (n > 0) || tap.Finished(-1) != (n > 0) {
			t.Errorf("%s: not exactly %d choices are finished", payloads, n)
		}
	}
	stop := func(index string) string {
		return `{"choices":[{"index":` + index + `,"delta":{},"finish_reason":"stop"}]}`
	}
	f(0)
	f(0, `[DONE]`)
	f(1, stop("0"))
	f(1, stop("0"), stop("0"))
	f(0, stop("1"))
	f(2, stop("1"), stop("0"))
	f(1, `{"choices":[{"finish_reason":"length","index": 0 }]}`)
	f(1, `{"choices":[{"finish_reason":"stop"}]}`)
	f(2, `{"choices":[{"finish_reason":"stop"},{"finish_reason":"stop"}]}`)
	f(1, `{"choices":[{"finish_reason":"stop"},{"finish_reason":null}]}`)
	f(0, `{"choices":[{"finish_reason":["stop"]}]}`)
	f(0, `{"choices":[{"delta":{"finish_reason":"stop"}}],"finish_reason":"stop"}`)
	f(0, `{"choices":[{"delta":{"content":"\"finish_reason\":\"stop\""}}]}`)
	f(0, stop("-1"), stop("128"), stop("1000"), stop("1.5"), stop(`"0"`), stop("null"))
	f(0, stop("0")+"}")

	var all []string
	for i := range 128 {
		all = append(all, strings.Replace(stop("N"), "N", strings.Repeat("1", i/100)+string("0123456789"[i/10%10])+string("0123456789"[i%10]), 1))
	}
	f(128, all...)
}

func TestDone(t *testing.T) {
	if _, tap, _ := hear(`{"choices":[{"delta":{"content":"[DONE]"}}]}`); tap.Done() {
		t.Error("a model's words end the stream")
	}
	if _, tap, _ := hear(`[DONE]`, `{}`); !tap.Done() {
		t.Error("an event after the end marker takes it back")
	}
}

func TestID(t *testing.T) {
	f := func(want string, payloads ...string) {
		t.Helper()
		if _, tap, _ := hear(payloads...); tap.ID() != want {
			t.Errorf("%s: id %q, want %q", payloads, tap.ID(), want)
		}
	}
	f("", `{}`)
	f("", `{"id":null}`, `{"id":7}`, `{"id":""}`, `{"choices":[{"id":"x"}]}`)
	f("a", `{"id":"a"}`)
	f("a", `{"id":""}`, `{"id":"a"}`, `{"id":"b"}`)
	f("", `{"id":"a\nb"}`, `{"id":"a b"}`, `{"id":"é"}`)
	f(strings.Repeat("x", 128), `{"id":"`+strings.Repeat("x", 1000)+`"}`)
}

// TestFrames has chunks that differ in little but must not be mistaken for each other.
func TestFrames(t *testing.T) {
	f := func(kind Kind, text string, payloads ...string) {
		t.Helper()
		got, _, said := hear(payloads...)
		if got != kind || said != text {
			t.Errorf("%s: %v, %s; want %v, %s", payloads, got, said, kind, text)
		}
	}
	f(KindContent, "a|b", `{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"content":"b"}}]}`)
	f(KindContent, `a|\"}`, `{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"content":"\"}"}}]}`)
	f(KindEmpty, "a", `{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"content":""}}]}`)
	f(KindFinish, "a|b", `{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}`)
	f(KindFinish, "a|b", `{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}`, `{"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}`)
	f(KindInvalid, "a|b", `{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"content":"b"}}]`)
	f(KindInvalid, "a", `{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"content":"b`)
	f(KindInvalid, "a|b", `{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"content":"b"}}]}}`)
	f(KindError, "a|b", `{"error":{},"choices":[{"delta":{"content":"a"}}]}`, `{"error":{},"choices":[{"delta":{"content":"b"}}]}`)
	f(KindError, "a|b", `{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"content":"b"}}],"error":{}}`)
	f(KindContent, "a|x|b|x", `{"choices":[{"delta":{"content":"a","refusal":"x"}}]}`, `{"choices":[{"delta":{"content":"b","refusal":"x"}}]}`)
	f(KindContent, "a|r", `{"choices":[{"delta":{"reasoning":"a","reasoning_content":"r"}}]}`, `{"choices":[{"delta":{"reasoning":"","reasoning_content":"r"}}]}`)
	f(KindContent, "a|b|c", `{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"content":"b"}}],"choices":[{"delta":{"content":"c"}}]}`)

	long := strings.Repeat("x", 2*maxFrame)
	f(KindContent, "a|b", `{"x":"`+long+`","choices":[{"delta":{"content":"a"}}]}`, `{"x":"`+long+`","choices":[{"delta":{"content":"b"}}]}`)

	_, tap, _ := hear(`{"usage":{"n":1},"choices":[{"delta":{"content":"a"}}]}`, `{"usage":{"n":2}}`, `{"usage":{"n":1},"choices":[{"delta":{"content":"b"}}]}`)
	if string(tap.Usage()) != `{"n":1}` {
		t.Errorf("usage %s in front of the choices, want the last one", tap.Usage())
	}
	_, tap, _ = hear(`{"choices":[{"delta":{"content":"a"}}],"usage":{"n":1}}`, `{"choices":[{"delta":{"content":"b"}}],"usage":{"n":2}}`)
	if string(tap.Usage()) != `{"n":2}` {
		t.Errorf("usage %s behind the choices, want the last one", tap.Usage())
	}
}

func TestTapReset(t *testing.T) {
	_, tap, _ := hear(`{"id":"a","choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"usage":{"n":1}}`, `[DONE]`)
	tap.Observe(Event{Raw: []byte(`data: {`), Fragment: FragmentFirst})
	var text words
	tap.Reset(&text)
	if tap.Done() || tap.Finished(1) || tap.Usage() != nil || tap.ContentBytes() != 0 || tap.ID() != "" || tap.Over() {
		t.Errorf("something is left after Reset: %+v", tap)
	}
	tap.Observe(Event{Data: []byte(`{"id":"b","choices":[{"delta":{"content":"x"}}]}`)})
	if text.String() != "x" || tap.ID() != "b" {
		t.Errorf("after Reset: %s of %s", &text, tap.ID())
	}
}

func TestKindNames(t *testing.T) {
	names := []string{"comment", "empty", "usage", "content", "finish", "done", "invalid", "error", "unknown"}
	for i, want := range names {
		if got := Kind(i).String(); got != want {
			t.Errorf("kind %d is %q, want %q", i, got, want)
		}
	}
}

// What goes to traces: who the provider says has answered, and why the answer ended.
func TestModelAndFinishReasons(t *testing.T) {
	f := func(wantModel, wantReasons string, payloads ...string) {
		t.Helper()
		_, tap, _ := hear(payloads...)
		if got := strings.Join(tap.FinishReasons(), ","); tap.Model() != wantModel || got != wantReasons {
			t.Errorf("%s: %q, %q; want %q, %q", payloads, tap.Model(), got, wantModel, wantReasons)
		}
	}
	f("", "", `{"choices":[]}`)
	f("m-1", "", `{"model":"m-1"}`, `{"model":"m-2"}`)
	f("m-1", "", `{"model":""}`, `{"model":"m-1"}`)
	f("", "", `{"model":7}`, `{"model":"two words"}`, `{"model":"\u0061"}`)
	f("", "stop", `{"choices":[{"delta":{"model":"x"},"finish_reason":"stop"}]}`)
	f("", "stop,length", `{"choices":[{"index":0,"finish_reason":"length"},{"index":1,"finish_reason":"stop"}]}`, `{"choices":[{"finish_reason":"stop"}]}`)
	f("", "tool_calls", `{"choices":[{"finish_reason":"tool_calls"}]}`)
	f("", "", `{"choices":[{"finish_reason":"a provider's own words"}]}`, `{"choices":[{"finish_reason":null}]}`)
	f(strings.Repeat("m", 128), "", `{"model":"`+strings.Repeat("m", 500)+`"}`)

	_, tap, _ := hear(`{"model":"m","choices":[{"finish_reason":"stop"}]}`)
	tap.Reset(nil)
	if tap.Model() != "" || tap.FinishReasons() != nil {
		t.Errorf("after Reset: %q, %q", tap.Model(), tap.FinishReasons())
	}
}
