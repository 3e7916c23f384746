package simulator

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// A rule checks one value of a request. The path at names it in the refusal as
// clients see it: "messages[0].content". Rules are built once per provider and
// read as its page does.
type rule func(at string, v any) *Refusal

// A field is one documented member of an object.
type field struct {
	name     string
	rule     rule
	required bool
	numeric  func(least, most float64) rule // what rule was made by; nil: it has no range
}

func required(name string, r rule) field { return field{name: name, rule: r, required: true} }
func optional(name string, r rule) field { return field{name: name, rule: r} }

// ranged is an optional number or integer.
func ranged(name string, numeric func(least, most float64) rule, least, most float64) field {
	return field{name: name, rule: numeric(least, most), numeric: numeric}
}

// object accepts the listed fields and no others.
func object(fields ...field) rule {
	return func(at string, v any) *Refusal {
		found, ok := v.(members)
		if !ok {
			return wrongType(at, "an object", v)
		}
		for _, name := range found.names() {
			if !slices.ContainsFunc(fields, called(name)) {
				return unknownParameter(join(at, name))
			}
		}
		for _, f := range fields {
			value, present := found[f.name]
			switch {
			case present:
				if bad := f.rule(join(at, f.name), value); bad != nil {
					return bad
				}
			case f.required:
				return missing(join(at, f.name))
			}
		}
		return nil
	}
}

// anyObject accepts an object whose members the page leaves open.
func anyObject(at string, v any) *Refusal {
	if _, ok := v.(members); !ok {
		return wrongType(at, "an object", v)
	}
	return nil
}

// all applies several rules to the same value, the first refusal counts.
func all(rules ...rule) rule {
	return func(at string, v any) *Refusal {
		for _, r := range rules {
			if bad := r(at, v); bad != nil {
				return bad
			}
		}
		return nil
	}
}

// nullable accepts null besides what r accepts.
func nullable(r rule) rule {
	return func(at string, v any) *Refusal {
		if v == nil {
			return nil
		}
		return r(at, v)
	}
}

// list accepts an array of so many elements or more, each of which must satisfy r.
func list(least int, r rule) rule {
	return func(at string, v any) *Refusal {
		elements, ok := v.([]any)
		if !ok {
			return wrongType(at, "an array", v)
		}
		if len(elements) < least {
			return badRequest(at, "empty_array", "Invalid '%s': expected an array with at least %d element.", at, least)
		}
		for i, e := range elements {
			if bad := r(index(at, i), e); bad != nil {
				return bad
			}
		}
		return nil
	}
}

func text(at string, v any) *Refusal {
	if _, ok := v.(string); !ok {
		return wrongType(at, "a string", v)
	}
	return nil
}

func boolean(at string, v any) *Refusal {
	if _, ok := v.(bool); !ok {
		return wrongType(at, "a boolean", v)
	}
	return nil
}

// oneOf accepts the listed strings.
func oneOf(values ...string) rule {
	return func(at string, v any) *Refusal {
		s, ok := v.(string)
		if !ok {
			return wrongType(at, "a string", v)
		}
		if !slices.Contains(values, s) {
			return invalidValue(at, fmt.Sprintf("'%s' is not one of '%s'", s, strings.Join(values, "', '")))
		}
		return nil
	}
}

// number accepts a number from least to most, both included.
func number(least, most float64) rule {
	return func(at string, v any) *Refusal {
		n, ok := v.(json.Number)
		if !ok {
			return wrongType(at, "a number", v)
		}
		f, err := n.Float64()
		if err != nil || f < least || f > most {
			return outOfRange(at, n, least, most)
		}
		return nil
	}
}

// integer accepts a whole number from least to most, both included; 3.0 is one.
func integer(least, most float64) rule {
	within := number(least, most)
	return func(at string, v any) *Refusal {
		n, ok := v.(json.Number)
		if !ok {
			return wrongType(at, "an integer", v)
		}
		if f, err := n.Float64(); err == nil && f != math.Trunc(f) {
			return wrongType(at, "an integer", v)
		}
		return within(at, v)
	}
}

// The ends of ranges that a page leaves open.
const (
	unbounded  = math.MaxFloat64
	maxInteger = 1 << 53 // the largest that every JSON reader holds exactly
	maxChoices = 128     // OpenAI's limit for n; it bounds an answer's size
	maxRunners = 20      // OpenAI's limit for top_logprobs
)

func outOfRange(at string, n json.Number, least, most float64) *Refusal {
	if most >= maxInteger && least > -maxInteger {
		return invalidValue(at, fmt.Sprintf("%s is not a number from %v up", n, least))
	}
	return invalidValue(at, fmt.Sprintf("%s is not between %v and %v", n, least, most))
}

// model accepts the documented model names.
func model(names ...string) rule {
	return func(at string, v any) *Refusal {
		s, ok := v.(string)
		if !ok {
			return wrongType(at, "a string", v)
		}
		if !slices.Contains(names, s) {
			return unknownModel(s)
		}
		return nil
	}
}

// stops accepts a string, or an array of no more strings than most.
func stops(most int) rule {
	return func(at string, v any) *Refusal {
		if _, one := v.(string); one {
			return nil
		}
		several, ok := v.([]any)
		if !ok {
			return wrongType(at, "a string or an array of strings", v)
		}
		if len(several) > most {
			return badRequest(at, "array_above_max_length",
				"Invalid '%s': at most %d strings may be named, but got %d.", at, most, len(several))
		}
		return list(0, text)(at, v)
	}
}

// typeName names a decoded value's JSON type for a refusal.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case []any:
		return "an array"
	}
	return "an object"
}
