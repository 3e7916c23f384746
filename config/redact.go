package config

import (
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"

	"tollgate/telemetry"
)

// hidden stands in excerpts wherever something would otherwise be shown that may be a secret.
const hidden = "[redacted]"

// redactor makes lines of a configuration file safe to show. It shows names,
// punctuation, and the values of options that are known to hold no secret;
// all else it hides. It reads lines and not the parsed file, because an excerpt
// is needed most where the file cannot be parsed, and it trusts no name that it
// does not know, because the name itself may be the mistake ("api_kyes").
// Comments are left out: they may hold an old secret.
type redactor struct {
	public map[string]bool // by option name: false for an option that holds a secret
}

// newRedactor learns from a Config type which options hold secrets. A name that
// is a secret in one section is one in all.
func newRedactor(t reflect.Type) redactor {
	r := redactor{public: make(map[string]bool)}
	r.learn(t)
	return r
}

func (r redactor) learn(t reflect.Type) {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || isScalarType(t) {
		return
	}
	for _, o := range optionsOf(t) {
		field := t.FieldByIndex(o.index).Type
		known, seen := r.public[o.name]
		r.public[o.name] = isPublic(field) && (known || !seen)
		r.learn(field)
	}
}

// isPublic reports whether an option of this type may be shown. A section or a
// table may not: what stands there in place of options is a mistake. It is none
// where a section has a short form.
func isPublic(t reflect.Type) bool {
	for t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct && !isScalarType(t) {
		short, ok := shortOption(optionsOf(t))
		return ok && isPublic(t.FieldByIndex(short.index).Type)
	}
	return isScalarType(t) && t != reflect.TypeFor[telemetry.Secret]()
}

var (
	comment = regexp.MustCompile(`(^|\s)#.*$`)
	// namePattern matches an option's name with what leads to it: the beginning of the line, or a bracket or comma.
	namePattern = regexp.MustCompile(`(?:^\s*(?:-\s+)*\{?|[{,])\s*["']?([\w./*@+-]+)["']?\s*:`)
	// valuePattern matches one word, quotes and simple references included. What a stray quote would span is not shown.
	valuePattern = regexp.MustCompile(`^\s*(?:\$\{[\w:/.-]*\}|[^\s,{}\[\]])+`)
	// itemPattern matches a word between the punctuation of lists and mappings.
	itemPattern = regexp.MustCompile(`[^\s,{}\[\]]+`)
	// credential matches what is a credential by its looks: the usual prefixes of API keys, and a password inside a URL.
	credential = regexp.MustCompile(`\b(?:sk|pk|tg)[-_][\w-]{6,}|//[^/\s@"']+@`)
	// longWord matches what is longer than a word.
	longWord = regexp.MustCompile(`[0-9A-Za-z+=]{20,}`)
)

// line returns the line as it may be shown, and where in it the given column
// (in characters, from 1) has gone.
func (r redactor) line(line string, column int) (string, int) {
	w := lineWriter{column: column}
	line = comment.ReplaceAllString(line, "")
	end := 0
	for _, m := range namePattern.FindAllStringSubmatchIndex(line, -1) {
		if m[0] < end { // inside a value already shown
			continue
		}
		r.words(&w, line[end:m[0]])
		w.show(line[m[0]:m[1]])
		end = m[1]
		if r.public[line[m[2]:m[3]]] {
			value := valuePattern.FindString(line[end:])
			w.show(value)
			end += len(value)
		}
	}
	r.words(&w, line[end:])
	return w.out.String(), w.mark()
}

// words shows punctuation and names of options, and hides the rest.
func (r redactor) words(w *lineWriter, text string) {
	end := 0
	for _, m := range itemPattern.FindAllStringIndex(text, -1) {
		word := text[m[0]:m[1]]
		w.show(text[end:m[0]])
		if _, known := r.public[word]; known || word == "-" {
			w.show(word)
		} else {
			w.hide(word)
		}
		end = m[1]
	}
	w.show(text[end:])
}

// lineWriter builds what is shown of a line and follows a column through it.
type lineWriter struct {
	out    strings.Builder
	shown  int // characters written
	read   int // characters of the original line dealt with
	column int // in the original line
	marked int // in what is shown; 0: not reached yet
}

func (w *lineWriter) show(text string) {
	for {
		m := findCredential(text)
		if m == nil {
			w.put(text, text)
			return
		}
		w.put(text[:m[0]], text[:m[0]])
		w.hide(text[m[0]:m[1]])
		text = text[m[1]:]
	}
}

// findCredential returns where the first one stands; nil: there is none. A long word with letters is one, too: in
// admin.tokens, operators choose the names, and may choose one that a public option has.
func findCredential(text string) []int {
	found := credential.FindStringIndex(text)
	for _, word := range longWord.FindAllStringIndex(text, -1) {
		if found != nil && found[0] <= word[0] {
			break
		}
		if strings.Trim(text[word[0]:word[1]], "0123456789") != "" {
			return word
		}
	}
	return found
}

func (w *lineWriter) hide(text string) { w.put(text, hidden) }

func (w *lineWriter) put(original, shown string) {
	n := utf8.RuneCountInString(original)
	if w.marked == 0 && w.column <= w.read+n {
		w.marked = w.shown + 1
		if original == shown {
			w.marked += w.column - w.read - 1
		}
	}
	w.read += n
	w.shown += utf8.RuneCountInString(shown)
	w.out.WriteString(shown)
}

// mark returns where the column has gone: behind the end when it was in a comment.
func (w *lineWriter) mark() int {
	if w.marked == 0 {
		return w.shown + 1
	}
	return w.marked
}
