package usage

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

func book(t *testing.T, c Config) *PriceBook {
	t.Helper()
	b, err := NewPriceBook(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// Regression title: "a wrong price needs database surgery": a further entry with its
// date is a new price, and what was accepted before keeps the one that its record names.
func TestChargeUsesTheLatestEntryThatHasBegun(t *testing.T) {
	b := book(t, Config{Prices: []PriceConfig{
		{Model: "flash", From: "2026-03-01", Input: "0.30", Output: "3.00"},
		{Model: "flash", From: "2026-01-01", Input: "0.10", CachedInput: "0.025", Output: "1.00"},
		{Model: "flash", From: "2026-02-01", Input: "0.20", Output: "2.00"},
		{Model: "old", Input: "1", Output: "1"},
	}})
	f := func(model, when, want, wantEntry string) {
		t.Helper()
		got, entry, err := b.Charge(model, Tokens{Prompt: 1_000_000, Cached: 400_000, Completion: 1_000_000}, at(t, when))
		if err != nil || got.String() != want || entry != wantEntry {
			t.Errorf("%s at %s: %s, %q, %v, want %s, %q", model, when, got, entry, err, want, wantEntry)
		}
	}
	f("flash", "2025-12-31T23:59:59.999Z", "0.00", "")
	f("flash", "2026-01-01T00:00:00Z", "1.07", "flash@2026-01-01")
	f("flash", "2026-02-01T00:30:00+01:00", "1.07", "flash@2026-01-01")
	f("flash", "2026-02-01T00:00:00Z", "2.20", "flash@2026-02-01")
	f("flash", "2030-01-01T00:00:00Z", "3.30", "flash@2026-03-01")
	f("old", "2000-01-01T00:00:00Z", "2.00", "old@always")
	f("unknown", "2026-01-01T00:00:00Z", "0.00", "")
}

func TestCostIsByProviderAndItsOwnModelName(t *testing.T) {
	b := book(t, Config{Costs: []CostConfig{
		{Provider: "starmagic", Model: "flash", From: "2026-01-01", Input: "0.08", Output: "0.32"},
		{Provider: "evolink", Model: "flash", From: "2026-01-01", Input: "0.09", Output: "0.36"},
	}})
	f := func(provider, want, wantEntry string) {
		t.Helper()
		got, entry, err := b.Cost(provider, "flash", Tokens{Prompt: 1_000_000}, at(t, "2026-06-01T00:00:00Z"))
		if err != nil || got.String() != want || entry != wantEntry {
			t.Errorf("%s: %s, %q, %v, want %s, %q", provider, got, entry, err, want, wantEntry)
		}
	}
	f("starmagic", "0.08", "starmagic/flash@2026-01-01")
	f("evolink", "0.09", "evolink/flash@2026-01-01")
	f("theturbo", "0.00", "")
}

func TestImpossibleTokensHaveNoPriceEvenWhereTheModelIsFree(t *testing.T) {
	if _, _, err := book(t, Config{}).Charge("free", Tokens{Prompt: -1}, time.Now()); !errors.Is(err, ErrInsane) {
		t.Fatalf("got %v, want ErrInsane", err)
	}
}

func TestValidateNamesEachBadEntry(t *testing.T) {
	c := Config{
		Journal: DefaultConfig().Journal,
		Prices: []PriceConfig{
			{Model: "a", From: "2026-01-01", Input: "0.10", Output: "0.40"},
			{Model: "", Input: "free", Output: "-1"},
			{Model: "a", From: "2026-01-01", Input: "0.20", Output: "0.40"},
			{Model: "b", From: "01.02.2026", Input: "1e-7", CachedInput: "0.1234567891", Output: ""},
			{Model: "c", Input: "1000000.01", Output: "99999999999"},
			{Model: "d", Input: "-0.0", Output: "1"},
		},
		Costs: []CostConfig{
			{Provider: "", Model: "m", Input: "1", Output: "1"},
			{Provider: "p", Model: "m", Input: "1", Output: "1"},
			{Provider: "p", Model: "m", Input: "1", Output: "1"},
		},
	}
	const form = `is not an amount: write US dollars such as "0.10", with at most 9 digits after the point`
	want := strings.Join([]string{
		`prices[1].model: must name a model, got ""`,
		`prices[1].input: "free" ` + form,
		`prices[1].output: must be from 0 to 1000000.00 dollars for a million tokens, got -1`,
		`prices[2]: a second entry for a@2026-01-01; give it another date or remove it`,
		`prices[3].from: "01.02.2026" is not a day: write it as 2026-01-31`,
		`prices[3].input: "1e-7" ` + form,
		`prices[3].output: must be the dollars of a million tokens such as "0.10", got ""`,
		`prices[3].cached_input: "0.1234567891" ` + form,
		`prices[4].input: must be from 0 to 1000000.00 dollars for a million tokens, got 1000000.01`,
		`prices[4].output: "99999999999": the amount is beyond 9.2 billion US dollars`,
		`prices[5].input: must be from 0 to 1000000.00 dollars for a million tokens, got -0.0`,
		`costs[0].provider: must name a provider, got ""`,
		`costs[2]: a second entry for p/m@always; give it another date or remove it`,
	}, "\n")
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Fatalf("got:\n%v\nwant:\n%s", err, want)
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestAmountsInYAMLNeverPassThroughAFloat(t *testing.T) {
	f := func(in string, want Money) {
		t.Helper()
		var c Config
		text := "prices:\n  - {model: m, from: 2026-01-01, input: " + in + ", output: \"1\"} # note\n"
		if err := yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict()); err != nil {
			t.Fatal(err)
		}
		if got := c.Prices[0].Input; got != want || c.Prices[0].From != "2026-01-01" {
			t.Errorf("input: %s was read as %q, want %q", in, got, want)
		}
	}
	f(`"0.10"`, "0.10")
	f(`'0.10'`, "0.10")
	f(`0.10`, "0.10")
	f(`3`, "3")
	f(`123456789.123456789`, "123456789.123456789")
	f(`0.1000000000000000055`, "0.1000000000000000055")
	f(`1e-7`, "1e-7")
	f(`null`, "")
	var c Config
	if err := yaml.Unmarshal([]byte("prices: [{model: m, input: [1], output: \"1\"}]"), &c); err == nil {
		t.Error("a list was read as an amount")
	}
}
