package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// maxYAML bounds a file: room for some ten thousand keys.
	maxYAML = 8 << 20
	// maxYAMLNesting is more than any file of ours needs; the parser's time grows with the square of it.
	maxYAMLNesting = 16
	// maxMistakes bounds how many mistakes are told at once.
	maxMistakes = 50
)

// yamlFile is a YAML file that is read as strictly as config.yaml: each name is known
// and stands there once, and nothing is taken for what it is not. Mistakes are gathered, each with its line and column.
type yamlFile struct {
	name     string
	mistakes []error
	placed   map[string]*token.Token // where the file says something, by its path
}

// yamlField is a name that a mapping may hold, and where its value goes: a *string, *int, *bool or *[]string, a
// func(path, node) that reads it, or a func(string) string that takes a text or a number as it is written, and says
// what is wrong with it.
type yamlField struct {
	name string
	into any
}

// parse returns the root of the only document of the text, nil for an empty one.
func (f *yamlFile) parse(text []byte) (ast.Node, error) {
	f.placed = make(map[string]*token.Token)
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%s: not UTF-8 text", f.name)
	}
	tokens := lexer.Tokenize(string(text))
	if err := f.checkTokens(tokens); err != nil {
		return nil, err
	}
	// Repeated names are found here, with their path.
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, f.syntaxError(err)
	}
	if len(file.Docs) == 0 {
		return nil, nil
	}
	return file.Docs[0].Body, nil
}

// syntaxError is the parser's, without what it quotes: that may be anything.
func (f *yamlFile) syntaxError(err error) error {
	var syntax yaml.Error
	if !errors.As(err, &syntax) || syntax.GetToken() == nil {
		return fmt.Errorf("%s: not valid YAML", f.name)
	}
	message, _, _ := strings.Cut(syntax.GetMessage(), `"`)
	return f.mistake(syntax.GetToken(), "", "not valid YAML: "+strings.TrimRight(message, ": "))
}

// checkTokens refuses what makes YAML surprising or expensive, before the parser sees it.
func (f *yamlFile) checkTokens(tokens token.Tokens) error {
	begun, depth, dashes, line := false, 0, 0, 0
	for _, t := range tokens {
		if problem := refusedToken(t, begun); problem != "" {
			return f.mistake(t, "", problem)
		}
		begun = begun || t.Type != token.CommentType
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			dashes++
		}
		if depth+dashes > maxYAMLNesting {
			return f.mistake(t, "", fmt.Sprintf("lists and mappings are nested more than %d deep", maxYAMLNesting))
		}
	}
	return nil
}

func refusedToken(t *token.Token, begun bool) string {
	switch t.Type {
	case token.AnchorType, token.AliasType, token.MergeKeyType:
		return "anchors, aliases and merge keys are not supported: write the value out at each place"
	case token.TagType, token.DirectiveType:
		return "tags and directives are not supported: a field knows its own type"
	case token.MappingKeyType:
		return `a name written with ? is not supported: write "name: value"`
	case token.DocumentHeaderType:
		if begun {
			return "a second document begins here; the file is one document"
		}
	case token.InvalidType:
		return "not valid YAML"
	}
	return ""
}

// mistake is one mistake, in the form by which editors jump to its place.
func (f *yamlFile) mistake(at *token.Token, path, problem string) error {
	if path != "" {
		problem = path + ": " + problem
	}
	return fmt.Errorf("%s:%d:%d: %s", f.name, at.Position.Line, at.Position.Column, problem)
}

func (f *yamlFile) complain(at *token.Token, path, problem string) {
	switch n := len(f.mistakes); {
	case n < maxMistakes:
		f.mistakes = append(f.mistakes, f.mistake(at, path, problem))
	case n == maxMistakes:
		f.mistakes = append(f.mistakes, fmt.Errorf("%s: these are the first %d mistakes; there are more", f.name, maxMistakes))
	}
}

// complainOf is complain about what the file says at path, or about the nearest thing around it.
func (f *yamlFile) complainOf(path, problem string) {
	for near := path; near != ""; near = near[:max(strings.LastIndexAny(near, ".["), 0)] {
		if at, ok := f.placed[near]; ok {
			f.complain(at, path, problem)
			return
		}
	}
}

// plainYAMLName is what a name may look like in a message: where a colon is missing, it may be a value as well.
var plainYAMLName = regexp.MustCompile(`^[\w-]{1,64}$`)

// mapping reads a mapping that may hold these fields. One without a value, as a variable leaves it that was not
// set, is a mistake: it would open a key to everybody.
func (f *yamlFile) mapping(path string, node ast.Node, fields []yamlField) {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		f.complain(node.GetToken(), path, "must be a mapping of names and values, got "+yamlKind(node))
		return
	}
	seen := make(map[string]int)
	for iter := mapping.MapRange(); iter.Next(); {
		at := iter.Key().GetToken()
		name, shown := at.Value, at.Value
		if !plainYAMLName.MatchString(name) || holdsSecret(name) {
			shown = "[redacted]"
		}
		inner := strings.TrimPrefix(path+"."+shown, ".")
		if line, repeated := seen[name]; repeated {
			f.complain(at, inner, fmt.Sprintf("set twice; the first time in line %d", line))
			continue
		}
		seen[name] = at.Position.Line
		f.placed[inner] = at
		f.field(inner, iter.Value(), name, fields)
	}
}

func (f *yamlFile) field(path string, value ast.Node, name string, fields []yamlField) {
	known := make([]string, len(fields))
	for i, field := range fields {
		if known[i] = field.name; field.name != name {
			continue
		}
		if isNoYAML(value) {
			f.complain(f.placed[path], path, "has no value: leave the field out for its default, or write [] for an empty list")
			return
		}
		f.value(path, value, field.into)
		return
	}
	f.complain(f.placed[path], path, "unknown field; known here: "+strings.Join(known, ", "))
}

// each reads a list, and hands its items to read with their paths.
func (f *yamlFile) each(path string, node ast.Node, read func(path string, item ast.Node)) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		f.complain(node.GetToken(), path, "must be a list, got "+yamlKind(node))
		return
	}
	for i, item := range list.Values {
		inner := fmt.Sprintf("%s[%d]", path, i)
		if isNoYAML(item) {
			f.complain(list.GetToken(), inner, "the item is empty")
			continue
		}
		f.placed[inner] = item.GetToken()
		read(inner, item)
	}
}

// value reads one value. No mistake quotes what holds the secret of a key.
func (f *yamlFile) value(path string, node ast.Node, into any) {
	switch into := into.(type) {
	case func(path string, node ast.Node):
		into(path, node)
		return
	case *[]string:
		f.each(path, node, func(path string, item ast.Node) {
			var text string
			f.value(path, item, &text)
			*into = append(*into, text)
		})
		return
	}
	text, isText, ok := yamlScalar(node)
	var problem string
	switch {
	case !ok:
		problem = "must be a single value, got " + yamlKind(node)
	case isSecret(text):
		problem = "this holds the secret of a key, which must stand in no file but its owner's: revoke that key"
	default:
		problem = setScalar(into, text, isText)
	}
	if problem != "" {
		f.complain(node.GetToken(), path, problem)
	}
}

// decimal is how whole numbers are written: YAML would also take 0x10, 1_000, and 010, which is eight to some readers.
var decimal = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

func setScalar(into any, text string, isText bool) string {
	switch into := into.(type) {
	case *string:
		if !isText {
			return "must be text; put it in quotes, got " + excerpt(text)
		}
		*into = text
	case *bool:
		if isText || text != "true" && text != "false" {
			return "must be true or false, got " + excerpt(text)
		}
		*into = text == "true"
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil || isText || !decimal.MatchString(text) {
			return "must be a whole number in plain digits, got " + excerpt(text)
		}
		*into = n
	case func(string) string:
		return into(text)
	}
	return ""
}

// excerpt quotes what was given, short and with its control characters escaped.
func excerpt(text string) string {
	const most = 80
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strconv.QuoteToASCII(text)
}

// yamlScalar is a single value as it is written.
func yamlScalar(node ast.Node) (text string, isText, ok bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true, true
	case *ast.LiteralNode:
		return n.Value.Value, true, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return node.GetToken().Value, false, true
	}
	return "", false, false
}

func isNoYAML(node ast.Node) bool { return node == nil || node.Type() == ast.NullType }

// yamlKind names what stands in the file, in the words of someone who writes YAML.
func yamlKind(node ast.Node) string {
	switch node.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.SequenceNode:
		return "a list"
	case ast.MapNode:
		return "a mapping"
	}
	return "nothing"
}
