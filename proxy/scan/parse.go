package scan

import (
	"bytes"
	"math"
	"strconv"
)

// Bounds of what Parse takes; MaxDepth and MaxName are others.
const (
	MaxMembers = 128  // members at the top level
	MaxModel   = 256  // bytes of a model name, unescaped
	MaxN       = 128  // choices asked for
	MaxMedia   = 4096 // content parts that are not text
)

// Parse validates body and fills d with what it says, dropping what d held
// before. A refusal is always an *Error, after which d's contents mean nothing.
// The body is not copied: it must not change while d is in use. It has at most 2^31 bytes.
//
// A Document that has grown to the size of its bodies costs one allocation for
// Model, and one for each of these, which no SDK writes by itself: a top-level
// member that OpenAI's API does not know, a reasoning_effort that is none of its
// words, a number of more than 32 bytes.
func (d *Document) Parse(body []byte) error {
	d.Reset()
	d.Body = body
	if err := d.parse(&lexer{body: body}); err != nil {
		return err
	}
	return nil
}

func (d *Document) parse(l *lexer) *Error {
	if bytes.HasPrefix(l.body, []byte("\ufeff")) {
		return l.malformed("it begins with a byte order mark")
	}
	l.space()
	start := l.at
	if _, err := l.want(anObject, ""); err != nil {
		return err
	}
	if err := l.object(func(key Span) *Error { return d.member(l, key) }); err != nil {
		return err
	}
	l.space()
	if l.at < len(l.body) {
		return l.malformed("something follows its end")
	}
	for _, required := range []string{"model", "messages"} {
		if d.Index(required) < 0 {
			return missing(required, start)
		}
	}
	return nil
}

// member reads one top-level member whose key has been read.
func (d *Document) member(l *lexer, key Span) *Error {
	f, err := d.claim(key)
	if err != nil {
		return err
	}
	start := l.at
	kind, err := l.want(f.takes, f.name)
	if err != nil {
		return err
	}
	if err := d.read(l, f.use, kind); err != nil {
		return err.within(f.name)
	}
	m := Member{Name: f.name, Kind: kind, Key: quoted(key), Value: Span{start, l.at}}
	if kind == Number {
		// The lexer has refused what a float64 cannot hold.
		m.Number, _ = strconv.ParseFloat(string(d.Raw(m)), 64)
	}
	// JSON Schema counts 2.0 and 1e2 as integers, but many readers do not.
	if kind == Number && f.takes&anInteger == anInteger && !isInteger(d.Raw(m)) {
		return &Error{Code: CodeInvalidType, Param: f.name, Offset: start, Reason: "must be an integer, written without fraction and exponent"}
	}
	d.Members = append(d.Members, m)
	return nil
}

// claim tells which member the key names and takes the name, so that no other
// member can have it or one like it.
func (d *Document) claim(key Span) (field, *Error) {
	at := key.Start - 1
	if len(d.Members) == MaxMembers {
		return field{}, &Error{Code: CodeTooManyFields, Offset: at, Reason: "has more than 128 fields"}
	}
	raw := d.slice(key)
	plain, folded := isFolded(raw), raw
	if !plain {
		var unescapedBuf [MaxName * maxEscape]byte
		if len(raw) <= len(unescapedBuf) {
			raw = appendUnescaped(unescapedBuf[:0], raw)
		}
	}
	if len(raw) > MaxName {
		return field{}, &Error{Code: CodeInvalidValue, Offset: at, Reason: "has a field name longer than 64 bytes"}
	}
	if !plain {
		var foldedBuf [MaxName]byte
		folded = appendFolded(foldedBuf[:0], raw)
	}
	hash := hashName(folded)
	if d.taken(hash, folded) {
		return field{}, duplicate(safeParam(folded), at)
	}
	d.hashes = append(d.hashes, hash)
	f, known := fieldOf(folded)
	switch {
	case !known:
		return field{name: string(raw), takes: anything}, nil
	case string(raw) != f.name:
		return field{}, misspelt(f.name, at)
	}
	return f, nil
}

// taken says whether an earlier member has a name of the same folded form.
func (d *Document) taken(hash uint64, folded []byte) bool {
	for i, h := range d.hashes {
		if h == hash && bytes.Equal(appendFolded(nil, []byte(d.Members[i].Name)), folded) {
			return true
		}
	}
	return false
}

// read reads a member's value, whose kind is one of those documented.
func (d *Document) read(l *lexer, use use, kind Kind) *Error {
	switch {
	case kind == Null || use == passOn:
		_, err := l.value()
		return err
	case use == readModel:
		return d.readModel(l)
	case use == readMessages:
		return d.readMessages(l)
	case use == readStream:
		d.Stream = l.cur() == 't'
		_, err := l.value()
		return err
	case use == readStreamOptions:
		return d.readStreamOptions(l)
	case use == readN:
		n, err := l.integer(MaxN)
		d.N = n
		return err
	case use == readMaxTokens:
		n, err := l.integer(math.MaxInt32)
		d.MaxTokens = max(d.MaxTokens, n)
		return err
	case use == readStop:
		return d.readStop(l, kind)
	case use == readReasoningEffort:
		return d.readReasoningEffort(l)
	case use == readToolChoice:
		return d.readToolChoice(l, kind)
	case use == readTools:
		return d.readTools(l)
	case use == readExtraBody:
		return d.readExtraBody(l)
	default:
		return d.readResponseFormat(l)
	}
}

// integer reads a number from 1 to most. One with fraction or exponent is left
// to the check of its type, and 0 until then.
func (l *lexer) integer(most int64) (int64, *Error) {
	start := l.at
	if err := l.number(); err != nil {
		return 0, err
	}
	number := l.body[start:l.at]
	if !isInteger(number) {
		return 0, nil
	}
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || n < 1 || n > most {
		return 0, &Error{Code: CodeInvalidValue, Offset: start, Reason: "must be between 1 and " + strconv.FormatInt(most, 10)}
	}
	return n, nil
}

func (d *Document) readModel(l *lexer) *Error {
	content, err := l.str()
	if err != nil {
		return err
	}
	refuse := func(reason string) *Error {
		return &Error{Code: CodeInvalidValue, Offset: content.Start - 1, Reason: reason}
	}
	switch {
	case content.Len() == 0:
		return refuse("must not be empty")
	case content.Len() > MaxModel*maxEscape:
		return refuse("must not be longer than 256 bytes")
	}
	var buf [MaxModel * maxEscape]byte
	name := d.AppendText(buf[:0], content)
	if len(name) > MaxModel {
		return refuse("must not be longer than 256 bytes")
	}
	d.Model = string(name)
	return nil
}
