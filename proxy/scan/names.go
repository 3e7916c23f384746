package scan

import (
	"unicode"
	"unicode/utf8"
)

// MaxName is the length of the longest name of a top-level member, unescaped, in bytes.
const MaxName = 64

// maxEscape is by how much escaping can lengthen a name: one byte becomes \u006d.
const maxEscape = 6

// nameBuf holds one name unescaped.
type nameBuf [MaxName * maxEscape]byte

// name unescapes a string that is a name or a word to show. What is longer than MaxName is none: nothing.
func (d *Document) name(buf *nameBuf, content Span) []byte {
	if content.Len() > len(buf) {
		return nil
	}
	name := appendUnescaped(buf[:0], d.slice(content))
	if len(name) > MaxName {
		return nil
	}
	return name
}

// isFolded says that a raw name is its own folded form: ASCII without capitals and escapes.
func isFolded(raw []byte) bool {
	for _, b := range raw {
		if b >= utf8.RuneSelf || b == '\\' || ('A' <= b && b <= 'Z') {
			return false
		}
	}
	return true
}

// appendFolded appends the form that all names share which some reader of JSON
// might take for one and the same.
func appendFolded(dst, name []byte) []byte {
	for len(name) > 0 {
		r, n := utf8.DecodeRune(name)
		dst = utf8.AppendRune(dst, foldRune(r))
		name = name[n:]
	}
	return dst
}

// foldRune maps a rune to the least one of its simple case folding class, ASCII
// letters to their lower case. Go's encoding/json matches names by these
// classes, in which U+017F is an "s" and U+212A a "k". The dotted capital and the
// dotless small i belong to no class, but compare equal to an "i" where readers
// compare letter by letter in upper and then lower case, as Java does.
func foldRune(r rune) rune {
	if r == '\u0130' || r == '\u0131' {
		return 'i'
	}
	least := r
	if r >= utf8.RuneSelf {
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
	}
	if 'A' <= least && least <= 'Z' {
		least += 'a' - 'A'
	}
	return least
}

// hashName is FNV-1a.
func hashName(name []byte) uint64 {
	hash := uint64(14695981039346656037)
	for _, b := range name {
		hash = (hash ^ uint64(b)) * 1099511628211
	}
	return hash
}
