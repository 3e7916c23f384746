package keys

import (
	"fmt"
	"strconv"
	"strings"
)

// nanoDigits are the digits behind the point of an amount.
const nanoDigits = 9

// USD is the amount in dollars, as short as it can be said exactly: "25", "0.5"; empty where there is no budget.
func (b Budget) USD() string {
	if b.NanoUSD <= 0 {
		return ""
	}
	text := fmt.Sprintf("%0*d", nanoDigits+1, b.NanoUSD)
	whole, rest := text[:len(text)-nanoDigits], strings.TrimRight(text[len(text)-nanoDigits:], "0")
	if rest == "" {
		return whole
	}
	return whole + "." + rest
}

// ParseUSD reads an amount of dollars, digits with up to nine more behind a point, as nano-dollars.
// It is false for anything else, and for more than nine billion dollars.
func ParseUSD(text string) (nanoUSD int64, ok bool) {
	whole, rest, pointed := strings.Cut(text, ".")
	const maxWhole = 10
	if whole == "" || len(whole) > maxWhole || len(rest) > nanoDigits || pointed && rest == "" || !digits(whole+rest) {
		return 0, false
	}
	n, err := strconv.ParseInt(whole+rest+strings.Repeat("0", nanoDigits-len(rest)), 10, 64)
	if err != nil {
		return 0, false
	}
	return n, true
}

func digits(text string) bool {
	return strings.Trim(text, "0123456789") == ""
}
