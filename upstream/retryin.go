package upstream

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// longestRetryIn bounds what is read out of an answer's header: a provider that
// asks for years means "not today".
const longestRetryIn = 24 * time.Hour

// retryIn reads how long a provider asks to be left alone, out of the header of
// an answer that came at now. 0 says that it named no time, or one that has
// passed; the result is never negative and never more than longestRetryIn.
//
// The most exact header that can be understood decides, and of several lines of
// it the first one:
//
//   - Retry-After-Ms, which OpenAI's own clients read before anything else;
//   - Retry-After, in seconds or as a date (RFC 9110, section 10.2.3);
//   - X-Ratelimit-Reset, -Reset-Requests and -Reset-Tokens, which OpenAI
//     documents as durations at https://platform.openai.com/docs/guides/rate-limits;
//     others send seconds, or a time in one of the forms of resetIn.
//
// A point in time is compared with the answer's own Date where it has one, so
// that a provider whose clock is wrong is understood nevertheless. Seconds may
// have decimals, although RFC 9110 knows none: providers send them.
func retryIn(h http.Header, now time.Time) time.Duration {
	for _, line := range h["Date"] {
		if date, err := http.ParseTime(line); err == nil {
			now = date
			break
		}
	}
	if wait, ok := firstWait(h["Retry-After-Ms"], now, millisecondsIn); ok {
		return wait
	}
	if wait, ok := firstWait(h["Retry-After"], now, afterIn); ok {
		return wait
	}
	return longestReset(h, now)
}

// longestReset reads how long it takes until the limits that refused the request
// allow one again. Providers report on all their limits in every answer: one
// of which something remains has refused nothing. When none is said to be used
// up, those of which no rest is told are all that can have been meant.
func longestReset(h http.Header, now time.Time) time.Duration {
	var spent, untold time.Duration
	for _, limit := range [...]struct{ reset, remaining string }{
		{"X-Ratelimit-Reset", "X-Ratelimit-Remaining"},
		{"X-Ratelimit-Reset-Requests", "X-Ratelimit-Remaining-Requests"},
		{"X-Ratelimit-Reset-Tokens", "X-Ratelimit-Remaining-Tokens"},
	} {
		wait, ok := firstWait(h[limit.reset], now, resetIn)
		if !ok {
			continue
		}
		switch rest, told := firstNumber(h[limit.remaining]); {
		case !told:
			untold = max(untold, wait)
		case rest == 0:
			spent = max(spent, wait)
		}
	}
	if spent > 0 {
		return spent
	}
	return untold
}

// firstWait is the first of a header's lines that read understands.
func firstWait(lines []string, now time.Time, read func(string, time.Time) (time.Duration, bool)) (time.Duration, bool) {
	for _, line := range lines {
		if wait, ok := read(line, now); ok {
			return wait, true
		}
	}
	return 0, false
}

// firstNumber is the first of a header's lines that is a number.
func firstNumber(lines []string) (float64, bool) {
	for _, line := range lines {
		if n, ok := decimal(line); ok {
			return n, true
		}
	}
	return 0, false
}

// millisecondsIn reads Retry-After-Ms.
func millisecondsIn(text string, _ time.Time) (time.Duration, bool) {
	n, ok := decimal(text)
	return waitOf(n, time.Millisecond), ok
}

// afterIn reads Retry-After.
func afterIn(text string, now time.Time) (time.Duration, bool) {
	if n, ok := decimal(text); ok {
		return waitOf(n, time.Second), true
	}
	date, err := http.ParseTime(text)
	return waitUntil(date, now), err == nil
}

// The numbers from which on a reset is a point in time: fewer seconds are less
// than 32 years of waiting, and as many seconds or milliseconds since 1970 are
// September 2001.
const (
	firstEpochSecond      = 1e9
	firstEpochMillisecond = 1e12
)

// resetIn reads one of the resets: a duration as Go writes them ("6m0s", "20ms"),
// a number of seconds, seconds or milliseconds since 1970, or a time of RFC 3339.
func resetIn(text string, now time.Time) (time.Duration, bool) {
	if n, ok := decimal(text); ok {
		switch since := float64(now.UnixMilli()); {
		case n >= firstEpochMillisecond:
			return waitOf(n-since, time.Millisecond), true
		case n >= firstEpochSecond:
			return waitOf(n*1000-since, time.Millisecond), true
		}
		return waitOf(n, time.Second), true
	}
	if wait, err := time.ParseDuration(text); err == nil {
		return min(wait, longestRetryIn), wait >= 0
	}
	date, err := time.Parse(time.RFC3339, text)
	return waitUntil(date, now), err == nil
}

// decimal reads a number that is written with digits and at most one point. What
// else strconv takes (signs, exponents, hexadecimal, NaN, Inf) is nothing that a
// header could mean; too many digits read as infinity, which waitOf bounds.
func decimal(text string) (float64, bool) {
	if strings.Trim(text, "0123456789.") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil || n > 0
}

// waitOf is so many units from now on, within what retryIn may say.
func waitOf(n float64, unit time.Duration) time.Duration {
	if n >= float64(longestRetryIn/unit) {
		return longestRetryIn
	}
	return max(0, time.Duration(n*float64(unit)))
}

// waitUntil is the time from now until then, within what retryIn may say.
func waitUntil(then, now time.Time) time.Duration {
	return min(max(0, then.Sub(now)), longestRetryIn)
}
