package upstream

import (
	"math"
	"strconv"
)

// Range is the range of a number that a contract takes, both ends included. An
// end that is not documented is infinite.
type Range struct {
	Param       Param
	Least, Most float64
	// Whole says that the number has no fraction.
	Whole bool
}

// mostExact is the largest whole number up to which every JSON reader holds all
// of them exactly. A count that has no documented end is taken up to it.
const mostExact = 1 << 53

// takes reports whether the number is in the range. One that is too large for a
// float64 is in none.
func (r Range) takes(v float64) bool {
	switch {
	case v < r.Least, v > r.Most, math.IsInf(v, 0):
		return false
	case !r.Whole:
		return true
	}
	endless := v > mostExact && math.IsInf(r.Most, 1) || v < -mostExact && math.IsInf(r.Least, -1)
	return v == math.Trunc(v) && !endless
}

// String describes the range: "from 0 to 2", "of at least 1", "of at most 4", "".
func (r Range) String() string {
	low, high := r.Least > -mostExact, r.Most < mostExact
	switch {
	case low && high:
		return "from " + shortNumber(r.Least) + " to " + shortNumber(r.Most)
	case low:
		return "of at least " + shortNumber(r.Least)
	case high:
		return "of at most " + shortNumber(r.Most)
	}
	return ""
}

// predicate says in what range the field is taken, and that v is not in it.
func (r Range) predicate(v float64) string {
	field := strconv.Quote(r.Param.String())
	takes := "takes " + field + " "
	switch within := r.String(); {
	case r.Whole && v != math.Trunc(v):
		return takes + "in whole numbers, not " + shortNumber(v)
	case math.Abs(v) > mostExact:
		return "does not take " + field + " of " + shortNumber(v)
	default:
		return takes + within + ", not " + shortNumber(v)
	}
}

// shortNumber is the shortest text that reads as v.
func shortNumber(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// numberParams are the fields whose values are numbers.
func numberParams() ParamSet {
	return Params(ParamMaxTokens, ParamMaxCompletionTokens, ParamTemperature, ParamTopP, ParamTopK, ParamN,
		ParamFrequencyPenalty, ParamPresencePenalty, ParamSeed, ParamTopLogprobs)
}

// wholeParams are those among them that count something.
func wholeParams() ParamSet {
	return Params(ParamMaxTokens, ParamMaxCompletionTokens, ParamTopK, ParamN, ParamSeed, ParamTopLogprobs)
}

// between returns the range of a field. Counts are whole numbers: a part of a
// token or of an answer means nothing, whether the page says so or not.
func between(p Param, least, most float64) Range {
	return Range{p, least, most, wholeParams().Has(p)}
}

// counting returns the range of a count of one or more with no documented end.
func counting(p Param) Range { return between(p, 1, math.Inf(1)) }

// numberRange is the range of a field, infinite where the contract has none.
func (c *Contract) numberRange(p Param) Range {
	for _, r := range c.Ranges {
		if r.Param == p {
			return r
		}
	}
	return Range{p, math.Inf(-1), math.Inf(1), false}
}
