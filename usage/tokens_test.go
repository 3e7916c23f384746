package usage

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// documentedUsage is the usage object on StarMagic's and Evolink's reference pages, zero twins and all.
const documentedUsage = `{
    "prompt_tokens": 13,
    "completion_tokens": 1891,
    "total_tokens": 1904,
    "prompt_tokens_details": {
      "cached_tokens": 0,
      "text_tokens": 13,
      "audio_tokens": 0,
      "image_tokens": 0
    },
    "completion_tokens_details": {
      "text_tokens": 0,
      "audio_tokens": 0,
      "reasoning_tokens": 1480
    },
    "input_tokens": 0,
    "output_tokens": 0,
    "input_tokens_details": null
  }`

func TestParseTokens(t *testing.T) {
	f := func(in string, want Tokens) {
		t.Helper()
		if got, err := ParseTokens([]byte(in)); err != nil || got != want {
			t.Errorf("ParseTokens(%s) = %+v, %v, want %+v", in, got, err, want)
		}
	}
	// The zero-twin case: the figures that the providers document must be billed, and reasoning only once.
	f(documentedUsage, Tokens{Prompt: 13, Completion: 1891, Reasoning: 1480})
	// TheTurbo documents the three totals only.
	f(`{"prompt_tokens": 10, "completion_tokens": 30, "total_tokens": 40}`, Tokens{Prompt: 10, Completion: 30})
	f(`{"prompt_tokens":10,"completion_tokens":30}`, Tokens{Prompt: 10, Completion: 30})
	f(`{"completion_tokens":0,"prompt_tokens":0,"total_tokens":0}`, Tokens{})
	f(`{"prompt_tokens":8,"total_tokens":8}`, Tokens{Prompt: 8})
	f(`{"prompt_tokens":2147483647,"completion_tokens":2147483647}`, Tokens{Prompt: 2147483647, Completion: 2147483647})
	// All parts at once.
	f(`{"prompt_tokens":100,"completion_tokens":50,
		"prompt_tokens_details":{"cached_tokens":60,"image_tokens":20,"audio_tokens":10},
		"completion_tokens_details":{"reasoning_tokens":40,"audio_tokens":5,"image_tokens":1}}`,
		Tokens{Prompt: 100, Cached: 60, Completion: 50, Reasoning: 40, Image: 21, Audio: 15})
	// The other spelling counts only where the first is absent.
	f(`{"input_tokens":7,"output_tokens":9,"total_tokens":16,"input_tokens_details":{"cached_tokens":3},"output_tokens_details":{"reasoning_tokens":2}}`,
		Tokens{Prompt: 7, Cached: 3, Completion: 9, Reasoning: 2})
	f(`{"prompt_tokens":null,"completion_tokens":null,"total_tokens":null,"input_tokens":7,"output_tokens":9}`, Tokens{Prompt: 7, Completion: 9})
	f(`{"prompt_tokens":0,"completion_tokens":0,"input_tokens":7,"output_tokens":9}`, Tokens{})
	f(`{"prompt_tokens":1,"completion_tokens":2,"input_tokens":-5,"output_tokens":"x"}`, Tokens{Prompt: 1, Completion: 2})
	// Nulls, and an empty array, stand where objects are documented; what is not known is not read.
	f(`{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":null,"completion_tokens_details":null}`, Tokens{Prompt: 1, Completion: 2})
	f(`{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":[],"completion_tokens_details":{"reasoning_tokens":null}}`, Tokens{Prompt: 1, Completion: 2})
	f(`{"prompt_tokens":1,"completion_tokens":2,"cost":0.0001,"service_tier":"default","Prompt_Tokens":9,"x":{"y":[null,{}]}}`, Tokens{Prompt: 1, Completion: 2})
	f(`{"prompt\u005ftokens":1,"completion_tokens":2}`, Tokens{Prompt: 1, Completion: 2})
}

func TestParseTokensWithoutFiguresIsUnknownUsage(t *testing.T) {
	for _, in := range []string{"", " \n", "null", "{}", "[]", `{"total_tokens":10}`, `{"prompt_tokens":null}`, `{"usage":{"prompt_tokens":1}}`} {
		if got, err := ParseTokens([]byte(in)); !errors.Is(err, ErrNoUsage) || got != (Tokens{}) {
			t.Errorf("ParseTokens(%q) = %+v, %v, want ErrNoUsage", in, got, err)
		}
	}
}

func TestParseTokensRefusesInsaneUsage(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		got, err := ParseTokens([]byte(in))
		var reason *InsaneError
		if !errors.As(err, &reason) || !errors.Is(err, ErrInsane) || reason.Reason != want || got != (Tokens{}) {
			t.Errorf("ParseTokens(%s) = %+v, %v, want reason %q", in, got, err, want)
		}
	}
	f(`{"prompt_tokens":-1,"completion_tokens":2}`, "prompt_tokens is negative")
	f(`{"prompt_tokens":1,"completion_tokens":-9223372036854775808}`, "completion_tokens is negative")
	f(`{"prompt_tokens":1,"completion_tokens":2147483648}`, "completion_tokens is 2^31 or more")
	f(`{"prompt_tokens":1,"completion_tokens":18446744073709551617}`, "completion_tokens is 2^31 or more")
	f(`{"prompt_tokens":1.0,"completion_tokens":2}`, "prompt_tokens is not a whole number")
	f(`{"prompt_tokens":1e3,"completion_tokens":2}`, "prompt_tokens is not a whole number")
	f(`{"prompt_tokens":"1","completion_tokens":2}`, "prompt_tokens is not a whole number")
	f(`{"prompt_tokens":true,"completion_tokens":2}`, "prompt_tokens is not a whole number")
	f(`{"prompt_tokens":[1],"completion_tokens":2}`, "prompt_tokens is not a whole number")
	f(`{"prompt_tokens":NaN,"completion_tokens":2}`, "usage is not JSON")
	f(`{"prompt_tokens":1,"completion_tokens":2,"total_tokens":4}`, "total_tokens is not prompt_tokens plus completion_tokens")
	f(`{"prompt_tokens":1,"completion_tokens":2,"total_tokens":-3}`, "total_tokens is negative")
	f(`{"prompt_tokens":5}`, "completion_tokens is missing")
	f(`{"completion_tokens":5}`, "prompt_tokens is missing")
	f(`{"prompt_tokens":5,"total_tokens":12}`, "total_tokens is not prompt_tokens plus completion_tokens")
	f(`{"output_tokens":5}`, "input_tokens is missing")
	f(`{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":6}}`, "cached_tokens of prompt_tokens is more than the whole")
	f(`{"prompt_tokens":5,"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":2}}`, "reasoning_tokens of completion_tokens is more than the whole")
	f(`{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":-6}}`, "cached_tokens is negative")
	f(`{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":1,"cached_tokens":2}}`, "prompt_tokens_details has a name twice")
	f(`{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":7}`, "prompt_tokens_details is not an object")
	f(`{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":[1]}`, "prompt_tokens_details is not an object")
	f(`{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens":1}`, "usage has a name twice")
	f(`{"prompt_tokens":1,"completion_tokens":2,"prompt\u005ftokens":3}`, "usage has a name twice")
	f(`{"prompt_tokens":1,"completion_tokens":2,"x":1,"x":1}`, "usage has a name twice")
	f(`[{"prompt_tokens":1}]`, "usage is not an object")
	f(`"prompt_tokens"`, "usage is not an object")
	f(`{"prompt_tokens":1,"completion_tokens":2} {}`, "usage is not JSON")
	f(`{"prompt_tokens":1,"completion_tokens":2`, "usage is not JSON")
	f(`{"prompt_tokens":01,"completion_tokens":2}`, "usage is not JSON")
	f("{"+manyNames(129)+"}", "usage has more than 128 names")
	f(`{"x":"`+strings.Repeat("x", maxUsageBytes)+`"}`, "the object is longer than 16384 bytes")
	f(strings.Repeat("[", 12000), "usage is not JSON")
}

func TestCheckAllowsATenthMoreThanTheClientDid(t *testing.T) {
	f := func(completion, maxCompletion int64, sane bool) {
		t.Helper()
		err := Tokens{Completion: completion}.Check(maxCompletion)
		if (err == nil) != sane || err != nil && !errors.Is(err, ErrInsane) {
			t.Errorf("%d tokens of %d allowed: %v", completion, maxCompletion, err)
		}
	}
	f(100, 100, true)
	f(110, 100, true)
	f(111, 100, false)
	f(1, 1, true)
	f(2, 1, false)
	f(1_000_000, 0, true)
	f(1_000_000, -1, true)
	f(tokenLimit-1, 1<<62, true)
}

// checkParsed asserts what holds for any input: an error comes with no figures, and
// figures without an error are believable.
func checkParsed(t *testing.T, raw []byte) {
	t.Helper()
	checkPlain(t, raw)
	got, err := ParseTokens(raw)
	if err != nil {
		if got != (Tokens{}) || !errors.Is(err, ErrInsane) && !errors.Is(err, ErrNoUsage) {
			t.Fatalf("ParseTokens(%q) = %+v, %v", raw, got, err)
		}
		return
	}
	if err := got.valid(); err != nil {
		t.Fatalf("ParseTokens(%q) = %+v, which is not believable: %v", raw, got, err)
	}
}

func FuzzParseTokens(f *testing.F) {
	for _, seed := range []string{
		documentedUsage,
		`{"prompt_tokens":10,"completion_tokens":30,"total_tokens":40}`,
		`{"input_tokens":7,"output_tokens":9,"input_tokens_details":{"cached_tokens":3}}`,
		`{"prompt_tokens":-1,"completion_tokens":1e30}`,
		`{"prompt_tokens":1,"prompt_tokens":2}`,
		`{"prompt_tokens_details":[null],"completion_tokens_details":"\ud800"}`,
		"null", "{", "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(checkParsed)
}

func TestTokensEncodeUnderTheirPublicNames(t *testing.T) {
	got, err := json.Marshal(Tokens{1, 2, 3, 4, 5, 6})
	want := `{"prompt_tokens":1,"cached_tokens":2,"completion_tokens":3,"reasoning_tokens":4,"image_tokens":5,"audio_tokens":6}`
	if err != nil || string(got) != want {
		t.Fatalf("got %s, %v, want %s", got, err, want)
	}
}

func BenchmarkParseTokens(b *testing.B) {
	raw := []byte(documentedUsage)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseTokens(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func manyNames(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(`"name %d":0`, i)
	}
	return strings.Join(names, ",")
}

func TestParseTokensAllocatesNothingForAnHonestObject(t *testing.T) {
	raw := []byte(documentedUsage)
	if allocs := testing.AllocsPerRun(100, func() { _, _ = ParseTokens(raw) }); allocs > 0 {
		t.Fatalf("%v allocations, want none", allocs)
	}
}
