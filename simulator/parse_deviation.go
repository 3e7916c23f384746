package simulator

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// ParseDeviation reads what one provider, or every one when it returns none,
// does otherwise than its page says, from the options of a command line, such as
//
//	provider=theturbo,takes=seed+top_k,range.temperature=0..1,no_done
//
// The options are the fields of Deviations in snake case; DeviationHelp lists
// them. An option that is unknown, given twice, out of its range, or that names
// what the provider does not have to change is an error that names the option and
// its value. Values are not held against the page: a range that is the documented
// one is taken, and changes nothing.
func ParseDeviation(text string) (Provider, Deviations, error) {
	var (
		d     deviation
		given []string
	)
	for option := range strings.SplitSeq(text, ",") {
		if text == "" {
			break
		}
		name, value, valued := strings.Cut(option, "=")
		if slices.Contains(given, name) {
			return "", Deviations{}, fmt.Errorf("deviation option %q: is given twice", name)
		}
		if err := d.set(name, value, valued); err != nil {
			return "", Deviations{}, fmt.Errorf("deviation option %q: %w", name, err)
		}
		given = append(given, name)
	}
	if len(given) == 0 || len(given) == 1 && given[0] == "provider" {
		return "", Deviations{}, fmt.Errorf("a deviation says what a provider does otherwise, with one or more of %s", strings.Join(deviationOptions()[1:], ", "))
	}
	for _, name := range given {
		if err := d.fits(name); err != nil {
			return "", Deviations{}, fmt.Errorf("deviation option %q: %w", name, err)
		}
	}
	return d.provider, d.Deviations, nil
}

// A deviation is one text of ParseDeviation.
type deviation struct {
	Deviations
	provider Provider // empty: all
}

func deviationOptions() []string {
	return []string{
		"provider", "refuses", "takes", "ignores", "range.NAME", "no_stop_arrays", "refuses_roles", "takes_roles",
		"media", "media_types", "model", "errors", "placeholders", "no_done", "stream_usage", "figures",
	}
}

// set gives a field its value.
func (d *deviation) set(name, value string, valued bool) (err error) {
	switch flag := name == "no_done" || name == "no_stop_arrays" || name == "placeholders"; {
	case flag && valued:
		return errors.New("has no value")
	case !flag && !valued && slices.Contains(deviationOptions(), name):
		return errors.New("has no value, write name=value")
	}
	if field, ok := strings.CutPrefix(name, "range."); ok {
		return d.setRange(field, value)
	}
	switch name {
	case "provider":
		d.provider, err = named(value, Providers())
	case "refuses":
		d.Refuses, err = nameList(value)
	case "takes":
		d.Takes, err = nameList(value)
	case "ignores":
		d.Ignores, err = nameList(value)
	case "no_stop_arrays":
		d.NoStopArrays = true
	case "refuses_roles":
		d.RefusesRoles, err = nameList(value)
	case "takes_roles":
		d.TakesRoles, err = nameList(value)
	case "media":
		d.Media, err = named(value, []Media{MediaNone, MediaData, MediaWeb})
	case "media_types":
		d.MediaTypes, err = mediaTypeList(value)
	case "model":
		d.Model, err = nonEmpty(value)
	case "errors":
		d.Errors, err = named(value, []ErrorShape{ErrorOpenAI, ErrorMessage, ErrorText, ErrorHTML})
	case "placeholders":
		d.Placeholders = true
	case "no_done":
		d.NoDone = true
	case "stream_usage":
		d.StreamUsage, err = named(value, []StreamUsage{UsageNever, UsageAlways, UsageEveryChunk})
	case "figures":
		d.Figures, err = named(value, []Figures{FiguresAbsent, FiguresTotalOff, FiguresTwins, FiguresReasoningApart})
	default:
		err = fmt.Errorf("is unknown; there are %s", strings.Join(deviationOptions(), ", "))
	}
	return err
}

func (d *deviation) setRange(field, value string) error {
	low, high, _ := strings.Cut(value, "..")
	least, bad1 := strconv.ParseFloat(low, 64)
	most, bad2 := strconv.ParseFloat(high, 64)
	finite := math.Abs(least) <= math.MaxFloat64 && math.Abs(most) <= math.MaxFloat64 // no NaN is
	if bad1 != nil || bad2 != nil || !finite || least > most {
		return fmt.Errorf("must be two numbers such as 0..1, the lower first, got %q", value)
	}
	if d.Ranges == nil {
		d.Ranges = map[string][2]float64{}
	}
	d.Ranges[field] = [2]float64{least, most}
	return nil
}

// nameList reads names with + between them.
func nameList(value string) ([]string, error) {
	return plusList(value, func(name string) error {
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return fmt.Errorf("must be names with + between them, such as seed+top_k, got %q", value)
		}
		return nil
	})
}

// mediaTypeList reads media types with + between them; one that has a + itself
// cannot be written.
func mediaTypeList(value string) ([]string, error) {
	return plusList(value, func(name string) error {
		kind, rest, _ := strings.Cut(name, "/")
		known := slices.Contains([]string{"image", "audio", "video"}, kind)
		if !known || rest == "" || strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
			return fmt.Errorf("must be media types with + between them, such as image/png+audio/wav, got %q", value)
		}
		return nil
	})
}

func plusList(value string, check func(name string) error) ([]string, error) {
	names := strings.Split(value, "+")
	for i, name := range names {
		if err := check(name); err != nil {
			return nil, err
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("names %q twice", name)
		}
	}
	return names, nil
}
