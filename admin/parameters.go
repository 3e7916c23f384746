package admin

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tollgate/keys"
)

// The length of a page.
const (
	defaultLimit = 100
	maxLimit     = 10_000
)

// checkParameters refuses misspelt or repeated parameters: ignored, one would quietly widen what is asked for.
func checkParameters(raw string, known []string) error {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return invalid("", "the query string is not well-formed")
	}
	var bad badFields
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case len(known) == 0:
			bad.add(name, fmt.Sprintf("unknown parameter %s; there are none here", quoted(name)))
		case !slices.Contains(known, name):
			bad.add(name, fmt.Sprintf("unknown parameter %s; known here: %s", quoted(name), strings.Join(known, ", ")))
		case len(values[name]) > 1:
			bad.add(name, name+": must be given once")
		}
	}
	return bad.orNil()
}

// readLimit reads how much of a list is wanted.
func readLimit(text string) (int, error) {
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, &keys.FieldError{Field: "limit", Problem: fmt.Sprintf("must be a whole number from 1 to %d, got %s", maxLimit, quoted(text))}
	}
	return n, nil
}
