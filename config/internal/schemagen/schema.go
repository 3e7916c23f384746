package main

import (
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"strings"
	"time"

	"tollgate/config"
	"tollgate/size"
	"tollgate/upstream"
	"tollgate/usage"

	"github.com/invopop/jsonschema"
)

// sections lists the packages whose Config types are summed, for their comments.
func sections() []string {
	return []string{"admin", "config", "keys", "proxy", "ratelimit", "store", "telemetry", "upstream", "usage"}
}

// generate returns the schema as indented JSON. The working directory must be
// the folder of package config.
func generate() ([]byte, error) {
	r := &jsonschema.Reflector{
		Anonymous:                  true,
		ExpandedStruct:             true,
		RequiredFromJSONSchemaTags: true,
		FieldNameTag:               "yaml",
		Mapper:                     scalarSchema,
		Namer:                      definitionName,
	}
	r.LookupComment = func(t reflect.Type, field string) string { return description(r.CommentMap, t, field) }
	for _, section := range sections() {
		if err := r.AddGoComments("tollgate/config", "../"+section); err != nil {
			return nil, fmt.Errorf("comments of %s: %w", section, err)
		}
	}
	s := r.Reflect(config.Config{})
	s.Title = "Tollgate configuration"
	if err := addDefaults(s, s, reflect.ValueOf(config.Default())); err != nil {
		return nil, err
	}
	finish(s)
	for _, definition := range s.Definitions {
		finish(definition)
	}
	addShortForms(s, reflect.TypeFor[config.Config]())
	for name, definition := range scalarDefinitions() {
		s.Definitions[name] = definition
	}
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

// definitionName tells the packages' Config types apart; lists and maps have no name.
func definitionName(t reflect.Type) string {
	if t.Name() == "" {
		return ""
	}
	return path.Base(t.PkgPath()) + "." + t.Name()
}

// description returns a type's or a field's comment on one line. A field's
// begins with the option's name where the comment begins with the field's.
func description(comments map[string]string, t reflect.Type, fieldName string) string {
	comment := comments[t.PkgPath()+"."+t.Name()]
	if fieldName != "" {
		field, _ := t.FieldByName(fieldName)
		comment = comments[t.PkgPath()+"."+t.Name()+"."+fieldName]
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if rest, ok := strings.CutPrefix(comment, fieldName+" "); ok {
			comment = name + " " + rest
		}
	}
	return strings.Join(strings.Fields(comment), " ")
}

// scalarSchema returns the schema of an option that is written as one value,
// nil for all other types.
func scalarSchema(t reflect.Type) *jsonschema.Schema {
	name := ""
	switch t {
	case reflect.TypeFor[time.Duration]():
		name = "duration"
	case reflect.TypeFor[size.Bytes]():
		name = "size"
	case reflect.TypeFor[usage.Money]():
		name = "money"
	case reflect.TypeFor[usage.Date]():
		name = "date"
	case reflect.TypeFor[upstream.Bound]():
		name = "bound"
	default:
		switch t.Kind() {
		case reflect.String:
			return &jsonschema.Schema{Type: "string"}
		case reflect.Bool:
			name = "boolean"
		case reflect.Int, reflect.Int64:
			name = "integer"
		case reflect.Float64:
			name = "number"
		default:
			return nil
		}
	}
	return &jsonschema.Schema{Ref: "#/$defs/" + name}
}

// scalarDefinitions describes the forms in which the file may write a value that is not plain text.
func scalarDefinitions() jsonschema.Definitions {
	text := func(pattern string) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "string", Pattern: pattern}
	}
	form := func(description string, forms ...*jsonschema.Schema) *jsonschema.Schema {
		reference := &jsonschema.Schema{Ref: "#/$defs/reference"}
		return &jsonschema.Schema{Description: description, AnyOf: append(forms, reference, &jsonschema.Schema{Type: "null"})}
	}
	return jsonschema.Definitions{
		"reference": {
			Type: "string", Pattern: `\$`,
			Description: "Text with a reference: ${NAME}, ${NAME:-default} or ${file:/path}. It is replaced before the option's type is checked.",
		},
		"duration": form("A Go duration with its unit, such as 300ms, 30s or 15m. 0 needs none.",
			&jsonschema.Schema{Const: 0},
			text(`^[-+]?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`)),
		"size": form("A number of bytes with an optional unit, such as 65536, 64KiB or 20MiB.",
			&jsonschema.Schema{Type: "integer", Minimum: "0"}, text(`^[ \t\r\n]*[0-9]+[ \t\r\n]*(GiB|MiB|KiB|GB|MB|KB)?[ \t\r\n]*$`)),
		"money": form("US dollars as decimal text such as \"0.10\", with at most nine digits after the point.",
			&jsonschema.Schema{Type: "number", Minimum: "0"}, text(`^([0-9]+(\.[0-9]{1,9})?)?$`)),
		"date": form("A day in UTC, such as 2026-01-31.", text(`^([0-9]{4}-[0-9]{2}-[0-9]{2})?$`)),
		"bound": form("A number such as 0.25; empty for no end.",
			&jsonschema.Schema{Type: "number"}, text(`^([-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?)?$`)),
		"boolean": form("true or false.", &jsonschema.Schema{Type: "boolean"}),
		"integer": form("A whole number in plain digits.", &jsonschema.Schema{Type: "integer"}),
		"number":  form("A number such as 0.25.", &jsonschema.Schema{Type: "number"}),
	}
}

// addShortForms lets a section that has a short form be that one value instead.
func addShortForms(root *jsonschema.Schema, t reflect.Type) {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		field := t.Field(i)
		name, flags, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if name == "" && flags != "inline" {
			continue // no option
		}
		addShortForms(root, field.Type)
		definition := root.Definitions[definitionName(t)]
		if flags != "short" || definition.AnyOf != nil {
			continue
		}
		whole := *definition
		whole.Description = ""
		short, _ := whole.Properties.Get(name)
		*definition = jsonschema.Schema{Description: definition.Description, AnyOf: []*jsonschema.Schema{short, &whole}}
	}
}

// addDefaults writes the defaults of a section beside its options. Sections
// inside maps and lists have none.
func addDefaults(root, section *jsonschema.Schema, defaults reflect.Value) error {
	for i := range defaults.NumField() {
		field, value := defaults.Type().Field(i), defaults.Field(i)
		name, flags, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if flags == "inline" {
			if err := addDefaults(root, section, value); err != nil {
				return err
			}
			continue
		}
		property, ok := section.Properties.Get(name)
		switch {
		case !ok:
			return fmt.Errorf("%s.%s: no such option in the schema", defaults.Type(), field.Name)
		case value.Kind() == reflect.Struct:
			definition := root.Definitions[strings.TrimPrefix(property.Ref, "#/$defs/")]
			if err := addDefaults(root, definition, value); err != nil {
				return err
			}
		case value.Kind() != reflect.Map && value.Kind() != reflect.Slice:
			property.Default = written(value)
		}
	}
	return nil
}

// written returns a default as the file would write it; nil for empty text.
func written(value reflect.Value) any {
	switch v := value.Interface().(type) {
	case time.Duration:
		text := strings.TrimSuffix(v.String(), "m0s")
		if text != v.String() {
			text += "m"
		}
		if hours, whole := strings.CutSuffix(text, "h0m"); whole {
			text = hours + "h"
		}
		return text
	case fmt.Stringer: // sizes; secrets have no default
		if value.Kind() == reflect.String {
			return nil
		}
		return v.String()
	}
	if value.Kind() == reflect.String && value.Len() == 0 {
		return nil
	}
	return value.Interface()
}

// finish lets every option and every named entry of a section be empty
// ("server:" alone), which leaves its default.
func finish(s *jsonschema.Schema) {
	nullable(s)
	if s.AdditionalProperties != nil && s.AdditionalProperties != jsonschema.FalseSchema {
		nullable(s.AdditionalProperties)
	}
	if s.Properties == nil {
		return
	}
	for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
		finish(pair.Value)
	}
}

func nullable(s *jsonschema.Schema) {
	if s.Type != "" {
		s.Extras = map[string]any{"type": []string{s.Type, "null"}}
		s.Type = ""
	}
}
