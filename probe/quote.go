package probe

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostQuoted bounds a provider's text where it is shown, in bytes.
const mostQuoted = 200

// hiddenText stands for a text that must not be shown.
const hiddenText = "(not shown: it holds the credential)"

// quote makes a provider's text safe to show: one line of printable characters,
// not too long, and never with the credential in it.
func (s *session) quote(text string) string {
	if s.candidate().Endpoint.Reveals(text) {
		return hiddenText
	}
	printable := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != utf8.RuneError {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, " "))
	printable = strings.Join(strings.Fields(printable), " ")
	if len(printable) <= mostQuoted {
		return printable
	}
	const dots = "..."
	cut := mostQuoted - len(dots)
	for !utf8.RuneStart(printable[cut]) {
		cut--
	}
	return printable[:cut] + dots
}
