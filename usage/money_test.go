package usage

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestParseUSD(t *testing.T) {
	f := func(in string, want NanoUSD) {
		t.Helper()
		if got, err := ParseUSD(in); err != nil || got != want {
			t.Errorf("ParseUSD(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
	f("25.00", 25_000_000_000)
	f("0.000000001", 1)
	f("0", 0)
	f("007", 7_000_000_000)
	f("-0.5", -500_000_000)
	f("9223372036.854775807", math.MaxInt64)
}

func TestParseUSDRefuses(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got, err := ParseUSD(in); err == nil || err.Error() != want {
			t.Errorf("ParseUSD(%q) = %d, %v, want error %q", in, got, err, want)
		}
	}
	const form = ` is not an amount: write US dollars such as "0.10", with at most 9 digits after the point`
	for _, in := range []string{"", ".", "5.", ".5", "+1", "--1", " 1", "1 ", "1e3", "0x10", "1,000", "1_000", "NaN", "1.2.3", "٣", "0.0000000001"} {
		f(in, `"`+in+`"`+form)
	}
	f("9223372036.854775808", `"9223372036.854775808": the amount is beyond 9.2 billion US dollars`)
	f("99999999999999999999999", `"99999999999999999999999": the amount is beyond 9.2 billion US dollars`)
}

func TestNanoUSDString(t *testing.T) {
	f := func(in NanoUSD, want string) {
		t.Helper()
		if got := in.String(); got != want {
			t.Errorf("NanoUSD(%d) = %q, want %q", int64(in), got, want)
		}
	}
	f(0, "0.00")
	f(567_000, "0.000567")
	f(25_000_000_000, "25.00")
	f(100_000_000, "0.10")
	f(1, "0.000000001")
	f(-500_000_000, "-0.50")
	f(math.MaxInt64, "9223372036.854775807")
	f(math.MinInt64, "-9223372036.854775808")
}

func TestMoneyEncodesAsIntegerAndForPeopleAsDecimal(t *testing.T) {
	got, err := json.Marshal(struct {
		N NanoUSD
		U USD
	}{567_000, 567_000})
	if want := `{"N":567000,"U":"0.000567"}`; err != nil || string(got) != want {
		t.Fatalf("got %s, %v, want %s", got, err, want)
	}
	var u USD
	if err := json.Unmarshal([]byte(`"0.000567"`), &u); err != nil || u != 567_000 {
		t.Fatalf("read back %d, %v", u, err)
	}
	if err := json.Unmarshal([]byte(`"a lot"`), &u); err == nil {
		t.Fatal(`"a lot" was read as money`)
	}
}

func TestAddRefusesOverflow(t *testing.T) {
	f := func(a, b, want NanoUSD, wantErr error) {
		t.Helper()
		if got, err := a.Add(b); got != want || !errors.Is(err, wantErr) {
			t.Errorf("%d + %d = %d, %v, want %d, %v", a, b, got, err, want, wantErr)
		}
	}
	f(1, 2, 3, nil)
	f(1, -2, -1, nil)
	f(0, 0, 0, nil)
	f(math.MaxInt64, 0, math.MaxInt64, nil)
	f(math.MaxInt64, 1, 0, ErrOverflow)
	f(math.MinInt64, -1, 0, ErrOverflow)
	f(math.MinInt64, math.MaxInt64, -1, nil)
}

// Regression title: "displayed differs from charged".
func TestUSDReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := NanoUSD(rapid.Int64Min(math.MinInt64+1).Draw(t, "n"))
		if got, err := ParseUSD(n.String()); err != nil || got != n {
			t.Fatalf("%s read back as %d, %v, want %d", n, got, err, n)
		}
	})
}

// Regression titles: "cheap calls rounded up, displayed differs from charged" and
// "token classes counted twice, missed, negative".
func TestAmountIsExactAndRoundedOnce(t *testing.T) {
	f := func(p tariff, tokens Tokens, want string) {
		t.Helper()
		if got, err := p.amount(tokens); err != nil || got.String() != want {
			t.Errorf("%+v of %+v = %s, %v, want %s", p, tokens, got, err, want)
		}
	}
	flashLite := tariff{input: 100_000_000, cachedInput: 25_000_000, output: 400_000_000}
	f(flashLite, Tokens{Prompt: 13, Completion: 1891, Reasoning: 1480}, "0.0007577")
	f(flashLite, Tokens{Prompt: 1000, Cached: 800}, "0.00004")
	f(flashLite, Tokens{}, "0.00")
	f(flashLite, Tokens{Prompt: 1}, "0.0000001")
	// Half of the smallest unit rounds up, less than half down; and three classes of less than half are rounded as one sum.
	f(tariff{input: 500_000}, Tokens{Prompt: 1}, "0.000000001")
	f(tariff{input: 499_999}, Tokens{Prompt: 1}, "0.00")
	// Two products just below 2^64 carry into the upper half of the sum.
	f(tariff{input: math.MaxInt64, output: math.MaxInt64}, Tokens{Prompt: 2, Completion: 2}, "36893.488147419")
	f(tariff{input: 400_000, cachedInput: 400_000, output: 400_000}, Tokens{Prompt: 2, Cached: 1, Completion: 1}, "0.000000001")
}

// Regression title: "int overflow turns a charge into a credit".
func TestAmountRefusesOverflowAndImpossibleTokens(t *testing.T) {
	f := func(p tariff, tokens Tokens, want error) {
		t.Helper()
		if got, err := p.amount(tokens); got != 0 || !errors.Is(err, want) {
			t.Errorf("%+v of %+v = %d, %v, want 0, %v", p, tokens, got, err, want)
		}
	}
	dear := tariff{input: math.MaxInt64, cachedInput: math.MaxInt64, output: math.MaxInt64}
	f(dear, Tokens{Prompt: 1_000_001}, ErrOverflow)
	f(dear, Tokens{Prompt: tokenLimit - 1, Completion: tokenLimit - 1}, ErrOverflow)
	f(tariff{input: 1}, Tokens{Prompt: -1}, ErrInsane)
	f(tariff{input: 1}, Tokens{Prompt: tokenLimit}, ErrInsane)
	f(tariff{input: 1}, Tokens{Prompt: math.MinInt64, Cached: math.MaxInt64}, ErrInsane)
	f(tariff{input: 1}, Tokens{Prompt: 1, Cached: 2}, ErrInsane)
	f(tariff{input: 1}, Tokens{Completion: 1, Reasoning: 2}, ErrInsane)
}

func drawTariff(t *rapid.T) tariff {
	price := rapid.Int64Range(0, int64(maxPrice))
	return tariff{input: NanoUSD(price.Draw(t, "input")), cachedInput: NanoUSD(price.Draw(t, "cached_input")), output: NanoUSD(price.Draw(t, "output"))}
}

func drawTokens(t *rapid.T) Tokens {
	figure := func(name string, most int64) int64 { return rapid.Int64Range(0, most).Draw(t, name) }
	var k Tokens
	k.Prompt, k.Completion = figure("prompt", tokenLimit-1), figure("completion", tokenLimit-1)
	k.Cached, k.Reasoning = figure("cached", k.Prompt), figure("reasoning", k.Completion)
	return k
}

// An allowed price and believable tokens always have an amount: it is never
// negative, it is the sum of its parts, and it grows with every class.
func TestAmountProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, k := drawTariff(t), drawTokens(t)
		got, err := p.amount(k)
		if err != nil || got < 0 {
			t.Fatalf("%+v of %+v = %d, %v", p, k, got, err)
		}
		if want := exactAmount(p, k); big.NewInt(int64(got)).Cmp(want) != 0 {
			t.Fatalf("%+v of %+v = %d, the sum of the parts is %s", p, k, got, want)
		}
		more := k
		rapid.SampledFrom([]func(){
			func() { more.Prompt = rapid.Int64Range(k.Prompt, tokenLimit-1).Draw(t, "more prompt") },
			func() { more.Completion = rapid.Int64Range(k.Completion, tokenLimit-1).Draw(t, "more completion") },
		}).Draw(t, "class")()
		if dearer, err := p.amount(more); err != nil || dearer < got {
			t.Fatalf("%+v costs %d, and %+v costs %d, %v", k, got, more, dearer, err)
		}
		// Reading from the cache never makes a prompt dearer, as long as its price is not above the input price.
		p.cachedInput = min(p.cachedInput, p.input)
		less := k
		less.Cached = rapid.Int64Range(0, k.Cached).Draw(t, "less cached")
		cached, err1 := p.amount(k)
		uncached, err2 := p.amount(less)
		if err1 != nil || err2 != nil || cached > uncached {
			t.Fatalf("%+v costs %d, and with less from the cache %d", k, cached, uncached)
		}
	})
}

// Any price and any believable tokens: the amount is exact, or it is refused. It never wraps.
func TestAmountIsExactOrRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		price := rapid.Int64Range(0, math.MaxInt64)
		p := tariff{NanoUSD(price.Draw(t, "input")), NanoUSD(price.Draw(t, "cached_input")), NanoUSD(price.Draw(t, "output"))}
		k := drawTokens(t)
		got, err := p.amount(k)
		switch want := exactAmount(p, k); {
		case !want.IsInt64():
			if got != 0 || !errors.Is(err, ErrOverflow) {
				t.Fatalf("%+v of %+v = %d, %v, want %s refused", p, k, got, err, want)
			}
		case err != nil || int64(got) != want.Int64():
			t.Fatalf("%+v of %+v = %d, %v, want %s", p, k, got, err, want)
		}
	})
}

// The classes priced one by one and added up are the bill, but for what rounding each
// of the three would have added; and a bill grows with every price.
func TestAmountIsTheSumOfItsParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, k := drawTariff(t), drawTokens(t)
		whole, err := p.amount(k)
		if err != nil {
			t.Fatal(err)
		}
		var sum NanoUSD
		for _, part := range []Tokens{{Prompt: k.Prompt - k.Cached}, {Prompt: k.Cached, Cached: k.Cached}, {Completion: k.Completion, Reasoning: k.Reasoning}} {
			amount, err := p.amount(part)
			if err != nil {
				t.Fatal(err)
			}
			if sum, err = sum.Add(amount); err != nil {
				t.Fatal(err)
			}
		}
		if sum < whole-1 || sum > whole+1 {
			t.Fatalf("%+v of %+v = %d, and its parts %d", p, k, whole, sum)
		}
		dearer := p
		*rapid.SampledFrom([]*NanoUSD{&dearer.input, &dearer.cachedInput, &dearer.output}).Draw(t, "class") += NanoUSD(rapid.Int64Range(0, int64(maxPrice)).Draw(t, "more"))
		if more, err := dearer.amount(k); err != nil || more < whole {
			t.Fatalf("%+v of %+v = %d, and %+v = %d, %v", p, k, whole, dearer, more, err)
		}
	})
}

func TestSumIsExactOrRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		got, err := NanoUSD(a).Add(NanoUSD(b))
		want := new(big.Int).Add(big.NewInt(a), big.NewInt(b))
		if exact := want.IsInt64() && err == nil && int64(got) == want.Int64(); !exact && (want.IsInt64() || !errors.Is(err, ErrOverflow)) {
			t.Fatalf("%d + %d = %d, %v, want %s", a, b, got, err, want)
		}
	})
}

// exactAmount is the definition of amount, in numbers without a bound.
func exactAmount(p tariff, k Tokens) *big.Int {
	part := func(tokens int64, price NanoUSD) *big.Int {
		return new(big.Int).Mul(big.NewInt(tokens), big.NewInt(int64(price)))
	}
	sum := part(k.Prompt-k.Cached, p.input)
	sum.Add(sum, part(k.Cached, p.cachedInput)).Add(sum, part(k.Completion, p.output))
	return sum.Add(sum, big.NewInt(500_000)).Div(sum, big.NewInt(1_000_000))
}
