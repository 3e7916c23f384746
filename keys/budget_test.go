package keys

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestParseUSD(t *testing.T) {
	f := func(text string, want int64, back string) {
		t.Helper()
		got, ok := ParseUSD(text)
		if !ok || got != want {
			t.Errorf("ParseUSD(%q): got %d, %v; want %d", text, got, ok, want)
		}
		if usd := (Budget{NanoUSD: got}).USD(); usd != back {
			t.Errorf("%q comes back as %q, want %q", text, usd, back)
		}
	}
	f("0", 0, "")
	f("0.000000000", 0, "")
	f("25", 25_000_000_000, "25")
	f("25.00", 25_000_000_000, "25")
	f("0.5", 500_000_000, "0.5")
	f("0.50", 500_000_000, "0.5")
	f("0010.10", 10_100_000_000, "10.1")
	f("0.000000001", 1, "0.000000001")
	f("1.000000001", 1_000_000_001, "1.000000001")
	f("9223372036.854775807", math.MaxInt64, "9223372036.854775807")

	bad := func(text string) {
		t.Helper()
		if got, ok := ParseUSD(text); ok || got != 0 {
			t.Errorf("ParseUSD(%q): got %d, %v", text, got, ok)
		}
	}
	for _, text := range []string{
		"", ".", ".5", "5.", "-1", "+1", " 1", "1 ", "1,5", "1_000", "1e3", "0x1", "1.2.3", "1.0000000001", "NaN", "$1", "٣", "1\n", "1.+5", "1.-5",
		"9223372036.854775808", "9999999999", "00000000001", "18446744073709551617", "99999999999999999999999999",
	} {
		bad(text)
	}
	if got := (Budget{NanoUSD: math.MinInt64}).USD(); got != "" {
		t.Errorf("a budget below zero is %q", got)
	}
}

// What USD says is what ParseUSD reads, to the nano-dollar, and it is never said longer than needed.
func TestUSDIsTheInverseOfParseUSD(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nano := rapid.Int64Range(1, math.MaxInt64).Draw(t, "nano")
		text := Budget{NanoUSD: nano}.USD()
		if got, ok := ParseUSD(text); !ok || got != nano {
			t.Fatalf("%d is said as %q, which is read as %d, %v", nano, text, got, ok)
		}
	})
}

func FuzzParseUSD(f *testing.F) {
	for _, text := range []string{"25", "0.50", "9223372036.854775807", "9000000000.5407", "-1", "1e3", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		nano, ok := ParseUSD(text)
		if !ok {
			return
		}
		dollars, ok := new(big.Rat).SetString(text)
		if !ok || nano < 0 || dollars.Cmp(big.NewRat(nano, 1e9)) != 0 {
			t.Fatalf("%q was read as %d", text, nano)
		}
		if again, ok := ParseUSD(Budget{NanoUSD: nano}.USD()); nano > 0 && (!ok || again != nano) {
			t.Fatalf("%q is %d, and comes back as %d", text, nano, again)
		}
	})
}
