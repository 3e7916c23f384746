package admin

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// field is one field that a body may have, and where its value goes.
type field struct {
	name string
	into any
	want string // what the value must be, for the message
}

// What the value of a field must be.
const (
	wantText   = "a string"
	wantTexts  = "a list of strings"
	wantNumber = "a whole number"
	wantBool   = "true or false"
)

// readObject reads a body that must be one JSON object with these fields at most,
// each at most once, spelt exactly so, and none of them null. (encoding/json alone would take
// "TENANT" for "tenant", the last of two, and null for nothing.) What is wrong with fields is gathered as badFields.
func readObject(body io.Reader, fields []field) error {
	dec := json.NewDecoder(body)
	if err := expect(dec, json.Delim('{')); err != nil {
		return err
	}
	var bad badFields
	seen := make(map[string]bool)
	for dec.More() {
		token, err := dec.Token()
		name, isName := token.(string)
		if err != nil || !isName {
			return badJSON(err, "a field has no name")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return badJSON(err, "")
		}
		if seen[name] {
			bad.add(name, name+": must be given once") // of an unknown one it was said already that it is unknown
		} else if problem := readField(fields, name, value); problem != "" {
			bad.add(name, problem)
		}
		seen[name] = true
	}
	if err := expect(dec, json.Delim('}')); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return badJSON(err, "there is something behind the object")
	}
	return bad.orNil()
}

// readOptionalObject is readObject for a body that may be left out, which is the same as {}.
func readOptionalObject(body io.Reader, fields []field) error {
	buffered := bufio.NewReader(body)
	if _, err := buffered.Peek(1); errors.Is(err, io.EOF) {
		return nil
	}
	return readObject(buffered, fields)
}

func expect(dec *json.Decoder, want json.Delim) error {
	token, err := dec.Token()
	if err != nil || token != want {
		return badJSON(err, "it is something else")
	}
	return nil
}

// readField puts one value where it goes, or says what is wrong with it.
func readField(fields []field, name string, value json.RawMessage) (problem string) {
	known := make([]string, len(fields))
	for i, f := range fields {
		if known[i] = f.name; f.name != name {
			continue
		}
		if string(value) == "null" {
			return name + ": must be " + f.want + ", not null: leave out what is not to be set"
		}
		if err := json.Unmarshal(value, f.into); err != nil {
			return name + ": must be " + f.want
		}
		return ""
	}
	return fmt.Sprintf("unknown field %s: the fields are %s", quoted(name), strings.Join(known, ", "))
}

// badJSON says why a body is not the one object it must be, or could not be read.
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
		return unreadable(err)
	}
	return &failure{status: 400, kind: kindInvalid, code: "invalid_json", message: "the body must be one JSON object: " + otherwise}
}

// unreadable says why a body did not arrive, which is the caller's to mend. One that is too long keeps its own error.
func unreadable(err error) error {
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLarge:
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &failure{
			status: http.StatusRequestTimeout, kind: kindInvalid, code: "request_timeout",
			message: fmt.Sprintf("the request body did not arrive within %s: send it again", readTimeout),
		}
	default:
		return &failure{
			status: http.StatusBadRequest, kind: kindInvalid, code: "unreadable_body",
			message: "the request body did not arrive whole: send it again",
		}
	}
}

// quoted shows what was given, short and with its control characters escaped.
func quoted(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.QuoteToASCII(s)
}
