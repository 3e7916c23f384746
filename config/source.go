package config

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// position is a place in the file; both figures count from 1, the column in characters.
type position struct{ line, column int }

// source is the text of one file as the operator wrote it, kept to point at places in it.
type source struct {
	name string
	text string
	of   reflect.Type // the Config type that the file fills; it knows which options are secrets
}

// fault is one mistake in the file. Its message is safe to show and to log.
type fault struct {
	place   string // file:line:column
	option  string // its path, or empty when the file is not even YAML
	problem error
	excerpt string
}

func (f *fault) Error() string {
	text := f.place + ": "
	if f.option != "" {
		text += f.option + ": "
	}
	return text + f.problem.Error() + f.excerpt
}

func (f *fault) Unwrap() error { return f.problem }

func (s *source) fault(at position, option string, problem error) *fault {
	return &fault{place: s.place(at), option: option, problem: problem, excerpt: s.excerpt(at)}
}

// place renders a position the way compilers do, so that editors can jump to it.
func (s *source) place(at position) string {
	return fmt.Sprintf("%s:%d:%d", s.name, at.line, at.column)
}

// excerpt shows the line of a position with a mark under the column, and the
// line before it for context.
func (s *source) excerpt(at position) string {
	lines := strings.Split(s.text, "\n")
	if at.line < 1 || at.line > len(lines) {
		return ""
	}
	r := newRedactor(s.of)
	line, column := r.line(lines[at.line-1], at.column)
	start := firstShown(column)
	width := len(fmt.Sprint(at.line))
	var out strings.Builder
	if at.line > 1 {
		before, _ := r.line(lines[at.line-2], 1)
		if before = shown(before, start); before != "" {
			fmt.Fprintf(&out, "\n  %*d | %s", width, at.line-1, before)
		}
	}
	line = shown(line, start)
	mark := min(max(column-start, 1), utf8.RuneCountInString(line)+1)
	fmt.Fprintf(&out, "\n> %*d | %s\n  %*s | %*s", width, at.line, line, width, "", mark, "^")
	return out.String()
}

// maxShown is how many characters of a line an excerpt shows.
const maxShown = 120

// firstShown returns how many characters of a line to skip so that the column is in view.
func firstShown(column int) int {
	if column <= maxShown {
		return 0
	}
	return column - maxShown/2
}

// shown returns the part of a line that an excerpt shows, with every character
// one column wide and harmless to a terminal.
func shown(line string, start int) string {
	runes := []rune(strings.TrimRight(line, " \t\r"))
	start = min(start, len(runes))
	runes = runes[start:min(start+maxShown, len(runes))]
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return '→'
		case !unicode.IsPrint(r):
			return '·'
		}
		return r
	}, string(runes))
}
