package simulator

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	asStream = `"stream":true,"stream_options":{"include_usage":true},`
	asPlain  = ``
)

// exchangeOnce is exchangeRaw for a connection that the server ends in any case.
// It returns the header without its Date, and the body as it is on the wire.
func exchangeOnce(t *testing.T, addr string, p Provider, body string) (header, wire string, end error) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	r := newRequest("http://"+addr, p, body)
	r.Close = true
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	raw, end := io.ReadAll(conn)
	header, wire, _ = strings.Cut(string(raw), "\r\n\r\n")
	var kept []string
	for _, line := range strings.Split(header, "\r\n") {
		if !strings.HasPrefix(line, "Date: ") && line != "Connection: close" {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n"), wire, end
}

// chunked is how HTTP sends these parts, one chunk each, without the last chunk.
func chunked(parts ...string) string {
	var wire strings.Builder
	for _, part := range parts {
		fmt.Fprintf(&wire, "%x\r\n%s\r\n", len(part), part)
	}
	return wire.String()
}

const wireEnd = "0\r\n\r\n"

// payload takes the transfer coding off a body, as far as it goes.
func payload(header, wire string) (body string) {
	if !strings.Contains(header, "Transfer-Encoding: chunked") {
		return wire
	}
	for {
		line, rest, _ := strings.Cut(wire, "\r\n")
		size, err := strconv.ParseInt(line, 16, 0)
		if err != nil || size == 0 {
			return body
		}
		size = min(size, int64(len(rest)))
		body += rest[:size]
		wire = strings.TrimPrefix(rest[size:], "\r\n")
	}
}

// brief is what the truth log says of an answer, in a line.
func brief(e Entry) string {
	line := fmt.Sprintf("%d: %d of %d tokens, %d events", e.Status, e.TokensWritten, e.Usage.Completion, e.EventsWritten)
	for _, flag := range []struct {
		name string
		set  bool
	}{{"usage", e.UsageSent}, {"done", e.Done}, {"clean end", e.CleanEnd}, {"gone", e.ClientGone}, {"closed", e.Closed}} {
		if flag.set {
			line += ", " + flag.name
		}
	}
	return line
}

// The events of StarMagic's stream that says "one two" for 3 prompt tokens.
const (
	eventHead   = `data: {"id":"chatcmpl-20251010015944503180122WJNB8Eid","model":"gemini-2.5-flash-lite","object":"chat.completion.chunk","created":1760032810,"choices":`
	roleEvent   = eventHead + `[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n"
	oneEvent    = eventHead + `[{"index":0,"delta":{"content":"one"},"finish_reason":null}]}` + "\n\n"
	twoEvent    = eventHead + `[{"index":0,"delta":{"content":" two"},"finish_reason":null}]}` + "\n\n"
	finishEvent = eventHead + `[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usageObject = `{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0,"text_tokens":3,"audio_tokens":0,"image_tokens":0},` +
		`"completion_tokens_details":{"text_tokens":0,"audio_tokens":0,"reasoning_tokens":0},"input_tokens":0,"output_tokens":0,"input_tokens_details":null}`
	usageEvent = eventHead + `[],"usage":` + usageObject + "}\n\n"
	doneEvent  = "data: [DONE]\n\n"
	errorJSON  = `{"error":{"message":"Simulated fault: an error in the answer.","type":"server_error","param":null,"code":"simulated_fault"}}`

	plainBody = `{"id":"chatcmpl-20251010015944503180122WJNB8Eid","model":"gemini-2.5-flash-lite","object":"chat.completion","created":1760032810,` +
		`"choices":[{"index":0,"message":{"role":"assistant","content":"one two","tool_calls":null},` +
		`"logprobs":{"content":[{"token":null,"logprob":null,"bytes":null,"top_logprobs":null}]},"finish_reason":"stop"}],"usage":` + usageObject + "}"
)

// A wireTest sends one request and compares every byte of the answer's body.
func wireTest(t *testing.T) func(added string, fault Fault, wantWire, wantTruth string) (header string) {
	s := New(Options{Now: fixed, Behaviour: Behaviour{Text: "one two"}})
	addr := start(t, s).Addr()
	return func(added string, fault Fault, wantWire, wantTruth string) string {
		t.Helper()
		inject(t, s, fault)
		s.Reset()
		header, wire, end := exchangeOnce(t, addr, StarMagic, hi(StarMagic, added))
		if wire != wantWire || end != nil {
			t.Errorf("%s after %d events, %q: the end was %v, the wire said\n%q\nwant\n%q", fault.Kind, fault.Events, added, end, wire, wantWire)
		}
		e := settled(t, s, 1)[0]
		if body := payload(header, wire); e.BytesWritten != int64(len(body)) {
			t.Errorf("%s after %d events, %q: the truth says %d bytes, there were %d: %q", fault.Kind, fault.Events, added, e.BytesWritten, len(body), body)
		}
		if got := brief(e); got != wantTruth || e.Fault != string(fault.Kind) {
			t.Errorf("%s after %d events, %q: the truth says %s: %s\nwant %s", fault.Kind, fault.Events, added, e.Fault, got, wantTruth)
		}
		return header
	}
}

func TestConnectionsThatBreak(t *testing.T) {
	f := wireTest(t)
	two := chunked(roleEvent, oneEvent)
	all := chunked(roleEvent, oneEvent, twoEvent, finishEvent, usageEvent, doneEvent)
	at := int64(len(roleEvent + oneEvent))

	f(asStream, Fault{Kind: CutBetween}, "", "200: 0 of 2 tokens, 0 events")
	f(asStream, Fault{Kind: CutBetween, Events: 2}, two, "200: 1 of 2 tokens, 2 events")
	f(asStream, Fault{Kind: CutBetween, Events: 6}, all, "200: 2 of 2 tokens, 6 events, usage, done")
	f(asStream, Fault{Kind: CutBetween, Events: 7}, all+wireEnd, "200: 2 of 2 tokens, 6 events, usage, done, clean end")
	f(asPlain, Fault{Kind: CutBetween}, chunked(plainBody), "200: 2 of 2 tokens, 0 events, usage, done")

	f(asStream, Fault{Kind: CutInside}, "e6\r\n", "200: 0 of 2 tokens, 0 events")
	f(asStream, Fault{Kind: CutInside, AtByte: at}, two+"d7\r\n", "200: 1 of 2 tokens, 2 events")
	f(asStream, Fault{Kind: CutInside, AtByte: at + 9}, two+"d7\r\n"+`data: {"i`, "200: 1 of 2 tokens, 2 events")
	f(asStream, Fault{Kind: CutInside, AtByte: 1 << 20}, all+wireEnd, "200: 2 of 2 tokens, 6 events, usage, done, clean end")
	f(asPlain, Fault{Kind: CutInside}, "281\r\n", "200: 0 of 2 tokens, 0 events")
	f(asPlain, Fault{Kind: CutInside, AtByte: 6}, "281\r\n"+`{"id":`, "200: 0 of 2 tokens, 0 events")
	f(asPlain, Fault{Kind: CutInside, AtByte: int64(len(plainBody))}, chunked(plainBody)+wireEnd, "200: 2 of 2 tokens, 0 events, usage, done, clean end")

	f(asStream, Fault{Kind: Cut, AtByte: at + 9}, two+chunked(`data: {"i`), "200: 1 of 2 tokens, 2 events")
	f(asStream, Fault{Kind: Cut, AtByte: at}, two, "200: 1 of 2 tokens, 2 events")
	f(asPlain, Fault{Kind: Cut, AtByte: 6}, `{"id":`, "200: 0 of 2 tokens, 0 events")

	f(asStream, Fault{Kind: ShortBody, AtByte: 9}, "e6\r\n"+`data: {"i`, "200: 0 of 2 tokens, 0 events")
	f(asPlain, Fault{Kind: ShortBody, AtByte: 6}, `{"id":`, "200: 0 of 2 tokens, 0 events")
	header := f(asPlain, Fault{Kind: ShortBody}, plainBody, "200: 2 of 2 tokens, 0 events, usage, done")
	if want := fmt.Sprintf("HTTP/1.1 200 OK\nContent-Length: %d\nContent-Type: application/json", len(plainBody)+1); header != want {
		t.Errorf("ShortBody announces %q, want %q", header, want)
	}

	const garbage = "zz\r\nthis is no chunk\r\n"
	f(asStream, Fault{Kind: MalformedChunk}, garbage, "200: 0 of 2 tokens, 0 events")
	f(asStream, Fault{Kind: MalformedChunk, Events: 2}, two+garbage, "200: 1 of 2 tokens, 2 events")
	f(asPlain, Fault{Kind: MalformedChunk}, chunked(plainBody[:len(plainBody)/2])+garbage, "200: 0 of 2 tokens, 0 events")
}

func TestAnswersThatAreNone(t *testing.T) {
	f := wireTest(t)
	const page = "<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body><h1>Welcome</h1></body></html>\n"
	for _, added := range []string{asStream, asPlain} {
		header := f(added, Fault{Kind: HTML}, page, "200: 0 of 0 tokens, 0 events, done, clean end")
		if want := fmt.Sprintf("HTTP/1.1 200 OK\nContent-Length: %d\nContent-Type: text/html; charset=utf-8", len(page)); header != want {
			t.Errorf("the page's header is %q, want %q", header, want)
		}
		f(added, Fault{Kind: HTML, Body: "<p>"}, "<p>", "200: 0 of 0 tokens, 0 events, done, clean end")
	}
	header := f(asStream, Fault{Kind: Empty, Events: 3}, wireEnd, "200: 0 of 2 tokens, 0 events, clean end")
	if want := "HTTP/1.1 200 OK\nCache-Control: no-cache\nContent-Type: text/event-stream\nTransfer-Encoding: chunked"; header != want {
		t.Errorf("the empty stream's header is %q, want %q", header, want)
	}
	header = f(asPlain, Fault{Kind: Empty}, "", "200: 0 of 2 tokens, 0 events, clean end")
	if want := "HTTP/1.1 200 OK\nContent-Length: 0\nContent-Type: application/json"; header != want {
		t.Errorf("the empty answer's header is %q, want %q", header, want)
	}

	f(asStream, Fault{Kind: ErrorEvent}, chunked("data: "+errorJSON+"\n\n")+wireEnd, "200: 0 of 2 tokens, 0 events, clean end")
	f(asStream, Fault{Kind: ErrorEvent, Events: 2}, chunked(roleEvent, oneEvent, "data: "+errorJSON+"\n\n")+wireEnd, "200: 1 of 2 tokens, 2 events, clean end")
	f(asStream, Fault{Kind: ErrorEvent, Body: `{"error":1}`}, chunked(`data: {"error":1}`+"\n\n")+wireEnd, "200: 0 of 2 tokens, 0 events, clean end")
	f(asPlain, Fault{Kind: ErrorEvent}, errorJSON, "200: 0 of 2 tokens, 0 events, clean end")
	f(asPlain, Fault{Kind: ErrorEvent, Body: `{"error":1}`}, `{"error":1}`, "200: 0 of 2 tokens, 0 events, clean end")
}

func TestAnswersThatAreWrong(t *testing.T) {
	f := wireTest(t)
	const (
		malformed = `data: {"choices":[{"delta":` + "\n\n"
		whole     = "200: 2 of 2 tokens, 6 events, usage, done, clean end"
		wholeBody = "200: 2 of 2 tokens, 0 events, usage, done, clean end"
	)
	half := plainBody[:len(plainBody)/2]
	f(asStream, Fault{Kind: MalformedEvent}, chunked(malformed, roleEvent, oneEvent, twoEvent, finishEvent, usageEvent, doneEvent)+wireEnd, whole)
	f(asStream, Fault{Kind: MalformedEvent, Events: 2}, chunked(roleEvent, oneEvent, malformed, twoEvent, finishEvent, usageEvent, doneEvent)+wireEnd, whole)
	f(asStream, Fault{Kind: MalformedEvent, Events: 6, Body: "x"}, chunked(roleEvent, oneEvent, twoEvent, finishEvent, usageEvent, doneEvent, "data: x\n\n")+wireEnd, whole)
	header := f(asPlain, Fault{Kind: MalformedEvent}, half, "200: 0 of 2 tokens, 0 events, clean end")
	if want := fmt.Sprintf("\nContent-Length: %d\n", len(half)); !strings.Contains(header, want) {
		t.Errorf("half an answer has the header %q, want %q in it", header, want)
	}

	f(asStream, Fault{Kind: EndEarly}, wireEnd, "200: 0 of 2 tokens, 0 events, clean end")
	f(asStream, Fault{Kind: EndEarly, Events: 3}, chunked(roleEvent, oneEvent, twoEvent)+wireEnd, "200: 2 of 2 tokens, 3 events, clean end")
	f(asPlain, Fault{Kind: EndEarly}, chunked(half)+wireEnd, "200: 0 of 2 tokens, 0 events, clean end")

	f(asStream, Fault{Kind: NoDone}, chunked(roleEvent, oneEvent, twoEvent, finishEvent, usageEvent)+wireEnd, "200: 2 of 2 tokens, 5 events, usage, clean end")
	f(asPlain, Fault{Kind: NoDone}, plainBody, wholeBody)
	f(asStream, Fault{Kind: DoneWithoutFinish}, chunked(roleEvent, oneEvent, twoEvent, doneEvent)+wireEnd, "200: 2 of 2 tokens, 4 events, done, clean end")
	f(asPlain, Fault{Kind: DoneWithoutFinish}, strings.Replace(plainBody, `"finish_reason":"stop"`, `"finish_reason":null`, 1), wholeBody)

	late := strings.Replace(oneEvent, "one", " late", 1) + doneEvent
	f(asStream, Fault{Kind: AfterDone}, chunked(roleEvent, oneEvent, twoEvent, finishEvent, usageEvent, doneEvent, late)+wireEnd, whole)
	f(asStream, Fault{Kind: AfterDone, Body: "\x00"}, chunked(roleEvent, oneEvent, twoEvent, finishEvent, usageEvent, doneEvent, "\x00")+wireEnd, whole)
	f(asPlain, Fault{Kind: AfterDone}, plainBody, wholeBody)
}

func TestUsageThatIsWrong(t *testing.T) {
	f := wireTest(t)
	const (
		whole     = "200: 2 of 2 tokens, 6 events, usage, done, clean end"
		wholeBody = "200: 2 of 2 tokens, 0 events, usage, done, clean end"
	)
	for _, wrong := range []string{`{"prompt_tokens":1e400,"completion_tokens":0.5}`, `"a lot"`, `null`, `{"prompt_tokens":-1,"completion_tokens":-1,"total_tokens":-2}`} {
		f(asStream, Fault{Kind: WrongUsage, Body: wrong},
			chunked(roleEvent, oneEvent, twoEvent, finishEvent, strings.Replace(usageEvent, usageObject, wrong, 1), doneEvent)+wireEnd, whole)
		f(asPlain, Fault{Kind: WrongUsage, Body: wrong}, strings.Replace(plainBody, usageObject, wrong, 1), wholeBody)
	}
	f(asPlain, Fault{Kind: WrongUsage}, strings.Replace(plainBody, usageObject, `{"prompt_tokens":-1,"completion_tokens":-1,"total_tokens":-2}`, 1), wholeBody)

	f(asStream, Fault{Kind: NoUsage}, chunked(roleEvent, oneEvent, twoEvent, finishEvent, doneEvent)+wireEnd, "200: 2 of 2 tokens, 5 events, done, clean end")
	f(asPlain, Fault{Kind: NoUsage}, strings.Replace(plainBody, `,"usage":`+usageObject, ``, 1), "200: 2 of 2 tokens, 0 events, done, clean end")
}

// TestResetsOfBrokenConnections: the last word of each is a reset where the fault wants one.
func TestResetsOfBrokenConnections(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Text: "one two"}})
	addr := start(t, s).Addr()
	for _, kind := range []FaultKind{Cut, CutBetween, CutInside, ShortBody, MalformedChunk, Drip} {
		for _, added := range []string{asStream, asPlain} {
			inject(t, s, Fault{Kind: kind, Events: 1, AtByte: 10, For: time.Millisecond, Reset: true})
			if _, _, end := exchangeOnce(t, addr, StarMagic, hi(StarMagic, added)); !errors.Is(end, syscall.ECONNRESET) {
				t.Errorf("%s, %q: the connection ended with %v", kind, added, end)
			}
		}
	}
}
