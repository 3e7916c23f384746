package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// maxFileSize bounds the file and every file that it refers to.
	maxFileSize = 1 << 20
	// maxNesting bounds brackets within brackets: the parser's time grows with the square of it.
	maxNesting = 32
	// maxFaults bounds how many mistakes are reported at once.
	maxFaults = 10
)

// Load reads and checks the configuration file at path, with references looked
// up in this process's environment. See Parse for its errors.
func Load(path string) (*Config, error) {
	c, _, err := LoadSources(path)
	return c, err
}

// Parse decodes text strictly over the defaults and validates every section.
// The name stands for the file in error messages.
//
// The error joins one error per mistake, each beginning with name:line:column.
// Mistakes in the text itself (YAML, unknown options, wrong types, references
// that lead nowhere) carry an excerpt and are reported first, at most ten of
// them; options out of their range only once the text is right. Excerpts show
// the text before references were replaced, and no secret.
func Parse(name string, text []byte, env Environment) (*Config, error) {
	src := &source{name: name, text: string(bytes.TrimPrefix(text, []byte("\ufeff"))), of: reflect.TypeFor[Config]()}
	d := &decoder{source: src, env: env, placed: make(map[string]position)}
	c := Default()
	root, err := src.parse()
	if err != nil {
		return nil, err
	}
	if err := d.decode(root, reflect.ValueOf(&c).Elem()); err != nil {
		return nil, err
	}
	if err := d.locate(c.Validate()); err != nil {
		return nil, err
	}
	return &c, nil
}

// parse returns the root of the file's only document, nil when the file is empty.
func (s *source) parse() (ast.Node, error) {
	if len(s.text) > maxFileSize {
		return nil, fmt.Errorf("%s: larger than 1MiB", s.name)
	}
	if !utf8.ValidString(s.text) {
		valid := strings.ToValidUTF8(s.text, "\ufffd")
		line := 1 + strings.Count(valid[:strings.IndexRune(valid, '\ufffd')], "\n")
		return nil, fmt.Errorf("%s:%d:1: not UTF-8 text", s.name, line)
	}
	tokens := lexer.Tokenize(s.text)
	if err := s.checkTokens(tokens); err != nil {
		return nil, err
	}
	// The decoder finds repeated names itself, with the option's path.
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, s.syntaxFault(err)
	}
	if len(file.Docs) == 0 {
		return nil, nil
	}
	return file.Docs[0].Body, nil
}

// syntaxProblem words what a parser found. What the parser quotes is text of
// the file, a secret perhaps; the excerpt shows as much of it as may be shown.
func syntaxProblem(message string) string {
	message, _, _ = strings.Cut(message, `"`)
	return "not valid YAML: " + strings.TrimRight(message, ": ")
}

// syntaxFault gives a parser's error the form of all others.
func (s *source) syntaxFault(err error) error {
	var syntax yaml.Error
	if !errors.As(err, &syntax) || syntax.GetToken() == nil {
		return fmt.Errorf("%s: not valid YAML", s.name)
	}
	return s.fault(tokenPosition(syntax.GetToken()), "", errors.New(syntaxProblem(syntax.GetMessage())))
}

// checkTokens refuses what this file does not need and what makes YAML
// surprising or expensive, before the parser sees it.
func (s *source) checkTokens(tokens token.Tokens) error {
	begun, depth, dashes, line := false, 0, 0, 0
	for _, t := range tokens {
		if problem := refusedSyntax(t, begun); problem != "" {
			return s.fault(tokenPosition(t), "", errors.New(problem))
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
		if depth+dashes > maxNesting {
			return s.fault(tokenPosition(t), "", fmt.Errorf("lists and mappings are nested more than %d deep", maxNesting))
		}
	}
	return nil
}

// refusedSyntax says what is wrong with a token that this file may not hold;
// begun means that the document has begun before it.
func refusedSyntax(t *token.Token, begun bool) string {
	switch t.Type {
	case token.AnchorType, token.AliasType, token.MergeKeyType:
		return "anchors, aliases and merge keys are not supported: write the value out at each place"
	case token.TagType, token.DirectiveType:
		return "tags and directives are not supported: an option knows its own type"
	case token.MappingKeyType:
		return "a name written with ? is not supported: write \"name: value\""
	case token.DocumentHeaderType:
		if begun {
			return "a second document begins here; the configuration is one document"
		}
	case token.InvalidType:
		return syntaxProblem(t.Error)
	}
	return ""
}

func tokenPosition(t *token.Token) position {
	return position{line: t.Position.Line, column: t.Position.Column}
}
