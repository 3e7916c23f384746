package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxDepth is how deeply a request's JSON may be nested.
const maxDepth = 64

// decode reads one JSON document: objects become members, arrays []any and
// numbers json.Number. A name that occurs twice in an object is refused, because
// such a body says two things at once and a proxy that patches bodies could
// produce one without noticing.
func decode(body []byte) (any, *Refusal) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	v, bad := decodeValue(d, "", 0)
	if bad != nil {
		return nil, bad
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, notJSON()
	}
	return v, nil
}

func decodeValue(d *json.Decoder, at string, depth int) (any, *Refusal) {
	token, err := d.Token()
	if err != nil {
		return nil, notJSON()
	}
	if depth > maxDepth {
		return nil, badRequest("", "invalid_json", "The JSON body is nested more than %d levels deep.", maxDepth)
	}
	switch token {
	case json.Delim('{'):
		return decodeObject(d, at, depth)
	case json.Delim('['):
		return decodeArray(d, at, depth)
	}
	return token, nil
}

func decodeObject(d *json.Decoder, at string, depth int) (any, *Refusal) {
	found := members{}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, notJSON()
		}
		path := join(at, name)
		if _, twice := found[name]; twice {
			return nil, badRequest(path, "duplicate_parameter", "Duplicate parameter: '%s'.", path)
		}
		v, bad := decodeValue(d, path, depth+1)
		if bad != nil {
			return nil, bad
		}
		found[name] = v
	}
	return found, closing(d)
}

func decodeArray(d *json.Decoder, at string, depth int) (any, *Refusal) {
	found := []any{}
	for d.More() {
		v, bad := decodeValue(d, index(at, len(found)), depth+1)
		if bad != nil {
			return nil, bad
		}
		found = append(found, v)
	}
	return found, closing(d)
}

func closing(d *json.Decoder) *Refusal {
	if _, err := d.Token(); err != nil {
		return notJSON()
	}
	return nil
}

func notJSON() *Refusal {
	return invalid(http.StatusBadRequest, "", "invalid_json", "The body of the request is not valid JSON.")
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

func index(at string, i int) string { return fmt.Sprintf("%s[%d]", at, i) }

// encode writes JSON as the providers do: on one line, with <, > and & as they
// are. It is only called with this package's own types, which always encode.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("BUG: cannot encode an answer: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
