package simulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestGiantEvent: the giant piece is where it was asked for, and as many tokens as it has words.
func TestGiantEvent(t *testing.T) {
	f := wireTest(t)
	giant := func(size int) string {
		return strings.Replace(oneEvent, "one", strings.Repeat(" giant", 1+size/6)[:size], 1)
	}
	usageOf := func(tokens int) string {
		figures := strings.Replace(usageEvent, `"completion_tokens":2,"total_tokens":5`, fmt.Sprintf(`"completion_tokens":%d,"total_tokens":%d`, tokens, tokens+3), 1)
		return figures
	}
	whole := func(tokens int) string {
		return fmt.Sprintf("200: %d of %d tokens, 7 events, usage, done, clean end", tokens, tokens)
	}
	f(asStream, Fault{Kind: GiantEvent, Events: 2, Size: 12}, chunked(roleEvent, oneEvent, giant(12), twoEvent, finishEvent, usageOf(4), doneEvent)+wireEnd, whole(4))
	f(asStream, Fault{Kind: GiantEvent, Events: 0, Size: 13}, chunked(roleEvent, giant(13), oneEvent, twoEvent, finishEvent, usageOf(5), doneEvent)+wireEnd, whole(5))
	f(asStream, Fault{Kind: GiantEvent, Events: 1, Size: 1}, chunked(roleEvent, giant(1), oneEvent, twoEvent, finishEvent, usageOf(3), doneEvent)+wireEnd, whole(3))
	f(asStream, Fault{Kind: GiantEvent, Events: 99}, chunked(roleEvent, oneEvent, twoEvent, giant(256<<10), finishEvent, usageOf(43693), doneEvent)+wireEnd, whole(43693))
	f(asPlain, Fault{Kind: GiantEvent, Events: 2, Size: 12},
		strings.NewReplacer("one two", "one giant giant two", `"completion_tokens":2,"total_tokens":5`, `"completion_tokens":4,"total_tokens":7`).Replace(plainBody),
		"200: 4 of 4 tokens, 0 events, usage, done, clean end")
}

// TestGiantAmongChoices: it is the first choice's, and a call is opened before it.
func TestGiantAmongChoices(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Text: "one two"}})
	inject(t, s, Fault{Kind: GiantEvent, Events: 4, Size: 12})
	f := func(added, wantTruth string, want ...Delivered) {
		t.Helper()
		e := told(s, StarMagic, hi(StarMagic, added))
		if got := brief(e); got != wantTruth {
			t.Errorf("%q: %s, want %s", added, got, wantTruth)
		}
		if got := fmt.Sprintf("%+v", e.Choices); got != fmt.Sprintf("%+v", want) {
			t.Errorf("%q: %s, want %+v", added, got, want)
		}
	}
	f(`"n":2,`+asStream, "200: 6 of 6 tokens, 11 events, usage, done, clean end",
		Delivered{Text: "one giant giant two", Finish: "stop"}, Delivered{Text: "one two", Finish: "stop"})
	f(`"n":2,`+asPlain, "200: 6 of 6 tokens, 0 events, usage, done, clean end",
		Delivered{Text: "one giant giant two", Finish: "stop"}, Delivered{Text: "one two", Finish: "stop"})
	inject(t, s, Fault{Kind: GiantEvent, Events: 3, Size: 12})
	f(`"max_tokens":1,`+asStream, "200: 3 of 3 tokens, 6 events, usage, done, clean end", Delivered{Text: "one giant giant", Finish: "length"})

	inject(t, s, Fault{Kind: GiantEvent, Size: 12})
	f(`"tools":[`+aFunction+`],`+asStream, "200: 6 of 6 tokens, 9 events, usage, done, clean end",
		Delivered{Call: "get_current_weather", Arguments: ` giant giant{"location":"example"}`, Finish: "tool_calls"})
	stream := listen(send(s, StarMagic, hi(StarMagic, `"tools":[`+aFunction+`],`+asStream)).Body.String())
	if !strings.Contains(stream[1], `"name":"get_current_weather","arguments":""`) || !strings.Contains(stream[2], `"arguments":" giant giant"`) {
		t.Errorf("the call is not opened before its giant: %s", stream)
	}
}

// TestGiantInTheTruth: the truth log keeps no more of it than of other texts, and counts all.
func TestGiantInTheTruth(t *testing.T) {
	s := New(Options{TruthBytes: 10, Behaviour: Behaviour{Text: "one two"}})
	inject(t, s, Fault{Kind: GiantEvent, Events: 2, Size: 600})
	e := told(s, Evolink, hi(Evolink, asStream[:len(`"stream":true,`)]))
	if e.Choices[0].Text != "one giant " || e.TokensWritten != 102 || e.Usage.Completion != 102 {
		raw, _ := json.Marshal(e)
		t.Errorf("the truth says %s", raw)
	}
}
