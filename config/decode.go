package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// decoder fills Config values from a parsed file. It walks the Go types and the
// file side by side, so that every mistake has a path and a place, and all of
// them are reported together.
type decoder struct {
	source *source
	env    Environment
	placed map[string]position // where the file sets an option, by its path
	faults []error
}

// decode fills into, which holds the defaults, from the root of the file.
func (d *decoder) decode(root ast.Node, into reflect.Value) error {
	if _, ok := root.(ast.MapNode); !ok && !isNull(root) {
		d.fault(place{node: root}, errors.New("the file must be a mapping of sections such as \"server:\""))
	} else {
		d.value(place{node: root}, into)
	}
	if len(d.faults) > maxFaults {
		d.faults[maxFaults] = fmt.Errorf("%s: these are the first %d mistakes; there are more", d.source.name, maxFaults)
	}
	return errors.Join(d.faults...)
}

// place is one value of the file and what leads to it.
type place struct {
	path string
	node ast.Node
}

// plainName is what a name may look like in a message. Where a colon or a comma
// is missing, the "name" may be an option and its value in one, a secret perhaps.
var plainName = regexp.MustCompile(`^[\w.:/@+-]{1,128}$`)

func (p place) option(name string, node ast.Node) place {
	if !plainName.MatchString(name) {
		name = hidden
	}
	if p.path == "" {
		return place{name, node}
	}
	return place{p.path + "." + name, node}
}

func (p place) item(i int, node ast.Node) place {
	return place{fmt.Sprintf("%s[%d]", p.path, i), node}
}

func (d *decoder) fault(p place, problem error) {
	d.faultAt(nodePosition(p.node), p.path, problem)
}

func (d *decoder) faultAt(at position, path string, problem error) {
	if len(d.faults) <= maxFaults {
		d.faults = append(d.faults, d.source.fault(at, path, problem))
	}
}

// value decodes one value. An empty one ("listen:" with nothing behind it)
// leaves the default as if the option were not there.
func (d *decoder) value(p place, into reflect.Value) {
	if isNull(p.node) {
		return
	}
	if isScalarType(into.Type()) {
		d.scalar(p, into)
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		d.section(p, into)
	case reflect.Map:
		d.table(p, into)
	case reflect.Slice:
		d.list(p, into)
	default:
		d.fault(p, fmt.Errorf("options of the Go type %s cannot be set by the file", into.Type()))
	}
}

// section decodes a mapping whose names are known: the fields of a struct.
func (d *decoder) section(p place, into reflect.Value) {
	options := optionsOf(into.Type())
	if short, ok := shortOption(options); ok && isScalarNode(p.node) {
		d.value(p, into.FieldByIndex(short.index))
		return
	}
	d.pairs(p, func(name string, value place, at position) {
		for _, o := range options {
			if o.name == name {
				d.value(value, into.FieldByIndex(o.index))
				return
			}
		}
		d.faultAt(at, value.path, fmt.Errorf("unknown option; known here: %s", strings.Join(names(options), ", ")))
	})
}

// table decodes a mapping whose names are the operator's own. It replaces the default as a whole.
func (d *decoder) table(p place, into reflect.Value) {
	filled := reflect.MakeMap(into.Type())
	d.pairs(p, func(name string, value place, at position) {
		if name == "" {
			d.faultAt(at, p.path, errors.New("a name is empty"))
			return
		}
		entry := reflect.New(into.Type().Elem()).Elem()
		d.value(value, entry)
		filled.SetMapIndex(reflect.ValueOf(name).Convert(into.Type().Key()), entry)
	})
	into.Set(filled)
}

// list decodes a sequence. It replaces the default as a whole.
func (d *decoder) list(p place, into reflect.Value) {
	sequence, ok := p.node.(*ast.SequenceNode)
	if !ok {
		d.fault(p, fmt.Errorf("must be a list, got %s", nodeKind(p.node)))
		return
	}
	if len(sequence.Values) == 0 {
		into.SetZero() // the same as no list, also to NeedsRestart
		return
	}
	filled := reflect.MakeSlice(into.Type(), len(sequence.Values), len(sequence.Values))
	for i, node := range sequence.Values {
		item := p.item(i, node)
		d.placed[item.path] = nodePosition(node)
		if isNull(node) {
			d.fault(item, errors.New("the item is empty"))
			continue
		}
		d.value(item, filled.Index(i))
	}
	into.Set(filled)
}

// pairs calls visit for every name of a mapping, once.
func (d *decoder) pairs(p place, visit func(name string, value place, at position)) {
	mapping, ok := p.node.(ast.MapNode)
	if !ok {
		d.fault(p, fmt.Errorf("must be a mapping of options, got %s", nodeKind(p.node)))
		return
	}
	seen := make(map[string]position)
	for iter := mapping.MapRange(); iter.Next(); {
		key := iter.Key().GetToken()
		name, at := key.Value, tokenPosition(key)
		value := p.option(name, iter.Value())
		if first, repeated := seen[name]; repeated {
			d.faultAt(at, value.path, fmt.Errorf("set twice; the first time in line %d", first.line))
			continue
		}
		seen[name] = at
		d.placed[value.path] = at
		visit(name, value, at)
	}
}

// locate gives the errors of validation, which begin with the path of an
// option, the place where the file sets that option or the nearest one around it.
func (d *decoder) locate(err error) error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var located []error
		for _, e := range joined.Unwrap() {
			located = append(located, d.locate(e))
		}
		return errors.Join(located...)
	}
	path, _, _ := strings.Cut(err.Error(), ": ")
	for path != "" {
		if at, ok := d.placed[path]; ok {
			return fmt.Errorf("%s: %w", d.source.place(at), err)
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return fmt.Errorf("%s: %w", d.source.name, err)
}
