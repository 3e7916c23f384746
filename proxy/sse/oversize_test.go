package sse

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// event returns a data event of exactly n bytes, not counting the last line feed of a final CR LF.
func event(n int, end string) string {
	const start = "data: "
	n -= len(start) + len(end)
	if strings.HasSuffix(end, "\r\n") {
		n++
	}
	return start + strings.Repeat("x", n) + end
}

func TestWholeOrFragments(t *testing.T) {
	f := func(stream string, want ...Fragment) {
		t.Helper()
		fr := NewFramer(0)
		var got []Fragment
		var out strings.Builder
		src := strings.NewReader(stream)
		for {
			_, err := fr.Fill(src)
			for e, ok := fr.Next(); ok; e, ok = fr.Next() {
				out.Write(e.Raw)
				if n := len(got); n == 0 || e.Fragment != FragmentMiddle || got[n-1] != FragmentMiddle {
					got = append(got, e.Fragment)
				}
				if (e.Fragment == Whole) != (e.Data != nil) || e.EndsEvent() != (e.Fragment == Whole || e.Fragment == FragmentLast) {
					t.Errorf("fragment %d: data %t, ends %t", e.Fragment, e.Data != nil, e.EndsEvent())
				}
			}
			if err != nil {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d bytes: fragments %d, want %d", len(stream), got, want)
		}
		if out.String()+string(fr.Rest()) != stream {
			t.Errorf("%d bytes: the fragments do not add up", len(stream))
		}
	}
	short := "data: a\n\n"
	f(event(maxWhole, "\n\n"), Whole)
	f(short+event(maxWhole, "\n\n")+short, Whole, Whole, Whole)
	f(event(maxWhole+1, "\n\n"), FragmentFirst, FragmentLast)
	f(short+event(maxWhole+1, "\n\n")+short, Whole, FragmentFirst, FragmentLast, Whole)
	f(event(2*maxBuffer, "\n\n"), FragmentFirst, FragmentMiddle, FragmentLast)
	f(event(1<<20, "\r\r")+event(1<<20, "\n\n"), FragmentFirst, FragmentMiddle, FragmentLast, FragmentFirst, FragmentMiddle, FragmentLast)

	// An oversize event that never ends has nothing left in memory.
	f(event(1<<20, "\n\n")[:1<<20-2], FragmentFirst, FragmentMiddle)
}

// TestOversizeEdges splits events around the limit at every byte near it: neither the reads nor the line ends change
// whether they are whole.
func TestOversizeEdges(t *testing.T) {
	for _, end := range []string{"\n\n", "\r\r", "\n\r\n", "\r\n\r\n"} {
		for _, length := range []int{maxWhole - 1, maxWhole, maxWhole + 1} {
			one := event(length, end)
			stream := one + one + "data: [DONE]\n\n"
			want := listen(t, NewFramer(0), stream)
			if want.Over != (length > maxWhole) || !want.Done {
				t.Errorf("an event of %d bytes: oversize %t, done %t", length, want.Over, want.Done)
			}
			for cut := maxWhole - 5; cut < maxWhole+5; cut++ {
				same(t, want, listen(t, NewFramer(0), stream, cut), stream, cut)
				same(t, want, listen(t, NewFramer(0), stream, len(one)+cut), stream, len(one)+cut)
			}
		}
	}
}

func TestTooLong(t *testing.T) {
	f := func(limit, length int, tooLong bool) {
		t.Helper()
		for _, end := range []string{"\n\n", "\r\r", "\r\n\r\n"} {
			stream := "data: a\r\n\r\n" + event(length, end) + "data: b\n\n"
			for name, src := range map[string]io.Reader{
				"at once": strings.NewReader(stream), "byte by byte": iotest.OneByteReader(strings.NewReader(stream)),
			} {
				fr := NewFramer(limit)
				n, err := drain(fr, src)
				if errors.Is(err, ErrEventTooLong) != tooLong || errors.Is(fr.Err(), ErrEventTooLong) != tooLong {
					t.Errorf("limit %d, %d bytes %s, %q: %d events, %v", limit, length, name, end, n, err)
				}
				if _, ok := fr.Next(); ok {
					t.Errorf("limit %d, %d bytes %s: events go on", limit, length, name)
				}
				if _, ok := fr.Final(); ok {
					t.Errorf("limit %d, %d bytes %s: a final event", limit, length, name)
				}
			}
		}
	}
	f(100, 99, false)
	f(100, 100, false)
	f(100, 101, true)
	f(100, 200, true)
	f(maxWhole, maxWhole, false)
	f(maxWhole, maxWhole+1, true)
	f(maxWhole+10, maxWhole+9, false)
	f(maxWhole+10, maxWhole+10, false)
	f(maxWhole+10, maxWhole+11, true)
	f(100_000, 100_000, false)
	f(100_000, 100_001, true)
	f(0, 100_000, false)

	fr := NewFramer(100)
	_, err := drain(fr, letters{})
	if want := "the upstream sent an event that is too long: more than 100 bytes (server.max_event)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestOversizeOutcome(t *testing.T) {
	big := strings.Repeat(`iVBORw0KGgo\\\"{}[]:,error`, 2_800)
	f := func(payload, kind, usage string, finished int) {
		t.Helper()
		stream := "data: " + strings.Replace(payload, "BIG", big, 1) + "\n\ndata: [DONE]\n\n"
		whole := listen(t, NewFramer(0), stream)
		if want := []string{"oversize " + kind, "done  [DONE]"}; !slices.Equal(whole.Events, want) {
			t.Errorf("%s: %q, want %q", payload, whole.Events, want)
		}
		if whole.Usage != usage || !whole.Over || !whole.Done {
			t.Errorf("%s: usage %s, over %t, done %t", payload, whole.Usage, whole.Over, whole.Done)
		}
		for i, got := range whole.Finished {
			if got != (i < finished) {
				t.Errorf("%s: finished of %d choices is %t", payload, i+1, got)
			}
		}
		random := rand.New(rand.NewPCG(1, 2))
		for range 5 {
			cuts := randomCuts(random, len(stream), 200)
			same(t, whole, listen(t, NewFramer(0), stream, cuts...), payload, cuts...)
		}
	}
	f(`{"choices":[{"index":0,"delta":{"content":"BIG"},"finish_reason":"stop"}],"usage":{"total_tokens":7,"d":{"x":[1]}}}`,
		"finish", `{"total_tokens":7,"d":{"x":[1]}}`, 1)
	f(`{"usage":{"total_tokens":7},"choices":[{"finish_reason":"stop","delta":{"content":"BIG"},"index":0}]}`,
		"finish", `{"total_tokens":7}`, 1)
	f(`{"choices":[{"index":1,"delta":{"content":"BIG"},"finish_reason":"stop"},{"finish_reason":"length","index":0}]}`, "finish", "", 2)
	f(`{"choices":[{"delta":{"content":"BIG"},"finish_reason":"stop"},{"delta":{},"finish_reason":"stop"}]}`, "finish", "", 2)
	f(`{"choices":[{"index":0,"delta":{"content":"BIG"},"finish_reason":null}],"usage":null}`, "content", "", 0)
	f(`{"choices":[{"index":0,"delta":{"content":"BIG"},"finish_reason":""}],"usage":{}}`, "content", "", 0)
	f(`{"choices":[{"index":0,"delta":{"content":"BIG","x":{"finish_reason":"stop","usage":{"a":1},"error":{}}}}]}`, "content", "", 0)
	f(`{"choices":[{"index":0,"delta":{"content":"BIG finish_reason"}}],"x":"usage","y":"error","error":null}`, "content", "", 0)
	f(`{"error":{"message":"BIG"}}`, "error", "", 0)
	f(`{"x":"BIG","error":"overloaded"}`, "error", "", 0)
	f(`{"x":"BIG","error":true}`, "error", "", 0)
	f(`{"x":"BIG","error":false}`, "content", "", 0)
	f(`{"x":"BIG","error":0 }`, "content", "", 0)
	f(`{"x":"BIG","error":""}`, "content", "", 0)
	f(`{"x":"BIG","error":503}`, "error", "", 0)
	f(`{"x":"BIG"`, "invalid", "", 0)
	f(`{"x":"BIG`, "invalid", "", 0)
	f(`<html>BIG</html>`, "invalid", "", 0)

	f(`{"x":"BIG","a":"usage","\nsage":{"x":1},"\"usage":{"x":1},"err\u006fr":{}}`, "content", "", 0)

	// A broken usage is none.
	f(`{"x":"BIG","usage":{"total_tokens":}}`, "content", "", 0)

	// What outgrows any usage is none.
	f(`{"usage":{"x":"BIG"},"choices":[{"index":0,"finish_reason":"stop"}]}`, "finish", "", 1)
}

// TestOversizeText listens to the same payload as one event and as an oversize one: what the model said is the same.
func TestOversizeText(t *testing.T) {
	f := func(payload, want string) {
		t.Helper()
		small := listen(t, NewFramer(0), "data: "+strings.ReplaceAll(payload, "\n", "\ndata: ")+"\n\n")
		large := listen(t, NewFramer(0), "data: "+strings.ReplaceAll(pad(payload), "\n", "\ndata: ")+"\n\n")
		if small.Over || !large.Over {
			t.Fatalf("%s: oversize %t and %t", payload, small.Over, large.Over)
		}
		small.Text = strings.ReplaceAll(small.Text, "|", "")
		if small.Text != want || large.Text != want || large.ContentBytes != int64(len(want)) {
			t.Errorf("%s: text %q, in an oversize event %q, want %q", payload, small.Text, large.Text, want)
		}
	}
	f(`{"choices":[{"index":0,"delta":{"content":"he said \"hi\"\\n\u00e9\\"}}]}`, `he said \"hi\"\\n\u00e9\\`)
	f(`{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b","refusal":"c"}},{"text":"d"}]}`, "abcd")
	f(`{"choices":[{"delta":{"reasoning_content":"think","reasoning":"think","content":"say"}},{"delta":{"reasoning":"more"}}]}`, "thinksaymore")
	f(`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"look","arguments":"{\"up\":1}"}}]}}]}`, `look{\"up\":1}`)
	f(`{"choices":[{"delta":{"content":null,"images":[{"image_url":{"url":"data:image/png;base64,AAAA"}}],"audio":{"data":"BBBB","transcript":"words"}}}]}`, "words")
	f(`{"choices":[{"delta":{"reasoning_contents":"no","content":"yes"}}]}`, "yes")

	// Strings directly in an array go by the last name before it.
	f(`{"choices":[{"delta":{"content":["a","b"]}}]}`, "ab")
	f(`{"choices":[{"text":["a",["b",{"type":"no"},"no"]]}]}`, "ab")
	f(`{"choices":[{"delta":{"content":[{"text":["a",{"id":["no"],"input":["b",["c"]]}],"x":{}},"no"]}}]}`, "abc")
	f(`{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"content":"no"}],"tool_calls":["b"],"function_call":{"name":"c","arguments":{"city":"no"}}}}]}`, "abc")
	f(`{"choices":[{"delta":{"content":{"a":{"b":[],"text":"a"},"text":{"input":"b"},"transcript":"c"}}}]}`, "abc")
	f(`{"choices":[{"delta":{"images":["a"],"audio":"b","refusal":["c"]}},"no",["no"]],"x":"no"}`, "abc")
	f("{\"choices\":[{\"delta\":{\"content\"\n:\n[\n\"a\"\n,\n\"b\"\n]\n}}]}", "ab")

	// Only a choice and its delta speak, not what else they hold.
	f(`{"choices":[{"logprobs":{"content":[{"token":"no","text":"no"}],"refusal":"no"},"content":"no","name":"no","delta":{"x":{"content":"no"},"text":"no","arguments":"no"}}]}`, "")
	f(`{"choices":[{"delta":[{"content":"no"}],"message":{"content":"a"},"x":{"content":"no"}},[{"text":"no"}],{"0":{"delta":{"content":"no"}}}]}`, "a")
	f(`{"choices":{"delta":{"content":"no"},"text":"no"},"x":[{"text":"no","delta":{"content":"no"}}]}`, "")

	// Of reasoning under two names the first one with text counts, and once.
	f(`{"choices":[{"delta":{"reasoning":"","reasoning_content":"a","reasoning":"no","reasoning_content":"no"}}]}`, "a")
	f(`{"choices":[{"delta":{"reasoning":null,"reasoning_content":["a",{"text":"b"}],"reasoning":["no"]},"message":{"reasoning":"c"}}]}`, "abc")
	f(`{"choices":[{"delta":{"reasoning_content":{"x":"no"},"content":"a","reasoning":"b","refusal":"c"}}]}`, "abc")
	f(`{"id":"x","content":"no","choices":[{"delta":{"role":"assistant","content":""},"logprobs":null}],"usage":{"text":"no"},"error":null,"text":"no"}`, "")
}

// pad makes a payload too long for one piece. What it adds is of no meaning.
func pad(payload string) string {
	return strings.Replace(payload, "{", `{"pad":"`+strings.Repeat("x", maxWhole)+`",`, 1)
}

// TestOversizeChoices listens to the same payload as one event and as an oversize one: the same choices are finished.
func TestOversizeChoices(t *testing.T) {
	f := func(payload string, want ...int) {
		t.Helper()
		var ended bitset
		for _, i := range want {
			ended.add(i)
		}
		for name, stream := range map[string]string{"whole": payload, "oversize": pad(payload)} {
			tap := new(Tap)
			relay(NewFramer(0), tap, strings.NewReader("data: "+strings.ReplaceAll(stream, "\n", "\ndata: ")+"\n\n"))
			if tap.ended != ended || tap.Over() != (name == "oversize") {
				t.Errorf("%.200q, %s: choices %b are finished, want %b", payload, name, tap.ended, ended)
			}
		}
	}
	index := func(index string, want ...int) {
		t.Helper()
		f(`{"choices":[{"index":`+index+`,"finish_reason":"stop"}]}`, want...)
		f(`{"choices":[{"finish_reason":"stop","index" : `+index+` }]}`, want...)
		f("{\n\"choices\":[\n{\n\"index\":\n"+index+"\n,\n\"finish_reason\"\n:\n\"stop\"\n}\n]\n}", want...)
	}
	index("0", 0)
	index("-0", 0)
	index("1", 1)
	index("12", 12)
	index("127", 127)
	for _, none := range []string{
		"-1", "1.5", "1e0", "-0.0", "0.0", "0e0", "1E2", "-00", "128", "999", "1000", "18446744073709551616", "18446744073709551617",
		strings.Repeat("1", 1_000), strings.Repeat("0", 1_000), "null", "true", `"1"`, `""`, "[1]", "{}", `{"index":1}`,
	} {
		index(none)
	}

	// Without an index the position counts, of all that stands in the list.
	f(`{"choices":[{"finish_reason":"stop"},{"finish_reason":null},{"finish_reason":"stop"}]}`, 0, 2)
	f(`{"choices":[{"index":5},{"finish_reason":"stop"}]}`, 1)
	f(`{"choices":[null,{"finish_reason":"stop"}]}`, 1)
	f(`{"choices":[ 1.5 , "a" , [] , {} , {"finish_reason":"stop"} ]}`, 4)
	f(`{"choices":[{}],"choices":[],"choices":[{"finish_reason":"stop"}]}`, 1)
	f(`{"choices":{"0":{"index":0,"finish_reason":"stop"}}}`)
	f(`{"choices":[],"prompt_filter_results":[{"index":0,"finish_reason":"stop"}]}`)
	f(`{"choices":[],"":[{"index":0,"finish_reason":"stop"}]}`)

	// The last word counts.
	f(`{"choices":[{"index":1,"finish_reason":"stop","index":0}]}`, 0)
	f(`{"choices":[{"index":0,"finish_reason":"stop","index":null}]}`)
	f(`{"choices":[{"index":0,"finish_reason":"stop","finish_reason":null}]}`)
	f(`{"choices":[{"index":0,"finish_reason":"stop","finish_reason":["stop"]}]}`)
	f(`{"choices":[{"index":0,"finish_reason":null,"finish_reason":"stop"}]}`, 0)

	// A line's field name is no part of the payload.
	f("{\"choices\":[{\"index\":1,\n\"delta\":{},\n\"finish_reason\":\"stop\"}]}", 1)
	f("{\"choices\":[{\"index\":0,\"finish_reason\":null,\n\"logprobs\":null}]}")
	f("{\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}],\"error\":null,\n\"x\":{}}", 0)
}

func TestOversizeErrors(t *testing.T) {
	f := func(value string, failed bool) {
		t.Helper()
		for _, payload := range []string{`{"error":` + value + `}`, pad(`{"error" : ` + value + ` }`), pad("{\"error\":\n" + value + "\n,\n\"x\":1}")} {
			stream := "data: " + strings.ReplaceAll(payload, "\n", "\ndata: ") + "\n\n"
			h := listen(t, NewFramer(0), stream)
			if got := strings.HasPrefix(strings.TrimPrefix(h.Events[0], "oversize "), "error"); got != failed {
				t.Errorf("error %s, oversize %t: %.40s", value, h.Over, h.Events[0])
			}
		}
	}
	for _, none := range []string{"null", "false", "0", `""`} {
		f(none, false)
	}
	for _, failure := range []string{"true", "1", "-1", "0.5", "0.0", "503", strings.Repeat("1", 100), `"x"`, "[]", "{}"} {
		f(failure, true)
	}
}

// TestOversizeLines: only the lines of the field data are the payload.
func TestOversizeLines(t *testing.T) {
	f := func(stream string) {
		t.Helper()
		stream = strings.Replace(stream, "BIG", strings.Repeat("x", maxWhole), 1) + "\n\n"
		h := listen(t, NewFramer(0), stream)
		if !slices.Equal(h.Events, []string{"oversize finish"}) || h.Finished != [3]bool{true} {
			t.Errorf("%.200q: %q, finished %t", stream, h.Events, h.Finished)
		}
		random := rand.New(rand.NewPCG(1, 2))
		for range 5 {
			cuts := randomCuts(random, len(stream), 200)
			same(t, h, listen(t, NewFramer(0), stream, cuts...), stream[:20], cuts...)
		}
	}
	f("data: {\"x\":\"BIG\",\ndata\ndata:\"choices\":[{\"finish_reason\":\"stop\"}]}")
	f("\xef\xbb\xbfdata: {\"x\":\"BIG\",\"choices\":[{\"finish_reason\":\"stop\"}]}")
	f(": {\"\nevent: {[\rid: \"\r\ndata: {\"x\":\"BIG\",\"choices\":[{\"finish_reason\":\"stop\"}]}\n: }]\nevent: x")
	f("data: {\"x\":\"BIG\",\"choices\":[{\n: ,\"index\":1,\ndatas: \"index\":1,\n data: \"index\":1,\nDATA: \"index\":1,\ndata: \"finish_reason\":\"stop\"}]}")
}

// TestOversizeNames: what an event is called counts, wherever its name stands, and the last one of several.
func TestOversizeNames(t *testing.T) {
	f := func(stream, want string) {
		t.Helper()
		payload := strings.ReplaceAll(stream, "PAYLOAD", `data: {"choices":[{"finish_reason":"stop"}],"usage":{"total_tokens":7}}`)
		for _, whole := range []string{payload, strings.Replace(payload, "data: {", `data: {"x":"`+strings.Repeat("x", maxWhole)+`",`, 1)} {
			h := listen(t, NewFramer(0), whole+"\n\n")
			kind, _, _ := strings.Cut(strings.TrimPrefix(h.Events[0], "oversize "), " ")
			if kind != want || !h.Finished[0] || h.Usage != `{"total_tokens":7}` {
				t.Errorf("%q, oversize %t: %s, want %s; finished %t, usage %s", stream, h.Over, kind, want, h.Finished[0], h.Usage)
			}
			random := rand.New(rand.NewPCG(1, 2))
			for range 5 {
				cuts := randomCuts(random, len(whole), 200)
				same(t, h, listen(t, NewFramer(0), whole+"\n\n", cuts...), stream, cuts...)
			}
		}
	}
	f("event: error\nPAYLOAD", "error")
	f("event:error\rPAYLOAD", "error")
	f("PAYLOAD\r\nevent: error\r\nid: 7", "error")
	f("event: x\nPAYLOAD\nevent: error", "error")
	f("event: error\nPAYLOAD\nevent: x", "finish")
	f("event: error\nPAYLOAD\nevent", "finish")
	f("event: error\nPAYLOAD\nevent:", "finish")
	f("event: errors\nPAYLOAD", "finish")
	f("event: error \nPAYLOAD", "finish")
	f("event:  error\nPAYLOAD", "finish")
	f("event: error, or none at all\nPAYLOAD", "finish")
	f("events: error\nid: error\n: event: error\nPAYLOAD\nEvent: error\n event: error", "finish")
}

// TestOversizePayloads: a payload is one object, or invalid. Without any there is nothing but a comment.
func TestOversizePayloads(t *testing.T) {
	f := func(stream, want, text string) {
		t.Helper()
		for _, big := range []string{"x", strings.Repeat("x", maxWhole)} {
			h := listen(t, NewFramer(0), strings.ReplaceAll(stream, "BIG", big)+"\n\n")
			if len(h.Events) == 0 {
				h.Events = []string{"comment"} // a whole one is not noted
			}
			kind, _, _ := strings.Cut(strings.TrimPrefix(h.Events[0], "oversize "), " ")
			if kind != want || h.Text != text || h.Finished[0] != (want == "finish") || h.Over != (len(big) > 1) {
				t.Errorf("%q, oversize %t: %s, %q, finished %t; want %s, %q", stream, h.Over, kind, h.Text, h.Finished[0], want, text)
			}
		}
	}
	const object = `{"x":"BIG","choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}`
	f("data: "+object, "finish", "a")
	f("data:\ndata: \t\ndata:\x01 "+object+" \ndata\ndata: \ndata:", "finish", "a")
	f("data: ["+object+"]", "invalid", "")
	f("data: []"+object, "invalid", "")
	f("data: x"+object, "invalid", "")
	f("data: ,"+object, "invalid", "")
	f("data: \"x\""+object, "invalid", "")
	f("data: }"+object, "invalid", "")
	f("data: "+object+"x", "invalid", "a")
	f("data: "+object+"}", "invalid", "a")
	f("data: "+object+"{}", "invalid", "a")
	f("data: "+object+"\"", "invalid", "a")
	f("data: "+object+"\ndata: "+object, "invalid", "a")
	f("data: "+object+"\n:}\nid:}", "finish", "a")
	f("data: \"BIG\"", "invalid", "")
	f("data: 7BIG", "invalid", "")
	f("data:\n:BIG", "invalid", "")
	f("data\n:BIG", "invalid", "")
	f(":BIG", "comment", "")
	f("datas: {}\nevent: error\n:BIG", "comment", "")
	f("data: ["+object+"]\nevent: error", "error", "")
	f("event: error\ndata: "+object+"x\ndata: event: x", "error", "a")
}

func TestOversizeUsageOverSeveralDataLines(t *testing.T) {
	stream := "data: " + strings.ReplaceAll(pad("{\"usage\":{\n\"total_tokens\":\n9\n}\n}"), "\n", "\ndata:") + "\n\n"
	if h := listen(t, NewFramer(0), stream); h.Usage != "{\n\"total_tokens\":\n9\n}" || !h.Over {
		t.Errorf("usage %q, oversize %t", h.Usage, h.Over)
	}
}

func TestOversizeOverSeveralDataLines(t *testing.T) {
	var b strings.Builder
	b.WriteString("data: {\"choices\": [\ndata:   {\"index\": 0,\ndata:    \"delta\": {\"images\": [\n")
	for i := range 5_000 {
		fmt.Fprintf(&b, "data:      \"part %d\",\r\n", i)
	}
	b.WriteString("data:   \"\"]},\ndata:   \"finish_reason\": \"stop\"}],\ndata: \"usage\": {\"total_tokens\": 9}\ndata: }\n\n")
	h := listen(t, NewFramer(0), b.String())
	if !slices.Equal(h.Events, []string{"oversize finish"}) || h.Usage != `{"total_tokens": 9}` || !h.Finished[0] {
		t.Errorf("got %q with usage %s, finished %t", h.Events, h.Usage, h.Finished[0])
	}
}

func TestOversizeEventsAreReadOneByOne(t *testing.T) {
	big := strings.Repeat("x", maxWhole)
	stream := `data: {"x":"` + big + `","usage":{"total_tokens":1}}` + "\n\n" + `data: {"usage":{"total_tokens":2}}` + "\n\n" +
		`data: {"x":"` + big + `","usage":null}` + "\n\n" + "data: " + big + "\n\n" + `data: {"x":"` + big + `"}` + "\n\n"
	h := listen(t, NewFramer(0), stream)
	want := []string{"oversize content", `usage  {"usage":{"total_tokens":2}}`, "oversize content", "oversize invalid", "oversize content"}
	if !slices.Equal(h.Events, want) || h.Usage != `{"total_tokens":2}` {
		t.Errorf("got %q with usage %s", h.Events, h.Usage)
	}
}
