package simulator

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// listen is the standard's algorithm
// (https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation),
// as slow and plain as it is written there. It returns each event's type and data.
func listen(stream string) (events []string) {
	stream = strings.TrimPrefix(stream, "\uFEFF")
	stream = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream)
	kind, data := "", ""
	for line := range strings.SplitSeq(stream, "\n") {
		if line == "" {
			if data != "" {
				events = append(events, kind+"|"+strings.TrimSuffix(data, "\n"))
			}
			kind, data = "", ""
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			kind = value
		case "data":
			data += value + "\n"
		}
	}
	return events
}

// TestStylesToTheLetter writes one event and a comment in every style.
func TestStylesToTheLetter(t *testing.T) {
	f := func(style Style, wantEvent, wantSecond, wantComment string) {
		t.Helper()
		framer := newFramer(style)
		if got := string(framer.event([]byte(`{"a":[1,2],"b":","}`))); got != wantEvent {
			t.Errorf("%s: got %q, want %q", style, got, wantEvent)
		}
		if got := string(framer.event([]byte("[DONE]"))); got != wantSecond {
			t.Errorf("%s: got %q, want %q", style, got, wantSecond)
		}
		if got := string(framer.comment()); got != wantComment {
			t.Errorf("%s: got %q, want %q", style, got, wantComment)
		}
	}
	const lf = "data: {\"a\":[1,2],\"b\":\",\"}\n\n"
	for _, style := range []Style{LF, "", "unknown", Torn, Batched} {
		f(style, lf, "data: [DONE]\n\n", ": PROCESSING\n\n")
	}
	f(CRLF, "data: {\"a\":[1,2],\"b\":\",\"}\r\n\r\n", "data: [DONE]\r\n\r\n", ": PROCESSING\r\n\r\n")
	f(CR, "data: {\"a\":[1,2],\"b\":\",\"}\r\r", "data: [DONE]\r\r", ": PROCESSING\r\r")
	f(NoSpace, "data:{\"a\":[1,2],\"b\":\",\"}\n\n", "data:[DONE]\n\n", ": PROCESSING\n\n")
	f(BOM, "\uFEFF"+lf, "data: [DONE]\n\n", ": PROCESSING\n\n")
	f(DataLines, "data: {\"a\":[1,2],\ndata: \"b\":\",\"}\n\n", "data: [DONE]\n\n", ": PROCESSING\n\n")
	f(Fields, ": event 1\nevent: message\nid: 1\nretry: 3000\ndata: {\"a\":[1,2],\"b\":\",\"}\nunknown: field\n\n",
		": event 2\nevent: message\nid: 2\nretry: 3000\ndata: [DONE]\nunknown: field\n\n", ": PROCESSING\n\n")
	f(Mixed, ": event 1\r\nevent: message\r\nid: 1\r\nretry: 3000\r\ndata: {\"a\":[1,2],\r\ndata: \"b\":\",\"}\r\nunknown: field\r\n\r\n",
		": event 2\nevent: message\nid: 2\nretry: 3000\ndata: [DONE]\nunknown: field\n\n", ": PROCESSING\r\r")
}

// Data of several lines is data of several lines in every style.
func TestStylesOfLines(t *testing.T) {
	for _, style := range Styles() {
		events := listen(string(newFramer(style).event([]byte("{\n \"a\": 1,\n \"b\": 2}"))))
		if len(events) != 1 || !strings.HasSuffix(events[0], "|{\n \"a\": 1,\n \"b\": 2}") {
			t.Errorf("%s: %q", style, events)
		}
	}
}

// TestStylesSayTheSame: who listens by the standard hears the same answer in
// every style, with and without comments, and the truth log counts the same.
func TestStylesSayTheSame(t *testing.T) {
	s := New(Options{Now: fixed})
	f := func(p Provider, added string) {
		t.Helper()
		s.Behave(Behaviour{Text: `one "two", {three}`, ReasoningTokens: 3})
		plain := listen(send(s, p, hi(p, added)).Body.String())
		want := told(s, p, hi(p, added))
		for _, style := range Styles() {
			for _, comments := range []int{0, 2} {
				s.Behave(Behaviour{Text: `one "two", {three}`, ReasoningTokens: 3, Style: style, Comments: comments})
				stream := send(s, p, hi(p, added)).Body.String()
				if diff := cmp.Diff(heard(t, plain), heard(t, listen(stream))); diff != "" {
					t.Errorf("%s in style %s (-want +got):\n%s", p, style, diff)
				}
				if got := strings.Count(stream, ": PROCESSING"); got != comments*len(plain) {
					t.Errorf("%s in style %s: %d comments beside %d events", p, style, got, len(plain))
				}
				got := told(s, p, hi(p, added))
				if got.BytesWritten != int64(len(stream)) {
					t.Errorf("%s in style %s: %d bytes, the truth says %d", p, style, len(stream), got.BytesWritten)
				}
				got.BytesWritten = want.BytesWritten
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s in style %s, the truth (-want +got):\n%s", p, style, diff)
				}
			}
		}
	}
	f(StarMagic, asStream)
	f(StarMagic, `"n":2,"logprobs":true,"top_logprobs":2,`+asStream)
	f(StarMagic, `"tools":[`+aFunction+`],`+asStream)
	f(TheTurbo, `"stream":true,`)
	f(Evolink, `"stream":true,`)
}

// heard takes line feeds out of events that are JSON.
func heard(t *testing.T, events []string) []string {
	t.Helper()
	var found []string
	for _, event := range events {
		kind, data, _ := strings.Cut(event, "|")
		if kind != "" && kind != "message" {
			t.Errorf("an event of type %q", kind)
		}
		var line bytes.Buffer
		if data != "[DONE]" {
			if err := json.Compact(&line, []byte(data)); err != nil {
				t.Errorf("%v in %q", err, data)
			}
			data = line.String()
		}
		found = append(found, data)
	}
	return found
}

// TestStylesOnTheWire: how many writes, and so HTTP chunks, an answer has.
func TestStylesOnTheWire(t *testing.T) {
	s := New(Options{Now: fixed})
	addr := start(t, s).Addr()
	f := func(b Behaviour, fault Fault, wantWire, wantTruth string) {
		t.Helper()
		b.Text = "one two"
		s.Behave(b)
		s.ClearFaults()
		if fault.Kind != "" {
			inject(t, s, fault)
		}
		s.Reset()
		if _, wire, end := exchangeOnce(t, addr, StarMagic, hi(StarMagic, asStream)); wire != wantWire || end != nil {
			t.Errorf("%+v, %s: the wire said\n%q, %v\nwant\n%q", b, fault.Kind, wire, end, wantWire)
		}
		if got := brief(settled(t, s, 1)[0]); got != wantTruth {
			t.Errorf("%+v, %s: the truth says %s, want %s", b, fault.Kind, got, wantTruth)
		}
	}
	const whole = "200: 2 of 2 tokens, 6 events, usage, done, clean end"
	const comment = ": PROCESSING\n\n"
	f(Behaviour{Style: Batched}, Fault{}, chunked(roleEvent+oneEvent+twoEvent, finishEvent+usageEvent+doneEvent)+wireEnd, whole)
	f(Behaviour{Style: Batched}, Fault{Kind: NoUsage}, chunked(roleEvent+oneEvent+twoEvent, finishEvent+doneEvent)+wireEnd,
		"200: 2 of 2 tokens, 5 events, done, clean end")
	f(Behaviour{Style: Batched, Comments: 1}, Fault{}, chunked(
		comment, roleEvent+comment+oneEvent+comment+twoEvent,
		comment, finishEvent+comment+usageEvent+comment+doneEvent)+wireEnd, whole)
	f(Behaviour{Comments: 2}, Fault{Kind: CutBetween, Events: 1}, chunked(comment, comment, roleEvent), "200: 0 of 2 tokens, 1 events")

	// What is held back leaves before the fault shows, and a cut counts the events before it.
	f(Behaviour{Style: Batched}, Fault{Kind: CutBetween, Events: 2}, chunked(roleEvent+oneEvent), "200: 1 of 2 tokens, 2 events")
	f(Behaviour{Style: Batched}, Fault{Kind: Cut, AtByte: int64(len(roleEvent+oneEvent) + 5)}, chunked(roleEvent+oneEvent+"data:"), "200: 1 of 2 tokens, 2 events")
	f(Behaviour{Style: Batched}, Fault{Kind: CutInside, AtByte: int64(len(roleEvent))},
		strings.TrimSuffix(chunked(roleEvent + oneEvent + twoEvent)[:len("294\r\n")+len(roleEvent)], "\r\n"), "200: 0 of 2 tokens, 1 events")
	f(Behaviour{Style: Batched}, Fault{Kind: MalformedEvent, Events: 1, Body: "x"},
		chunked(roleEvent, "data: x\n\n", oneEvent+twoEvent+finishEvent, usageEvent+doneEvent)+wireEnd, whole)

	torn := func(event string) (wire string) {
		for _, size := range slices.Repeat([]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, len(event)) {
			part := event[:min(size, len(event))]
			if event = event[len(part):]; part != "" {
				wire += chunked(part)
			}
		}
		return wire
	}
	f(Behaviour{Style: Torn}, Fault{}, torn(roleEvent)+torn(oneEvent)+torn(twoEvent)+torn(finishEvent)+torn(usageEvent)+torn(doneEvent)+wireEnd, whole)
	f(Behaviour{Style: Torn}, Fault{Kind: EndEarly, Events: 1}, torn(roleEvent)+wireEnd, "200: 0 of 2 tokens, 1 events, clean end")
}

func TestParseStyle(t *testing.T) {
	for _, style := range Styles() {
		if got, err := ParseStyle(string(style)); got != style || err != nil {
			t.Errorf("%s: %s, %v", style, got, err)
		}
	}
	const want = `style: must be one of lf, crlf, cr, no_space, fields, data_lines, bom, batched, torn, mixed, got "LF"`
	if _, err := ParseStyle("LF"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A plain answer has no style.
func TestStylesLeavePlainAnswersAlone(t *testing.T) {
	s := New(Options{Now: fixed})
	for _, style := range Styles() {
		s.Behave(Behaviour{Text: "one two", Style: style, Comments: 1})
		if w := send(s, StarMagic, hi(StarMagic, asPlain)); w.Code != http.StatusOK || w.Body.String() != plainBody {
			t.Errorf("%s: %d %s", style, w.Code, w.Body)
		}
	}
}

// FuzzStyles: JSON that is written in any style is heard as it was, but for white space between its members.
func FuzzStyles(f *testing.F) {
	for _, data := range []string{`{"a":1,"b":[1,2,{"c":3,"d":4}],"e":",\",{"}`, `[1,2]`, `""`, `{}`, `{"a":"\\","b":"\"","":{}}`} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data string) {
		var line bytes.Buffer
		if json.Compact(&line, []byte(data)) != nil || !json.Valid([]byte(data)) {
			return
		}
		for _, style := range Styles() {
			framer := newFramer(style)
			stream := string(framer.comment()) + string(framer.event(line.Bytes())) + string(framer.event([]byte("[DONE]")))
			events := listen(stream)
			if len(events) != 2 {
				t.Fatalf("%s: %d events in %q", style, len(events), stream)
			}
			if got := heard(t, events); got[0] != line.String() || got[1] != "[DONE]" {
				t.Fatalf("%s: %q is heard as %q", style, line.String(), got)
			}
		}
	})
}
