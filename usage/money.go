package usage

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// NanoUSD is an amount of money in billionths of a US dollar. It encodes in JSON
// as an integer. A bill is never negative; a correction may be.
type NanoUSD int64

// nanosPerUSD is the number of NanoUSD in a dollar, and fractionDigits the digits after the point that hold them.
const (
	nanosPerUSD    = 1_000_000_000
	fractionDigits = 9
)

// tokensPerPrice is the number of tokens that a price is given for.
const tokensPerPrice = 1_000_000

// ErrOverflow says that an amount does not fit into the nano-dollars of an int64
// (about 9.2 billion dollars). Nothing ever wraps: a wrapped charge would be a credit.
var ErrOverflow = errors.New("the amount is beyond 9.2 billion US dollars")

// ParseUSD reads a decimal string in US dollars such as "25.00" or "-0.5": digits,
// and at most nine more after a point. It refuses signs other than "-", exponents,
// spaces and separators, and returns ErrOverflow beyond the range of NanoUSD.
func ParseUSD(s string) (NanoUSD, error) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if !isDigits(whole) || point && !isDigits(fraction) || len(fraction) > fractionDigits {
		return 0, fmt.Errorf(`%q is not an amount: write US dollars such as "0.10", with at most %d digits after the point`, s, fractionDigits)
	}
	// A number without its point is the amount in nano-dollars once the fraction is padded to nine digits.
	padded := whole + fraction + strings.Repeat("0", fractionDigits-len(fraction))
	n, err := strconv.ParseInt(padded, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", s, ErrOverflow)
	}
	if negative {
		n = -n
	}
	return NanoUSD(n), nil
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// String renders the amount in dollars, exactly and without noise: at least two
// digits after the point, and no zeros behind them ("0.000567", "25.00", "-0.50").
// ParseUSD reads it back, except for the one smallest int64.
func (n NanoUSD) String() string {
	sign, magnitude := "", uint64(n)
	if n < 0 {
		sign, magnitude = "-", -magnitude
	}
	fraction := fmt.Sprintf("%0*d", fractionDigits, magnitude%nanosPerUSD)
	cents, rest := fraction[:2], strings.TrimRight(fraction[2:], "0")
	return sign + strconv.FormatUint(magnitude/nanosPerUSD, 10) + "." + cents + rest
}

// Add returns n + m, or ErrOverflow.
func (n NanoUSD) Add(m NanoUSD) (NanoUSD, error) {
	sum, err := addInt64(int64(n), int64(m))
	return NanoUSD(sum), err
}

// addInt64 is the only addition of figures that grow without a bound of their own.
func addInt64(a, b int64) (int64, error) {
	sum := a + b
	if (sum > a) != (b > 0) {
		return 0, ErrOverflow
	}
	return sum, nil
}

// USD is NanoUSD where people and scripts read it: it encodes as a decimal string
// in dollars, such as "0.000567".
type USD NanoUSD

// String renders the amount as NanoUSD does.
func (u USD) String() string { return NanoUSD(u).String() }

// MarshalText implements encoding.TextMarshaler.
func (u USD) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; it reads what ParseUSD reads.
func (u *USD) UnmarshalText(text []byte) error {
	n, err := ParseUSD(string(text))
	*u = USD(n)
	return err
}

// tariff is what a million tokens of each class cost, none of it negative.
type tariff struct {
	input, cachedInput, output NanoUSD
}

// amount is what t costs: one 128-bit sum over the classes, rounded once, half up,
// so that cheap calls are not rounded up class by class.
func (p tariff) amount(t Tokens) (NanoUSD, error) {
	if err := t.valid(); err != nil {
		return 0, err
	}
	// Cached tokens are inside the prompt and reasoning tokens inside the completion: each token is priced once.
	hi, lo, carry := uint64(0), uint64(tokensPerPrice/2), uint64(0)
	for _, class := range [...]struct {
		tokens int64
		price  NanoUSD
	}{
		{t.Prompt - t.Cached, p.input},
		{t.Cached, p.cachedInput},
		{t.Completion, p.output},
	} {
		// Three products below 2^126 and the half cannot carry out of 128 bits.
		productHi, productLo := bits.Mul64(uint64(class.tokens), uint64(class.price))
		lo, carry = bits.Add64(lo, productLo, 0)
		hi, _ = bits.Add64(hi, productHi, carry)
	}
	if hi >= tokensPerPrice {
		return 0, ErrOverflow
	}
	quotient, _ := bits.Div64(hi, lo, tokensPerPrice)
	if quotient > math.MaxInt64 {
		return 0, ErrOverflow
	}
	return NanoUSD(quotient), nil
}
