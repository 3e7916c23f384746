package config

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tollgate/telemetry"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// scalar is one value as the file writes it and as it reads once its references are replaced.
type scalar struct {
	written  string
	text     string
	isString bool
	expanded bool
}

// scalar decodes a single value. Text that holds a reference may fill an option
// of any type, quoted or not, because what the reference stands for has no
// quotes to judge by; it is then read as that type's text form.
func (d *decoder) scalar(p place, into reflect.Value) {
	v, err := d.readScalar(p.node)
	if err != nil {
		d.fault(p, err)
		return
	}
	if err := v.set(into); err != nil {
		d.fault(p, v.explain(err, into.Type()))
	}
}

func (d *decoder) readScalar(node ast.Node) (scalar, error) {
	switch n := node.(type) {
	case *ast.StringNode:
		if n.GetToken().Type == token.StringType && exponent.MatchString(n.Value) {
			return scalar{written: n.Value, text: n.Value}, nil
		}
		return d.expandString(n.Value)
	case *ast.LiteralNode:
		return d.expandString(n.Value.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		text := node.GetToken().Value
		return scalar{written: text, text: text}, nil
	}
	return scalar{}, fmt.Errorf("must be a single value, got %s", nodeKind(node))
}

// exponent is a number that YAML's core schema knows and the parser takes for
// text: other programs write small numbers so.
var exponent = regexp.MustCompile(`^-?[0-9]+[eE][-+]?[0-9]+$`)

func (d *decoder) expandString(written string) (scalar, error) {
	v := scalar{written: written, text: written, isString: true}
	if !hasReference(written) {
		return v, nil
	}
	text, err := d.env.expand(written)
	v.text, v.expanded = text, text != written
	return v, err
}

// set stores the value. Its error says what the type expects.
func (v scalar) set(into reflect.Value) error {
	if isDuration(into.Type()) {
		return v.setDuration(into)
	}
	switch target := into.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		return target.UnmarshalText([]byte(v.text))
	case yamlUnmarshaler:
		return target.UnmarshalYAML(v.asYAML())
	}
	switch into.Kind() {
	case reflect.String:
		if !v.isString {
			return errors.New("must be text; put it in quotes")
		}
		into.SetString(v.text)
	case reflect.Bool:
		return v.setBool(into)
	case reflect.Int, reflect.Int64:
		return v.setInt(into)
	default:
		return v.setFloat(into)
	}
	return nil
}

// asYAML returns the value as one YAML scalar that cannot be read as anything else.
func (v scalar) asYAML() []byte {
	if !v.isString {
		return []byte(v.text)
	}
	quoted, _ := json.Marshal(v.text) // a string always has a JSON form, and JSON strings are YAML
	return quoted
}

func (v scalar) setDuration(into reflect.Value) error {
	duration, err := time.ParseDuration(v.text)
	if err != nil || !v.isString && v.text != "0" { // nothing is nothing in every unit
		return errors.New("must be a duration with its unit such as 300ms, 30s or 15m")
	}
	into.SetInt(int64(duration))
	return nil
}

func (v scalar) setBool(into reflect.Value) error {
	if v.isString != v.expanded || v.text != "true" && v.text != "false" {
		return errors.New("must be true or false")
	}
	into.SetBool(v.text == "true")
	return nil
}

// decimal is how whole numbers are written. YAML would also take 0x10, 1_000
// and 010, which is eight to some readers and ten to others.
var decimal = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

func (v scalar) setInt(into reflect.Value) error {
	n, err := strconv.ParseInt(v.text, 10, into.Type().Bits())
	if err != nil || v.isString != v.expanded || !decimal.MatchString(v.text) {
		return errors.New("must be a whole number in plain digits")
	}
	into.SetInt(n)
	return nil
}

func (v scalar) setFloat(into reflect.Value) error {
	f, err := strconv.ParseFloat(v.text, 64)
	if err != nil || v.isString != v.expanded || strings.ContainsAny(v.text, "xXpP_nN") {
		return errors.New("must be a number such as 0.25")
	}
	into.SetFloat(f)
	return nil
}

// explain adds what the file has instead, as far as that may be shown: never a
// secret, and never what a reference stands for, which may be one.
func (v scalar) explain(err error, t reflect.Type) error {
	switch {
	case t == reflect.TypeFor[telemetry.Secret]():
		return err
	case v.expanded && readsText(t):
		return fmt.Errorf("%q stands for a value that this option does not take", v.written)
	case v.expanded:
		return fmt.Errorf("%w; %q stands for something else", err, v.written)
	case readsText(t):
		return err // the type's own error shows the value
	}
	return fmt.Errorf("%w, got %q", err, v.written)
}
