package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseFault reads a fault from the options of a command line, such as
//
//	kind=cut_between,provider=theturbo,events=3,every=2
//
// The options are the fields of Fault in snake case, and header.NAME=VALUE for
// each header; FaultHelp lists them. body takes the rest of the text, commas
// included, and so comes last. An option that is unknown, given twice, out of
// its range, or of no use to the kind is an error that names the option and its
// value. What ParseFault accepts, Inject accepts.
func ParseFault(text string) (Fault, error) {
	var (
		f     Fault
		given []string
	)
	for rest := text; rest != ""; {
		name, value, ok := strings.Cut(rest, "=")
		if !ok || strings.Contains(name, ",") {
			return Fault{}, fmt.Errorf("fault option %q: has no value, write name=value", before(rest, ","))
		}
		rest = ""
		if name != "body" {
			var more bool
			value, rest, more = strings.Cut(value, ",")
			if more && rest == "" {
				return Fault{}, errors.New("a fault must not end in a comma")
			}
		}
		if slices.Contains(given, name) {
			return Fault{}, fmt.Errorf("fault option %q: is given twice", name)
		}
		if err := f.set(name, value); err != nil {
			return Fault{}, fmt.Errorf("fault option %q: %w", name, err)
		}
		given = append(given, name)
	}
	err := f.fits(given)
	if err == nil {
		err = f.valid()
	}
	if err != nil {
		return Fault{}, err
	}
	return f, nil
}

// set gives a field its value.
func (f *Fault) set(name, value string) (err error) {
	if header, ok := strings.CutPrefix(name, "header."); ok {
		return f.setHeader(header, value)
	}
	switch name {
	case "kind":
		f.Kind, err = named(value, FaultKinds())
	case "name":
		f.Name, err = nonEmpty(value)
	case "provider":
		f.Provider, err = named(value, Providers())
	case "model":
		f.Model, err = nonEmpty(value)
	case "nth":
		f.Nth, err = whole(value, 1, math.MaxInt)
	case "every":
		f.Every, err = whole(value, 1, math.MaxInt)
	case "times":
		f.Times, err = whole(value, 1, math.MaxInt)
	case "status":
		f.Status, err = whole(value, 200, 599)
	case "events":
		f.Events, err = whole(value, 0, math.MaxInt)
	case "size":
		f.Size, err = whole(value, 1, mostGiant)
	case "at_byte":
		var at int
		at, err = whole(value, 0, math.MaxInt)
		f.AtByte = int64(at)
	case "reset":
		var chosen string
		chosen, err = named(value, []string{"true", "false"})
		f.Reset = chosen == "true"
	case "for":
		f.For, err = duration(value)
	case "interval":
		f.Interval, err = duration(value)
	case "body":
		f.Body, err = nonEmpty(value)
	default:
		err = fmt.Errorf("is unknown; there are %s", strings.Join(faultOptions(), ", "))
	}
	return err
}

func faultOptions() []string {
	return []string{
		"kind", "name", "provider", "model", "nth", "every", "times", "status", "header.NAME",
		"events", "at_byte", "reset", "for", "interval", "size", "body",
	}
}

func (f *Fault) setHeader(name, value string) error {
	for _, r := range name + value {
		if r < ' ' || r > '~' {
			return errors.New("a header is made of printable ASCII characters")
		}
	}
	name = http.CanonicalHeaderKey(name)
	if _, twice := f.Header[name]; twice {
		return errors.New("is given twice")
	}
	if name == "" || strings.ContainsAny(name, "()<>@:;\\\"/[]?={} ") {
		return errors.New("write header.NAME=VALUE with the name of a header")
	}
	if f.Header == nil {
		f.Header = map[string]string{}
	}
	f.Header[name] = value
	return nil
}

// fits reports options that the kind does not obey, and models that nobody has.
func (f *Fault) fits(given []string) error {
	if f.Kind == "" {
		return fmt.Errorf("fault option %q: is missing, it must be one of %s", "kind", joined(FaultKinds()))
	}
	obeyed := strings.Fields(traitsOf(f.Kind).options)
	for _, name := range given {
		known, _, _ := strings.Cut(name, ".")
		if slices.Contains(strings.Fields("kind name provider model nth every times"), known) {
			continue
		}
		if !slices.Contains(obeyed, known) {
			return fmt.Errorf("fault option %q: kind %s has no use for it", name, f.Kind)
		}
		if f.Kind == Drip && f.For == 0 && (known == "body" || known == "reset") {
			return fmt.Errorf("fault option %q: kind %s has no use for it without for", name, f.Kind)
		}
	}
	if f.Kind == WrongUsage && f.Body != "" && !json.Valid([]byte(f.Body)) {
		return fmt.Errorf("fault option %q: must be JSON, it is sent as the usage object", "body")
	}
	asked := Providers()
	if f.Provider != "" {
		asked = []Provider{f.Provider}
	}
	knows := func(p Provider) bool { return slices.Contains(p.Models(), f.Model) }
	if f.Model != "" && !slices.ContainsFunc(asked, knows) {
		return fmt.Errorf("fault option %q: must be a model of %s, got %q", "model", joined(asked), f.Model)
	}
	return nil
}

func before(s, end string) string {
	found, _, _ := strings.Cut(s, end)
	return found
}

func joined[T ~string](all []T) string {
	var names []string
	for _, name := range all {
		names = append(names, string(name))
	}
	return strings.Join(names, ", ")
}

func named[T ~string](value string, all []T) (T, error) {
	if !slices.Contains(all, T(value)) {
		return "", fmt.Errorf("must be one of %s, got %q", joined(all), value)
	}
	return T(value), nil
}

func nonEmpty(value string) (string, error) {
	if value == "" {
		return "", errors.New("must not be empty")
	}
	return value, nil
}

func whole(value string, least, most int) (int, error) {
	n, err := strconv.Atoi(value)
	switch {
	case err == nil && least <= n && n <= most:
		return n, nil
	case most == math.MaxInt:
		return 0, fmt.Errorf("must be a whole number of %d or more, got %q", least, value)
	}
	return 0, fmt.Errorf("must be a whole number between %d and %d, got %q", least, most, value)
}

func duration(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("must be a duration above 0 such as 20ms or 1m, got %q", value)
	}
	return d, nil
}
