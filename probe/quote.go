package probe

import (
	"strconv"
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
	if s.reveals(text) {
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

// leastPiece is how much of a credential must not be shown, in bytes. Providers like to say
// how it begins or ends.
const leastPiece = 12

// reveals reports whether a text holds the credential, or a piece of it, however it is escaped.
func (s *session) reveals(text string) bool {
	key := s.options.Credential.Reveal()
	for _, text := range [...]string{text, unescaped(text)} {
		if s.candidate().Endpoint.Reveals(text) {
			return true
		}
		for begin := range len(key) - leastPiece + 1 {
			if strings.Contains(text, key[begin:begin+leastPiece]) {
				return true
			}
		}
	}
	return false
}

// unescaped is a text without the escapes of JSON that hide printable characters.
func unescaped(text string) string {
	const digits = 4
	var plain strings.Builder
	for {
		before, after, found := strings.Cut(text, `\`)
		plain.WriteString(before)
		if !found {
			return plain.String()
		}
		text = after
		if len(after) > digits && (after[0] == 'u' || after[0] == 'U') {
			if code, err := strconv.ParseUint(after[1:1+digits], 16, 16); err == nil {
				plain.WriteRune(rune(code))
				text = after[1+digits:]
			}
		}
	}
}
