package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
)

// A wish is all that fast mode reads of a request.
type wish struct {
	stream       bool
	includeUsage bool
	maxTokens    int64 // 0: no limit
	close        bool  // the connection ends with the answer
}

// errNotJSON says that a body cannot be skimmed.
var errNotJSON = errors.New("the body is not a JSON object")

// A skim finds members of a JSON object without decoding it. Strings are
// skipped at the speed of a search, so that a body of a MiB costs what
// copying it costs. It only notices the faults in whose way it would stand:
// for a JSON text its findings are right, and for others they mean nothing.
type skim struct {
	rest []byte
}

// skimWish reads what fast mode obeys.
func skimWish(body []byte) (wish, error) {
	var (
		w             wish
		limit, newest int64
	)
	s := skim{body}
	err := s.object(func(name, value []byte) error {
		switch string(name) {
		case "stream":
			w.stream = string(value) == "true"
		case "max_tokens":
			limit = members{"n": json.Number(value)}.whole("n")
		case "max_completion_tokens":
			newest = members{"n": json.Number(value)}.whole("n")
		case "stream_options":
			if value[0] != '{' {
				return nil
			}
			inner := skim{value}
			return inner.object(func(name, value []byte) error {
				w.includeUsage = w.includeUsage || string(name) == "include_usage" && string(value) == "true"
				return nil
			})
		}
		return nil
	})
	w.maxTokens = lowestLimit(max(limit, 0), max(newest, 0))
	return w, err
}

// object gives each member's name and value, as they are written, to found.
func (s *skim) object(found func(name, value []byte) error) error {
	if s.next() != '{' {
		return errNotJSON
	}
	s.rest = s.rest[1:]
	for first := true; s.next() != '}'; first = false {
		if !first && !s.take(',') || s.next() != '"' {
			return errNotJSON
		}
		name := s.string()
		if name == nil || !s.take(':') {
			return errNotJSON
		}
		value := s.value()
		if len(value) == 0 {
			return errNotJSON
		}
		if err := found(name[1:len(name)-1], value); err != nil {
			return err
		}
	}
	return nil
}

// next is the next byte that is no space; 0 at the end.
func (s *skim) next() byte {
	s.rest = bytes.TrimLeft(s.rest, " \t\r\n")
	if len(s.rest) == 0 {
		return 0
	}
	return s.rest[0]
}

func (s *skim) take(b byte) bool {
	if s.next() != b {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// value skips a value and returns it; nothing when it does not end.
func (s *skim) value() []byte {
	switch s.next() {
	case '"':
		return s.string()
	case '{', '[':
		return s.nested()
	}
	end := bytes.IndexAny(s.rest, ",}] \t\r\n")
	if end < 0 {
		return nil
	}
	return s.cut(end)
}

// string skips a string and returns it with its quotes; nil when it does not end.
func (s *skim) string() []byte {
	end := stringEnd(s.rest)
	if end < 0 {
		return nil
	}
	return s.cut(end)
}

// nested skips an object or an array.
func (s *skim) nested() []byte {
	for i, depth := 0, 0; i < len(s.rest); i++ {
		switch s.rest[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return s.cut(i + 1)
			}
		case '"':
			end := stringEnd(s.rest[i:])
			if end < 0 {
				return nil
			}
			i += end - 1
		}
	}
	return nil
}

func (s *skim) cut(end int) []byte {
	value := s.rest[:end]
	s.rest = s.rest[end:]
	return value
}

// stringEnd is the length of the string at the beginning of text, both quotes
// included; -1 when it has no end.
func stringEnd(text []byte) int {
	for at := 1; ; {
		quote := bytes.IndexByte(text[at:], '"')
		if quote < 0 {
			return -1
		}
		at += quote
		escapes := 0
		for text[at-1-escapes] == '\\' {
			escapes++
		}
		at++
		if escapes%2 == 0 {
			return at
		}
	}
}
