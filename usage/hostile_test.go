package usage

import (
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// hostileObjects is how many usage objects of each sort a provider is imagined to send.
const hostileObjects = 50_000

// dearest is a book with the highest price that a configuration may have.
func dearest(t *testing.T) (*PriceBook, tariff) {
	t.Helper()
	most := Money(maxPrice.String())
	return book(t, Config{Prices: []PriceConfig{{Model: "m", Input: most, Output: most}}}), tariff{maxPrice, maxPrice, maxPrice}
}

// checkBill asserts what holds for the bill of a whole answer, whatever its provider
// reported, and returns the verdict.
func checkBill(t *testing.T, b *PriceBook, p tariff, a Answer) Verdict {
	t.Helper()
	estimate := Tokens{Prompt: 17, Completion: 1234}
	a.End, a.Delivered, a.Estimate = EndCompleted, true, func() Tokens { return estimate }
	if a.MaxCompletion > 0 {
		estimate.Completion = min(estimate.Completion, a.MaxCompletion)
	}
	v := Decide(a)
	charge, _, err := b.Charge("m", v.Tokens, time.Time{})
	if err != nil || charge < 0 || v.Source == SourceUpstream && big.NewInt(int64(charge)).Cmp(exactAmount(p, v.Tokens)) != 0 {
		t.Fatalf("%s is charged %d, %v", a.Reported, charge, err)
	}
	switch {
	case v.Source == SourceUpstream:
		if _, err := ParseTokens(a.Reported); err != nil || v.Quarantined != nil || v.Tokens.Completion > 1100 && a.MaxCompletion == 1000 {
			t.Fatalf("%s is believed: %+v", a.Reported, v)
		}
	case v.Tokens != estimate || v.Cost != estimate:
		t.Fatalf("%s: billed %+v, not the estimate", a.Reported, v)
	case v.Source == SourceEstimated:
		if _, err := ParseTokens(a.Reported); !errors.Is(err, ErrNoUsage) || v.Quarantined != nil {
			t.Fatalf("%s: %+v", a.Reported, v)
		}
	case v.Source != SourceRejected || string(v.Quarantined) != string(a.Reported[:min(len(a.Reported), maxQuarantine)]):
		t.Fatalf("%s: %+v", a.Reported, v)
	}
	return v
}

// TestHostileUsageObjects: 100,000 objects, half of them honest but for one violation,
// and half of them composed at random. None brings a negative or an overflowed charge;
// each violation is found, kept as it came, and charged as the estimate.
//
// Regression titles: "negative upstream usage lowers the spend" and "int overflow turns
// a charge into a credit".
func TestHostileUsageObjects(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	b, p := dearest(t)
	began := time.Now()
	for i := range hostileObjects {
		honest, raw, what := violated(random)
		if i%16 == 0 {
			if v := checkBill(t, b, p, Answer{Reported: []byte(honest), MaxCompletion: 2000}); v.Source != SourceUpstream {
				t.Fatalf("%s: an honest object is %s", honest, v.Source)
			}
		}
		if v := checkBill(t, b, p, Answer{Reported: []byte(raw), MaxCompletion: 2000}); v.Source != SourceRejected {
			t.Fatalf("%s: %.300s is %s", what, raw, v.Source)
		}
	}
	var raw []byte
	for range hostileObjects {
		raw = appendHostileUsage(raw[:0], random)
		checkParsed(t, raw)
		checkBill(t, b, p, Answer{Reported: raw, MaxCompletion: random.Int64N(3) * 1000})
	}
	t.Logf("%d objects in %s", 2*hostileObjects, time.Since(began).Round(time.Millisecond))
}

// violated returns an honest usage object, the same one with a violation, and what that is.
func violated(random *rand.Rand) (honest, raw, what string) {
	prompt, completion := 1+random.IntN(3000), 1+random.IntN(2000)
	figures := map[string]string{
		"prompt_tokens":     fmt.Sprint(prompt),
		"completion_tokens": fmt.Sprint(completion),
		"total_tokens":      fmt.Sprint(prompt + completion),
		"cached_tokens":     fmt.Sprint(random.IntN(prompt + 1)),
		"reasoning_tokens":  fmt.Sprint(random.IntN(completion + 1)),
	}
	honest = usageObject(figures)
	names := [...]string{"prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens"}
	name := names[random.IntN(len(names))]
	switch random.IntN(8) {
	case 0, 1, 2:
		figures[name] = hostileFigure(random)
		return honest, usageObject(figures), name + " is no figure"
	case 3:
		member := `"` + name + `":` + figures[name]
		twice := strings.Replace(honest, member, member+`,"`+escapedName(random, name)+`":`+fmt.Sprint(random.IntN(9)), 1)
		return honest, twice, name + " stands twice"
	case 4:
		return honest, honest[:1+random.IntN(len(honest)-1)], "the object is cut off"
	case 5:
		figures["cached_tokens"] = fmt.Sprint(prompt + 1 + random.IntN(10))
		return honest, usageObject(figures), "a part is above its whole"
	case 6:
		figures["total_tokens"] = fmt.Sprint(prompt + completion + 1 + random.IntN(10))
		return honest, usageObject(figures), "total_tokens is no sum"
	}
	figures["completion_tokens"], figures["total_tokens"] = "2201", fmt.Sprint(prompt+2201)
	return honest, usageObject(figures), "more than was allowed"
}

// usageObject writes figures as StarMagic and Evolink do, zero twins and all.
func usageObject(figures map[string]string) string {
	return `{"prompt_tokens":` + figures["prompt_tokens"] + `,"completion_tokens":` + figures["completion_tokens"] +
		`,"total_tokens":` + figures["total_tokens"] + `,"prompt_tokens_details":{"cached_tokens":` + figures["cached_tokens"] +
		`},"completion_tokens_details":{"reasoning_tokens":` + figures["reasoning_tokens"] + `},"input_tokens":0,"output_tokens":0,"input_tokens_details":null}`
}

// hostileFigure is anything but a whole number below 2^31.
func hostileFigure(random *rand.Rand) string {
	const longFigures = 5 // the last ones take longest
	figures := [...]string{
		"-1", "-0", "-2147483648", "-9223372036854775808", "-1e30", "1.0", "0.5", "1e3", "1e30", "1E400", "2147483648", "4294967309",
		"9223372036854775807", "18446744073686646784", "18446744073709551629", "99999999999999999999999999", `"13"`, `"NaN"`, "NaN", "Infinity", "-Infinity",
		"true", "false", "[]", "[13]", "{}", `{"value":13}`, "", "0x0d", "013", "1_3", "+13", `\u0031`, "١٣", "13 13",
		strings.Repeat("9", 400), strings.Repeat("[", 500) + strings.Repeat("]", 500), strings.Repeat(`{"x":`, 200) + "13" + strings.Repeat("}", 200),
		strings.Repeat("[", 12000), `"` + strings.Repeat("x", maxUsageBytes) + `"`,
	}
	if random.IntN(40) > 0 {
		return figures[random.IntN(len(figures)-longFigures)]
	}
	return figures[random.IntN(len(figures))]
}

// escapedName writes a name with some of its letters as escapes, or none.
func escapedName(random *rand.Rand, name string) string {
	var b strings.Builder
	for _, c := range name {
		if random.IntN(4) == 0 {
			fmt.Fprintf(&b, `\u%04x`, c)
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

// appendHostileUsage composes an object out of right and wrong names and values.
func appendHostileUsage(b []byte, random *rand.Rand) []byte {
	names := [...]string{
		"prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "prompt_tokens_details",
		"completion_tokens_details", "input_tokens_details", "cached_tokens", "reasoning_tokens", "audio_tokens", "x", `prompt\u005ftokens`,
	}
	values := [...]string{
		"0", "13", "1891", "1904", "-1", "-0", "2147483647", "2147483648", "1e30", "1.5", `"13"`, "null", "true", "[]", "[null]", "{}",
		"99999999999999999999", "-9223372036854775808", `"\ud800"`, "NaN", "", "{", "[[[[[[[[]]]]]]]]",
	}
	member := func(name, value string) {
		b = append(append(append(append(b, '"'), name...), `":`...), value...)
	}
	value := func() string { return values[random.IntN(len(values))] }
	b = append(b, '{')
	for i := range 1 + random.IntN(8) {
		if i > 0 {
			b = append(b, ',')
		}
		name := names[random.IntN(len(names))]
		switch random.IntN(8) {
		case 0, 1:
			member(name, "{")
			member(names[8+random.IntN(3)], value())
			b = append(b, ',')
			member(names[8+random.IntN(3)], value())
			b = append(b, '}')
		case 2, 3, 4:
			member(name, value())
		default:
			member(name, values[random.IntN(4)])
		}
	}
	return append(b, '}')
}

// Twins that contradict each other: what the providers document as the figures is billed.
func TestContradictingTwinsAreBilledByTheDocumentedOne(t *testing.T) {
	b, p := dearest(t)
	for _, twin := range []string{"0", "7", "2147483647", "99999999999999999999", "-5", "1e30", "null", `"x"`, "{}"} {
		raw := strings.Replace(saneUsage, "}", `,"input_tokens":`+twin+`,"output_tokens":`+twin+`}`, 1)
		if v := checkBill(t, b, p, Answer{Reported: []byte(raw)}); v.Tokens != (Tokens{Prompt: 13, Completion: 1891}) {
			t.Errorf("%s: %+v", raw, v)
		}
	}
}

// The usage objects on the providers' own pages, letter by letter, on an answer that
// came whole: StarMagic and Evolink bill 13 + 1,891 tokens in spite of the zero twins.
func TestDocumentedUsageIsBilledAsItStands(t *testing.T) {
	const theTurbo = `{
		"prompt_tokens": 10,
		"completion_tokens": 30,
		"total_tokens": 40
	}`
	b := book(t, Config{Prices: []PriceConfig{{Model: "m", Input: "0.10", CachedInput: "0.025", Output: "0.40"}}})
	f := func(provider, usage, want string) {
		t.Helper()
		v := Decide(Answer{End: EndCompleted, Delivered: true, Reported: []byte(usage), MaxCompletion: 2000})
		charge, entry, err := b.Charge("m", v.Tokens, time.Now())
		if got := fmt.Sprintf("%s, $%s by %s", billed(v), charge, entry); got != want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", provider, got, err, want)
		}
	}
	f("starmagic", documentedUsage, "pays 13+1891, costs 13+1891, upstream, $0.0007577 by m@always")
	f("evolink", documentedUsage, "pays 13+1891, costs 13+1891, upstream, $0.0007577 by m@always")
	f("theturbo", theTurbo, "pays 10+30, costs 10+30, upstream, $0.000013 by m@always")
}
