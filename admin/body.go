package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"tollgate/keys"
)

// field is one field that a body may have, and where its value goes.
type field struct {
	name string
	into any
	want string // what the value must be, for the message
}

// readObject reads a body that must be one JSON object with these fields at most,
// each at most once, spelt exactly so. (encoding/json alone would take "TENANT"
// for "tenant", and the last of two.) Wrong types are gathered, one error each.
func readObject(body io.Reader, fields []field) error {
	dec := json.NewDecoder(body)
	if err := expect(dec, json.Delim('{')); err != nil {
		return err
	}
	var bad []error
	seen := make(map[string]bool)
	for dec.More() {
		name, err := readName(dec, fields, seen)
		if err != nil {
			return err
		}
		if err := readValue(dec, fields, name); err != nil {
			if _, isField := errors.AsType[*keys.FieldError](err); !isField {
				return err
			}
			bad = append(bad, err)
		}
	}
	if err := expect(dec, json.Delim('}')); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return badJSON(err, "there is something behind the object")
	}
	return errors.Join(bad...)
}

func expect(dec *json.Decoder, want json.Delim) error {
	token, err := dec.Token()
	if err != nil || token != want {
		return badJSON(err, "it is something else")
	}
	return nil
}

// readName reads the name of the next field, which must be one of fields and not seen before.
func readName(dec *json.Decoder, fields []field, seen map[string]bool) (string, error) {
	token, err := dec.Token()
	name, isName := token.(string)
	if err != nil || !isName {
		return "", badJSON(err, "a field has no name")
	}
	known := make([]string, 0, len(fields))
	for _, f := range fields {
		if f.name == name && seen[name] {
			return "", invalid(name, name+": must be given once")
		}
		if f.name == name {
			seen[name] = true
			return name, nil
		}
		known = append(known, f.name)
	}
	return "", invalid(name, fmt.Sprintf("unknown field %s: the fields are %s", strconv.QuoteToASCII(name), strings.Join(known, ", ")))
}

func readValue(dec *json.Decoder, fields []field, name string) error {
	for _, f := range fields {
		if f.name != name {
			continue
		}
		err := dec.Decode(f.into)
		if _, wrongType := errors.AsType[*json.UnmarshalTypeError](err); wrongType {
			return &keys.FieldError{Field: name, Problem: "must be " + f.want}
		}
		if err != nil {
			return badJSON(err, "")
		}
	}
	return nil
}

// badJSON says why a body is not the one object it must be. A body that could not be read keeps its own error.
func badJSON(err error, otherwise string) error {
	_, syntax := errors.AsType[*json.SyntaxError](err)
	_, hugeNumber := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case syntax:
		otherwise = err.Error()
	case hugeNumber:
		// Where no value was asked for, a number beyond a float64 stands in place of the object or of a name.
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		otherwise = "it ends too early"
	case err != nil:
		return err
	}
	return &failure{status: 400, kind: kindInvalid, code: "invalid_json", message: "the body must be one JSON object: " + otherwise}
}
