package scan

import (
	"fmt"
	"strings"
	"testing"
)

// needs renders what a request asks of its provider beside what summary shows.
func needs(d *Document) string {
	var out []string
	add := func(show bool, format string, args ...any) {
		if show {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	add(d.Stops > 0, "stops=%d %s", d.Stops, d.slice(d.FirstStop))
	add(d.ReasoningEffort != "", "effort=%s", d.ReasoningEffort)
	add(d.Extensions&ExtensionCachedContent != 0, "cached_content")
	add(d.Extensions&ExtensionThinkingConfig != 0, "thinking_config")
	add(d.Extensions&ExtensionOther != 0, "other extensions")
	add(d.OtherTools, "other tools")
	add(d.EmptyContent, "empty content")
	add(d.NoContent, "no content")
	return strings.Join(out, ", ")
}

func TestParseReadsTheNeeds(t *testing.T) {
	f := func(members, want string) {
		t.Helper()
		body := `{"model":"m",` + members + `,"messages":[{"role":"user","content":""}]}`
		got := outcome(body)
		var d Document
		if d.Parse([]byte(body)) == nil {
			got = needs(&d)
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", members, got, want)
		}
	}
	f(`"stop":"x\n"`, `stops=1 "x\n"`)
	f(`"stop" : [ "" , "y" ]`, `stops=2 ""`)
	f(`"stop":[]`, ``)
	f(`"stop":null`, ``)

	for _, word := range strings.Fields("none minimal low medium high xhigh max default auto very_high Low x1 v1.5-Beta_2 other - . " + strings.Repeat("x", 64)) {
		f(`"reasoning_effort":"`+word+`"`, "effort="+word)
	}
	f(`"reasoning_effort":"l\u006fw"`, `effort=low`)
	f(`"reasoning_effort":"`+strings.Repeat(`\u0078`, 64)+`"`, "effort="+strings.Repeat("x", 64))
	for _, word := range []string{"", " ", "a b", "low,high", "é", `\n`, "[x]", strings.Repeat("x", 65), strings.Repeat(`\u0078`, 65), strings.Repeat("x", 999)} {
		f(`"reasoning_effort":"`+word+`"`, "")
	}
	f(`"reasoning_effort":null`, ``)
	f(`"reasoning_effort":3`, `invalid_type reasoning_effort@32: must be a string or null`)

	f(`"extra_body":{}`, ``)
	f(`"extra_body":null`, ``)
	f(`"extra_body":{"x":null}`, `other extensions`)
	f(`"extra_body":{"google":null}`, `other extensions`)
	f(`"extra_body":{"google":{}}`, ``)
	f(`"extra_body":{"google":{"x":null}}`, `other extensions`)
	f(`"extra_body":{"google":{"cached_content":null}}`, `other extensions`)
	f(`"extra_body":{"google":{"thinking_config":null,"cached_content":"c"}}`, `cached_content, other extensions`)
	f(`"extra_body":{"google":{"cached_content":""}}`, `cached_content`)
	f(`"extra_body":{"goo\u0067le":{"thinking_config":{"a":1},"cached_content":"c"}}`, `cached_content, thinking_config`)
	f(`"extra_body":{"x":0,"google":{"cached_content":"c"}}`, `cached_content, other extensions`)
	f(`"extra_body":{"google":{"x":false}}`, `other extensions`)
	f(`"extra_body":{"google":"x"}`, `other extensions`)
	f(`"extra_body":{"cached_content":"c"}`, `other extensions`)

	f(`"tools":[]`, ``)
	f(`"tools":null`, ``)
	f(`"tools":[{"type":"f\u0075nction"}]`, ``)
	f(`"tools":[{"type":"function"},{"type":"web_search"},{"type":"function"}]`, `other tools`)
	f(`"tools":[{"function":{}}]`, `other tools`)
	f(`"tools":[{"type":null}]`, `other tools`)
	f(`"tool_choice":{"type":"function","function":{"name":"f"}}`, ``)
	f(`"tool_choice":{}`, ``)
	f(`"tool_choice":"required"`, ``)
	f(`"tool_choice":{"type":"custom"}`, `other tools`)
	f(`"tool_choice":{"mode":"auto"}`, `other tools`)
	f(`"tools":[{},{},["x"]]`, `invalid_type tools[2]@28: must be an object`)
	f(`"tools":[null]`, `invalid_type tools[0]@22: must be an object`)

	f(`"stream_options":{"include_usage":true}`, ``)
	f(`"stream_options":{"x":null,"include_usage":true}`, ``)
}

func TestParseReadsMissingContent(t *testing.T) {
	f := func(message, want string) {
		t.Helper()
		var d Document
		if err := d.Parse([]byte(`{"model":"m","messages":[` + message + `,{"role":"user","content":"a"}]}`)); err != nil {
			t.Fatal(err)
		}
		if got := needs(&d); got != want {
			t.Errorf("%s: got %q, want %q", message, got, want)
		}
	}
	f(`{"role":"assistant","content":null}`, "empty content")
	f(`{"role":"assistant","content":""}`, "")
	f(`{"role":"assistant","content":[]}`, "")
	f(`{"role":"assistant","tool_calls":[],"content":null}`, "empty content")
	f(`{"role":"assistant","tool_calls":[{"type":"function"}],"c\u006fntent":""}`, "")
	// Without content, calls make the difference.
	f(`{"role":"assistant","tool_calls":[{"type":"function"}]}`, "empty content")
	f(`{"tool_calls":[],"role":"assistant"}`, "no content")
	f(`{"role":"assistant"}`, "no content")
	f(`{"role":"assistant","tool_calls":null}`, "no content")
	f(`{"role":"assistant","function_call":{},"audio":{}}`, "no content")
	f(`{"role":"assistant"},{"role":"assistant","content":null},{"role":"assistant","content":"a"}`, "empty content, no content")
}

func TestParseReadsTheTypesOfToolCalls(t *testing.T) {
	f := func(calls, want string) {
		t.Helper()
		var d Document
		if err := d.Parse([]byte(`{"model":"m","messages":[{"role":"assistant","content":"","tool_calls":` + calls + `}]}`)); err != nil {
			t.Fatal(err)
		}
		if got := needs(&d); got != want {
			t.Errorf("%s: got %q, want %q", calls, got, want)
		}
	}
	f(`[{"type":"function","id":"a","function":{"type":"x"}}]`, "")
	f(`[{"type":"f\u0075nction"}]`, "")
	f(`[]`, "")
	f(`null`, "")
	f(`{"type":"custom"}`, "")
	f(`[{"type":"function"},{"type":"custom"},{"type":"function"}]`, "other tools")
	f(`[{"id":"a","function":{}}]`, "other tools")
	f(`[{"type":null}]`, "other tools")
	f(`[{"type":{}}]`, "other tools")
	f(`[{"type":"Function"}]`, "other tools")
	f(`[7]`, "other tools")
}

func TestParseReadsNumbers(t *testing.T) {
	f := func(number string, want float64) {
		t.Helper()
		var d Document
		if err := d.Parse([]byte(`{"model":"m","x":` + number + `,"messages":[{"role":"user"}]}`)); err != nil {
			t.Fatal(err)
		}
		if m, _ := d.Member("x"); m.Number != want {
			t.Errorf("%s: got %v, want %v", number, m.Number, want)
		}
	}
	f("0", 0)
	f("1.5", 1.5)
	f("-0.7", -0.7)
	f("2e-3", 0.002)
	f("1E+2", 100)
	f("12345678901234567890", 12345678901234567890)
	f("1.7976931348623157e308", 1.7976931348623157e308)
	f("1e-999", 0)
	f("0."+strings.Repeat("3", 126), 1.0/3)
	f(`"7"`, 0)
}

func TestParseRefusesWhatReadersOfTheNeedsDisagreeOn(t *testing.T) {
	f := func(members, want string) {
		t.Helper()
		if got := outcome(`{"messages":[{"role":"user"}],` + members + `}`); got != want {
			t.Errorf("%s\n got %s\nwant %s", members, got, want)
		}
	}
	const (
		twice = "appears more than once"
		spell = "must be spelled exactly so: some readers take the letters sent for the same name"
	)
	f(`"tools":[{"type":"function","t\u0079pe":"x"}]`, "duplicate_field tools[0].type@58: "+twice)
	f(`"tools":[{"Type":"function"}]`, "unknown_spelling tools[0].type@40: "+spell)
	f(`"tools":[{},{"function":{},"function":{}}]`, "duplicate_field tools[1].function@57: "+twice)
	f(`"tools":[{"function":{"Name":"x"}}]`, "unknown_spelling tools[0].function.name@52: "+spell)
	f(`"extra_body":{"google":{},"GOOGLE":{}}`, "duplicate_field extra_body.google@56: "+twice)
	f(`"extra_body":{"Google":null}`, "unknown_spelling extra_body.google@44: "+spell)
	f(`"extra_body":{"google":{"cached_Content":1}}`, "unknown_spelling extra_body.google.cached_content@54: "+spell)
	f(`"extra_body":{"google":{"thin\u212aing_config":1}}`, "unknown_spelling extra_body.google.thinking_config@54: "+spell)
	f(`"extra_body":{"google":{"thinking_config":1,"thinking_config":2}}`, "duplicate_field extra_body.google.thinking_config@74: "+twice)

	message := func(members, want string) {
		t.Helper()
		if got := outcome(`{"messages":[{` + members + `}]}`); got != want {
			t.Errorf("%s\n got %s\nwant %s", members, got, want)
		}
	}
	message(`"tool_call_id":1,"tool_call_id":2`, "duplicate_field messages[0].tool_call_id@31: "+twice)
	message(`"Tool_call_id":1`, "unknown_spelling messages[0].tool_call_id@14: "+spell)
	message(`"function_Call":1`, "unknown_spelling messages[0].function_call@14: "+spell)
	message(`"audio":null,"AUDIO":1`, "duplicate_field messages[0].audio@27: "+twice)
	message(`"tool_calls":[{"type":"function","t\u0079pe":"custom"}]`, "duplicate_field messages[0].tool_calls[0].type@47: "+twice)
	message(`"tool_calls":[{"id":1,"ID":2}]`, "duplicate_field messages[0].tool_calls[0].id@36: "+twice)
}

// A pooled document must not ask for what the previous request needed.
func TestParseForgetsThePreviousNeeds(t *testing.T) {
	var d Document
	parse := func(body string) {
		t.Helper()
		if err := d.Parse([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	parse(`{"model":"m","messages":[{"role":"user","content":null,"name":"x"},{"role":"user"}],"stop":"x","reasoning_effort":"low",` +
		`"extra_body":{"x":1},"tools":[{}],"stream_options":{"x":1,"include_usage":true}}`)
	const full = `stops=1 "x", effort=low, other extensions, other tools, empty content, no content`
	if got := needs(&d); got != full || len(d.Loose) != 2 {
		t.Errorf("got %s and %d loose, want %s and 2", got, len(d.Loose), full)
	}
	parse(`{"model":"m","messages":[{"role":"user","content":""}]}`)
	if got := needs(&d); got != "" || d.FirstStop != (Span{}) || d.IncludeUsageAt != (Span{}) || len(d.Loose) != 0 {
		t.Errorf("got %s, first stop %v and %d loose, want none", got, d.FirstStop, len(d.Loose))
	}
	parse(`{"model":"m","messages":[{"role":"user"` + strings.Repeat(`,"x":1`, 5000) + `}]}`)
	if d.Reset(); cap(d.Loose) != 0 {
		t.Errorf("Reset keeps room for %d loose", cap(d.Loose))
	}
}

func TestParseAllocatesNothingMore(t *testing.T) {
	f := func(name string, body []byte, want float64) {
		t.Helper()
		var d Document
		got := testing.AllocsPerRun(100, func() {
			if err := d.Parse(body); err != nil {
				t.Fatal(err)
			}
		})
		if got > want {
			t.Errorf("%s: %v allocations, want at most %v", name, got, want)
		}
	}
	f("tools", []byte(toolUse), 1)
	f("100 KiB", conversation(100<<10, english), 1)
	f("tuned", []byte(`{"model":"m","temperature":0.123456789012345678,"top_p":1e-1,"reasoning_effort":"low","stop":["a","b"],`+
		`"extra_body":{"google":{"thinking_config":{}}},"messages":[{"role":"d\u0065veloper","content":null,"name":"x"}]}`), 1)
}
