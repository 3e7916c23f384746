package scan

import "strconv"

// maxNumber is the length of the longest number taken, in bytes. The shortest
// exact form of any float64 has 24; a reader with big integers must not be made
// to spend quadratic time.
const maxNumber = 128

// number validates a number: the grammar of RFC 8259, section 6, and a
// magnitude that a float64 can hold, because readers disagree on what lies beyond.
func (l *lexer) number() *Error {
	start := l.at
	if l.cur() == '-' {
		l.at++
	}
	if l.cur() == '0' {
		l.at++
	} else if err := l.digits(); err != nil {
		return err
	}
	if l.cur() == '.' {
		l.at++
		if err := l.digits(); err != nil {
			return err
		}
	}
	exponent, err := l.exponent()
	if err != nil {
		return err
	}
	text := l.body[start:l.at]
	if len(text) > maxNumber {
		l.at = start
		return l.malformed("a number is longer than 128 bytes")
	}
	if exponent {
		if _, err := strconv.ParseFloat(string(text), 64); err != nil {
			l.at = start
			return l.malformed("a number is out of range")
		}
	}
	return nil
}

func (l *lexer) exponent() (bool, *Error) {
	if l.cur()|0x20 != 'e' {
		return false, nil
	}
	l.at++
	if sign := l.cur(); sign == '+' || sign == '-' {
		l.at++
	}
	return true, l.digits()
}

// digits reads at least one digit.
func (l *lexer) digits() *Error {
	start := l.at
	for l.at < len(l.body) && '0' <= l.body[l.at] && l.body[l.at] <= '9' {
		l.at++
	}
	if l.at == start {
		return l.unexpected()
	}
	return nil
}

// isInteger says whether a valid number has neither fraction nor exponent.
func isInteger(number []byte) bool {
	for _, b := range number {
		if b == '.' || b|0x20 == 'e' {
			return false
		}
	}
	return true
}
