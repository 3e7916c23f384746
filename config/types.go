package config

import (
	"encoding"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// option is one field of a Config struct.
type option struct {
	name  string // in the file
	index []int  // in the struct, for FieldByIndex
	short bool   // a single value in place of the whole struct is this option's
}

// optionsOf returns the options of a struct in the order of its declaration,
// those of its inline fields among them.
func optionsOf(t reflect.Type) []option {
	var options []option
	for i := range t.NumField() {
		field := t.Field(i)
		name, flags, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case flags == "inline":
			for _, o := range optionsOf(field.Type) {
				options = append(options, option{o.name, append([]int{i}, o.index...), o.short})
			}
		case name != "" && name != "-":
			options = append(options, option{name, []int{i}, flags == "short"})
		}
	}
	return options
}

// shortOption is the option that a single value in place of a mapping sets.
func shortOption(options []option) (option, bool) {
	for _, o := range options {
		if o.short {
			return o, true
		}
	}
	return option{}, false
}

func isScalarNode(node ast.Node) bool {
	_, ok := node.(ast.ScalarNode)
	return ok
}

func names(options []option) []string {
	out := make([]string, len(options))
	for i, o := range options {
		out[i] = o.name
	}
	return out
}

// yamlUnmarshaler is a type that reads its own YAML. Only scalars are handed to it.
type yamlUnmarshaler interface {
	UnmarshalYAML(raw []byte) error
}

// readsText reports whether a type decodes itself from text, by one way or the other.
func readsText(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) || p.Implements(reflect.TypeFor[yamlUnmarshaler]())
}

// isScalarType reports whether an option of this type is written as one scalar.
func isScalarType(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
		return true
	}
	return readsText(t)
}

func isDuration(t reflect.Type) bool { return t == reflect.TypeFor[time.Duration]() }

func isNull(node ast.Node) bool {
	return node == nil || node.Type() == ast.NullType
}

// nodeKind names what stands in the file, in the words of someone who writes YAML.
func nodeKind(node ast.Node) string {
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

// nodePosition is where a value begins: for a mapping its first name, since the
// parser's own token is the colon behind that.
func nodePosition(node ast.Node) position {
	if mapping, ok := node.(*ast.MappingNode); ok && !mapping.IsFlowStyle && len(mapping.Values) > 0 {
		return tokenPosition(mapping.Values[0].Key.GetToken())
	}
	if node == nil || node.GetToken() == nil {
		return position{1, 1}
	}
	return tokenPosition(node.GetToken())
}
