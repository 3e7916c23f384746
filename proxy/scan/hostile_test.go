package scan

import (
	"errors"
	"strings"
	"testing"
)

func TestParseRefusesWhatIsNotStrictJSON(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if got := outcome(body); got != want {
			t.Errorf("%.80q\n got %s\nwant %s", body, got, want)
		}
	}
	const (
		early = "is not valid JSON: it ends too early"
		place = "is not valid JSON: a character is out of place"
		after = "is not valid JSON: something follows its end"
		ctrl  = "is not valid JSON: a string holds a control character"
		utf8  = "is not valid JSON: a string is not valid UTF-8"
		lone  = "is not valid JSON: a surrogate escape stands alone"
		esc   = "is not valid JSON: an escape sequence is incomplete or unknown"
		huge  = "is not valid JSON: a number is out of range"
		long  = "is not valid JSON: a number is longer than 128 bytes"
	)
	f("", "invalid_json @0: "+early)
	f("  ", "invalid_json @2: "+early)
	f("\ufeff{}", "invalid_json @0: is not valid JSON: it begins with a byte order mark")
	f("// x\n{}", "invalid_json @0: "+place)
	f("{/**/}", "invalid_json @1: "+place)
	f("\x00{}", "invalid_json @0: "+place)
	f("\u00a0{}", "invalid_json @0: "+place)
	f("\v{}", "invalid_json @0: "+place)
	f(`[]`, "invalid_type @0: must be an object")
	f(`"x"`, "invalid_type @0: must be an object")
	f(`null`, "invalid_type @0: must be an object")
	f(`1`, "invalid_type @0: must be an object")
	f(`[1,]`, "invalid_json @3: "+place)
	f(`{`, "invalid_json @1: "+early)
	f(`{"model"`, "invalid_json @8: "+early)
	f(`{"model":`, "invalid_json @9: "+early)
	f(`{"model":"m"`, "invalid_json @12: "+early)
	f(`{"model":"m",`, "invalid_json @13: "+early)
	f(`{"model":"m",}`, "invalid_json @13: "+place)
	f(`{,"model":"m"}`, "invalid_json @1: "+place)
	f(`{"model" "m"}`, "invalid_json @9: "+place)
	f(`{"model"::"m"}`, "invalid_json @9: "+place)
	f(`{"model":"m" "n":1}`, "invalid_json @13: "+place)
	f(`{"model":"m"]`, "invalid_json @12: "+place)
	f(`{model:"m"}`, "invalid_json @1: "+place)
	f(`{'model':"m"}`, "invalid_json @1: "+place)
	f(`{1:"m"}`, "invalid_json @1: "+place)
	f(`{"model":"m"}{}`, "invalid_json @13: "+after)
	f(`{"model":"m"}x`, "invalid_json @13: "+after)
	f("{\"model\":\"m\"}\x00", "invalid_json @13: "+after)
	f(`{"model":"m"},`, "invalid_json @13: "+after)

	value := func(value, want string) {
		t.Helper()
		f(`{"model":"m","messages":[{"role":"user"}],"x":`+value+`}`, want)
	}
	for _, word := range []string{"nul", "nulL", "True", "NaN", "Infinity", "undefined", "tru", "falsee", "None"} {
		if got := outcome(`{"model":"m","messages":[{"role":"user"}],"x":` + word + `}`); !strings.HasPrefix(got, "invalid_json ") || !strings.HasSuffix(got, place) {
			t.Errorf("%s: got %s", word, got)
		}
	}
	value(`01`, "invalid_json @47: "+place)
	value(`-`, "invalid_json @47: "+place)
	value(`-a`, "invalid_json @47: "+place)
	value(`+1`, "invalid_json @46: "+place)
	value(`.5`, "invalid_json @46: "+place)
	value(`1.`, "invalid_json @48: "+place)
	value(`1.e5`, "invalid_json @48: "+place)
	value(`1e`, "invalid_json @48: "+place)
	value(`1e+`, "invalid_json @49: "+place)
	value(`0x10`, "invalid_json @47: "+place)
	value(`1_000`, "invalid_json @47: "+place)
	value(`1e400`, "invalid_json @46: "+huge)
	value(`-1e309`, "invalid_json @46: "+huge)
	value(`[1.8e308]`, "invalid_json @47: "+huge)
	value(strings.Repeat("1", 129), "invalid_json @46: "+long)
	value("0."+strings.Repeat("1", 127), "invalid_json @46: "+long)
	value(strings.Repeat("9", 10<<20), "invalid_json @46: "+long)

	value(`"a`+"\n"+`"`, "invalid_json @48: "+ctrl)
	value(`"a`+"\x00"+`"`, "invalid_json @48: "+ctrl)
	value(`"0123456789`+"\x1f"+`"`, "invalid_json @57: "+ctrl)
	value(`"`+"\xff"+`"`, "invalid_json @47: "+utf8)
	value(`"0123456789`+"\xc0\xaf"+`"`, "invalid_json @47: "+utf8)
	value(`"`+"\xff"+`and much plain text behind it"`, "invalid_json @47: "+utf8)
	value(`"`+"\xed\xa0\x80"+`"`, "invalid_json @47: "+utf8)
	value(`"`+"\xf4\x90\x80\x80"+`"`, "invalid_json @47: "+utf8)
	value(`"`+"\xe2\x82"+`"`, "invalid_json @47: "+utf8)
	value(`{"`+"\xff"+`":1}`, "invalid_json @48: "+utf8)
	value(`"\ud800"`, "invalid_json @47: "+lone)
	value(`"\udc00"`, "invalid_json @47: "+lone)
	value(`"\ud800\ud800"`, "invalid_json @47: "+lone)
	value(`"\ud800x"`, "invalid_json @47: "+lone)
	value(`"\ud800\n"`, "invalid_json @47: "+lone)
	value(`{"\ud800":1}`, "invalid_json @48: "+lone)
	value(`"\x41"`, "invalid_json @47: "+esc)
	value(`"\'"`, "invalid_json @47: "+esc)
	value(`"\u00g0"`, "invalid_json @47: "+esc)
	value(`"\u00"`, "invalid_json @47: "+esc)
	value(`"\U0041"`, "invalid_json @47: "+esc)
	value(`"\`, "invalid_json @47: "+esc)
	value(`"abc`, "invalid_json @51: "+early)
}

// Strings are read eight bytes at a time: wherever in a word a byte stands, it must be seen.
func TestStringsAtEveryAlignment(t *testing.T) {
	f := func(piece, want string) {
		t.Helper()
		for before := range 18 {
			for after := range 18 {
				text := strings.Repeat("a", before) + piece + strings.Repeat("b", after)
				got := outcome(`{"model":"m","messages":[{"role":"user","content":"` + text + `"}],"x":"0123456789"}`)
				if _, reason, refused := strings.Cut(got, "JSON: "); refused {
					got = reason
				} else {
					got = strings.Trim(strings.TrimPrefix(got, "m "), `"ab`)
				}
				if got != want {
					t.Fatalf("%q: got %s, want %s", text, got, want)
				}
			}
		}
	}
	f("\x00", "a string holds a control character")
	f("\x1f", "a string holds a control character")
	f("\xff", "a string is not valid UTF-8")
	f("\xc3", "a string is not valid UTF-8")
	f(`\x41`, "an escape sequence is incomplete or unknown")
	f(`\udead`, "a surrogate escape stands alone")
	f(`x" `, "a character is out of place")
	f("é", "é")
	f("\x7f", `\x7f`)
	f(`-\"-`, `-\"-`)
	f(` !#[]^`, ` !#[]^`)
}

func TestParseRefusesDepthAndNumbersOfFields(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if got := outcome(body); got != want {
			t.Errorf("%.80q\n got %s\nwant %s", body, got, want)
		}
	}
	nested := func(n int) string {
		return `{"model":"m","messages":[{"role":"user"}],"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	const deep = "is nested more than 64 levels deep"
	f(nested(63), "m")
	f(nested(64), "too_deep @109: "+deep)
	f(nested(5000), "too_deep @109: "+deep)
	f(nested(10_000_000), "too_deep @109: "+deep)
	f(`{"model":"m","messages":[{"role":"user"}],"x":`+strings.Repeat(`{"a":`, 5000), "too_deep @361: "+deep)
	f(`{"messages":`+strings.Repeat("[", 5000), "too_deep @75: "+deep)

	fields := func(n int) string {
		body := `{"model":"m","messages":[{"role":"user"}]`
		for i := range n - 2 {
			body += `,"x` + strings.Repeat("i", i%60) + string(rune('a'+i/60)) + `":1`
		}
		return body + `}`
	}
	f(fields(128), "m")
	if got := outcome(fields(129)); !strings.HasPrefix(got, "too_many_fields @") || !strings.HasSuffix(got, ": has more than 128 fields") {
		t.Errorf("129 fields: got %s", got)
	}
	const longName = "invalid_value @1: has a field name longer than 64 bytes"
	f(`{"`+strings.Repeat("k", 64)+`":1,"model":"m","messages":[{"role":"user"}]}`, "m")
	f(`{"`+strings.Repeat(`\u006b`, 64)+`":1,"model":"m","messages":[{"role":"user"}]}`, "m")
	f(`{"`+strings.Repeat("k", 65)+`":1}`, longName)
	f(`{"`+strings.Repeat("é", 33)+`":1}`, longName)
	f(`{"`+strings.Repeat(`\u006b`, 65)+`":1}`, longName)
	f(`{"`+strings.Repeat("k", 1<<20)+`":1}`, longName)
}

func TestParseRefusesNamesThatReadersTakeForOne(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if got := outcome(body); got != want {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
	}
	const (
		twice = "appears more than once"
		spell = "must be spelled exactly so: some readers take the letters sent for the same name"
	)
	f(`{"model":"cheap","model":"dear"}`, "duplicate_field model@17: "+twice)
	f(`{"model":"A","mod\u0065l":"B"}`, "duplicate_field model@13: "+twice)
	f(`{"model":"A","MODEL":"B"}`, "duplicate_field model@13: "+twice)
	f(`{"MODEL":"A","model":"B"}`, "unknown_spelling model@1: "+spell)
	f(`{"Model":"A"}`, "unknown_spelling model@1: "+spell)
	f(`{"\u004dodel":"A"}`, "unknown_spelling model@1: "+spell)
	f(`{"ſtream":true}`, "unknown_spelling stream@1: "+spell)
	f(`{"stream":false,"\u017ftream":true}`, "duplicate_field stream@16: "+twice)
	f(`{"max_tokens":1,"max_to\u212aens":9}`, "duplicate_field max_tokens@16: "+twice)
	f(`{"MAX_TOKENS":1}`, "unknown_spelling max_tokens@1: "+spell)
	f("{\"max_to\u212aens\":1}", "unknown_spelling max_tokens@1: "+spell)
	f(`{"tımeout":1,"mın":1,"m\u0130n":2}`, "duplicate_field min@23: "+twice)
	f(`{"temperature":1,"Temperature":1}`, "duplicate_field temperature@17: "+twice)
	f(`{"metaData":{}}`, "unknown_spelling metadata@1: "+spell)
	f(`{"x_y":1,"X_y":2}`, "duplicate_field x_y@9: "+twice)
	f(`{"Größe":1,"GRÖSSE":2,"größe":3}`, "duplicate_field @25: has a field more than once")
	f(`{"":1,"":2}`, "duplicate_field @6: has a field more than once")
	f(`{"a\n":1,"a\u000a":2}`, "duplicate_field @9: has a field more than once")

	message := func(message, want string) {
		t.Helper()
		f(`{"model":"m","messages":[{"role":"user"},`+message+`]}`, want)
	}
	message(`{"role":"user","role":"system"}`, "duplicate_field messages[1].role@56: "+twice)
	message(`{"role":"user","Role":"system"}`, "duplicate_field messages[1].role@56: "+twice)
	message(`{"Role":"user"}`, "unknown_spelling messages[1].role@42: "+spell)
	message(`{"role":"user","content":"a","c\u006fntent":"b"}`, "duplicate_field messages[1].content@70: "+twice)
	message(`{"role":"user","CONTENT":"a"}`, "unknown_spelling messages[1].content@56: "+spell)
	message(`{"role":"user","tool_callſ":[]}`, "unknown_spelling messages[1].tool_calls@56: "+spell)

	part := func(part, want string) {
		t.Helper()
		f(`{"model":"m","messages":[{"role":"user","content":[`+part+`]}]}`, want)
	}
	part(`{"type":"text","type":"image_url"}`, "duplicate_field messages[0].content[0].type@66: "+twice)
	part(`{"type":"text","text":"a","TEXT":"b"}`, "duplicate_field messages[0].content[0].text@77: "+twice)
	part(`{"type":"text","Text":"b"}`, "unknown_spelling messages[0].content[0].text@66: "+spell)
	part(`{"type":"image_url","image_url":{"url":"a","url":"b"}}`, "duplicate_field messages[0].content[0].image_url.url@94: "+twice)
	part(`{"type":"image_url","image_url":{"URL":"a"}}`, "unknown_spelling messages[0].content[0].image_url.url@84: "+spell)
	part(`{"type":"image_url","image_Url":{"url":"a"}}`, "unknown_spelling messages[0].content[0].image_url@71: "+spell)
	part(`{"type":"input_audio","input_audio":{"data":"a","Data":"b"}}`, "duplicate_field messages[0].content[0].input_audio.data@99: "+twice)

	f(`{"stream_options":{"include_usage":false,"include_usage":true}}`, "duplicate_field stream_options.include_usage@41: "+twice)
	f(`{"stream_options":{"Include_Usage":true}}`, "unknown_spelling stream_options.include_usage@19: "+spell)
	f(`{"response_format":{"type":"text","Type":"json_object"}}`, "duplicate_field response_format.type@34: "+twice)
}

// An error reaches the client and the logs: no value of the body may stand in it.
func TestErrorsHoldNoValues(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		var d Document
		err := d.Parse([]byte(body))
		if err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", body, err, want)
		}
		var refusal *Error
		if errors.As(err, &refusal) && strings.Contains(err.Error()+refusal.Param+refusal.Reason, "canary") {
			t.Errorf("%s: %v holds a value", body, err)
		}
	}
	f(`{"model":{"a":"canary"}}`, "model must be a string (at byte 9)")
	f(`{"model":"canary","n":"canary"}`, "n must be an integer or null (at byte 22)")
	f(`{"model":"canary`, "the request body is not valid JSON: it ends too early (at byte 16)")
	f(`{"messages":[{"role":"canary","content":["canary"]}]}`, "messages[0].content[0] must be an object (at byte 41)")
	f(`{"<canary>":1,"<canary>":2}`, "the request body has a field more than once (at byte 14)")
}
