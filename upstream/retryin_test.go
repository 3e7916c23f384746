package upstream

import (
	"bufio"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"
)

// headerOf is a header written as it travels.
func headerOf(text string) (http.Header, error) {
	h, err := textproto.NewReader(bufio.NewReader(strings.NewReader(text + "\n\n"))).ReadMIMEHeader()
	return http.Header(h), err
}

func TestRetryIn(t *testing.T) {
	now := time.Date(2026, 10, 21, 7, 28, 0, 500_000_000, time.UTC) // 1792567680.5
	f := func(header, want string) {
		t.Helper()
		h, err := headerOf(header)
		if err != nil {
			t.Fatal(err)
		}
		if got := retryIn(h, now).String(); got != want {
			t.Errorf("%s\nreads as %s, want %s", header, got, want)
		}
	}
	f("Content-Type: application/json", "0s")

	// Retry-After in seconds.
	f("Retry-After: 7", "7s")
	f("retry-after: 0", "0s")
	f("Retry-After: 0.25", "250ms")
	f("Retry-After: .5", "500ms")
	f("Retry-After: 3600", "1h0m0s")
	f("Retry-After: 86401", "24h0m0s")
	f("Retry-After: 31536000", "24h0m0s")
	f("Retry-After: 99999999999999999999999", "24h0m0s")
	f("Retry-After: "+strings.Repeat("9", 400), "24h0m0s")
	f("Retry-After: 0."+strings.Repeat("0", 400)+"1", "0s")
	for _, nonsense := range []string{"", "-1", "+1", "1e3", "1E3", "0x10", "1_000", "NaN", "nan", "Inf", "+Inf", "Infinity", "-Inf", "1.2.3", ".", "5s", "soon", "1,5", "٣", "5, 6"} {
		f("Retry-After: "+nonsense, "0s")
		f("Retry-After-Ms: "+nonsense, "0s")
	}

	// Retry-After as a date, of which HTTP has three forms.
	f("Retry-After: Wed, 21 Oct 2026 07:28:30 GMT", "29.5s")
	f("Retry-After: Wednesday, 21-Oct-26 07:28:30 GMT", "29.5s")
	f("Retry-After: Wed Oct 21 07:28:30 2026", "29.5s")
	f("Retry-After: Wed, 21 Oct 2026 07:28:00 GMT", "0s")
	f("Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", "24h0m0s")
	f("Retry-After: Mon, 01 Jan 0001 00:00:00 GMT", "0s")
	f("Retry-After: Wed, 21 Oct 2026 25:28:30 GMT", "0s")
	f("Retry-After: 2026-10-21T07:28:30Z", "0s")
	// The provider's own clock counts, as long as it tells a time.
	f("Retry-After: Wed, 21 Oct 2026 07:28:30 GMT\nDate: Wed, 21 Oct 2026 07:28:10 GMT", "20s")
	f("Retry-After: Thu, 01 Jan 1970 00:00:30 GMT\nDate: Thu, 01 Jan 1970 00:00:10 GMT", "20s")
	f("Retry-After: Wed, 21 Oct 2026 07:28:30 GMT\nDate: yesterday", "29.5s")
	f("Retry-After: Wed, 21 Oct 2026 07:28:30 GMT\nDate: yesterday\nDate: Wed, 21 Oct 2026 07:28:25 GMT", "5s")
	f("Retry-After: Wed, 21 Oct 2026 07:28:30 GMT\nDate: Fri, 31 Dec 9999 23:59:59 GMT", "0s")
	f("Retry-After: 7\nDate: Wed, 21 Oct 2020 07:28:25 GMT", "7s")

	// Retry-After-Ms.
	f("retry-after-ms: 1500", "1.5s")
	f("Retry-After-Ms: 0.5", "500µs")
	f("Retry-After-Ms: 99999999999999", "24h0m0s")
	f("Retry-After-Ms: Wed, 21 Oct 2026 07:28:30 GMT", "0s")

	// The resets, in all their forms.
	f("x-ratelimit-reset: 1s", "1s")
	f("X-Ratelimit-Reset: 6m0s", "6m0s")
	f("X-Ratelimit-Reset: 20ms", "20ms")
	f("X-Ratelimit-Reset: 1h2m", "1h2m0s")
	f("X-Ratelimit-Reset: 2m59.56s", "2m59.56s")
	f("X-Ratelimit-Reset: -1s", "0s")
	f("X-Ratelimit-Reset: 87600h", "24h0m0s")
	f("X-Ratelimit-Reset: 12", "12s")
	f("X-Ratelimit-Reset: 0.5", "500ms")
	f("X-Ratelimit-Reset: 999999999", "24h0m0s")
	f("X-Ratelimit-Reset: 1792567682", "1.5s")
	f("X-Ratelimit-Reset: 1792567682.25", "1.75s")
	f("X-Ratelimit-Reset: 1792567000", "0s")
	f("X-Ratelimit-Reset: 1792567682250", "1.75s")
	f("X-Ratelimit-Reset: 1792567000000", "0s")
	f("X-Ratelimit-Reset: 1792567682250000", "24h0m0s")
	f("X-Ratelimit-Reset: "+strings.Repeat("9", 400), "24h0m0s")
	f("X-Ratelimit-Reset: 2026-10-21T07:28:02Z", "1.5s")
	f("X-Ratelimit-Reset: 2026-10-21T09:28:02.25+02:00", "1.75s")
	f("X-Ratelimit-Reset: 9999-12-31T23:59:59Z", "24h0m0s")
	f("X-Ratelimit-Reset: 2026-10-21T07:28:00Z", "0s")
	f("X-Ratelimit-Reset: 1792567682\nDate: Wed, 21 Oct 2026 07:27:52 GMT", "10s")
	f("X-Ratelimit-Reset: 2026-10-21T07:28:02Z\nDate: Wed, 21 Oct 2026 07:27:52 GMT", "10s")
	f("X-Ratelimit-Reset: 1792567682\nDate: Fri, 31 Dec 9999 23:59:59 GMT", "0s")
	f("X-Ratelimit-Reset-Requests: 1s", "1s")
	f("X-Ratelimit-Reset-Tokens: 6m0s", "6m0s")
	for _, nonsense := range []string{"", "-5", "NaN", "Inf", "1e3", "99999999999h", "later", "2026-10-21", "Wed, 21 Oct 2026 07:28:30 GMT"} {
		f("X-Ratelimit-Reset: "+nonsense, "0s")
	}

	// Which of the resets: what is used up, or else what no rest is told of.
	f("X-Ratelimit-Reset-Requests: 1s\nX-Ratelimit-Reset-Tokens: 6m0s", "6m0s")
	f("X-Ratelimit-Reset: 2s\nX-Ratelimit-Reset-Requests: 3s\nX-Ratelimit-Reset-Tokens: 1s", "3s")
	f("X-Ratelimit-Reset-Requests: 1s\nX-Ratelimit-Remaining-Requests: 0\nX-Ratelimit-Reset-Tokens: 6m0s", "1s")
	f("X-Ratelimit-Reset-Requests: 1s\nX-Ratelimit-Remaining-Requests: 0\nX-Ratelimit-Reset-Tokens: 6m0s\nX-Ratelimit-Remaining-Tokens: 149984", "1s")
	f("X-Ratelimit-Reset-Requests: 1s\nX-Ratelimit-Remaining-Requests: 0\nX-Ratelimit-Reset-Tokens: 6m0s\nX-Ratelimit-Remaining-Tokens: 0", "6m0s")
	f("X-Ratelimit-Reset-Requests: 6m0s\nX-Ratelimit-Remaining-Requests: 0\nX-Ratelimit-Reset-Tokens: 1s\nX-Ratelimit-Remaining-Tokens: 0", "6m0s")
	f("X-Ratelimit-Reset-Requests: 1s\nX-Ratelimit-Remaining-Requests: 59\nX-Ratelimit-Reset-Tokens: 6m0s\nX-Ratelimit-Remaining-Tokens: 149984", "0s")
	f("X-Ratelimit-Reset-Requests: 1s\nX-Ratelimit-Reset-Tokens: 6m0s\nX-Ratelimit-Remaining-Tokens: 149984", "1s")
	f("X-Ratelimit-Reset: 9s\nX-Ratelimit-Remaining: 3", "0s")
	f("X-Ratelimit-Reset: 9s\nX-Ratelimit-Remaining: 0", "9s")
	f("X-Ratelimit-Reset: 9s\nX-Ratelimit-Remaining: many", "9s")
	f("X-Ratelimit-Reset: 9s\nX-Ratelimit-Remaining: many\nX-Ratelimit-Remaining: 3", "0s")
	f("X-Ratelimit-Reset-Requests: never\nX-Ratelimit-Remaining-Requests: 0\nX-Ratelimit-Reset-Tokens: 4s", "4s")

	// Which header, and which of its lines.
	f("X-Ratelimit-Reset: 9s\nRetry-After: 7\nRetry-After-Ms: 6500", "6.5s")
	f("X-Ratelimit-Reset: 9s\nRetry-After: 7", "7s")
	f("X-Ratelimit-Reset: 9s\nRetry-After: 0", "0s")
	f("X-Ratelimit-Reset: 9s\nRetry-After: 7\nRetry-After-Ms: soon", "7s")
	f("X-Ratelimit-Reset: 9s\nRetry-After: soon", "9s")
	f("Retry-After: soon\nRetry-After: 3\nRetry-After: 5", "3s")
	f("Retry-After-Ms: -1\nRetry-After-Ms: 3\nRetry-After-Ms: 5", "3ms")
	f("X-Ratelimit-Reset: later\nX-Ratelimit-Reset: 3s\nX-Ratelimit-Reset: 5s", "3s")
}

// FuzzRetryIn reads whatever headers there are: what comes out is a time that can
// be waited for, and the header stays as it was.
func FuzzRetryIn(f *testing.F) {
	for _, seed := range []string{
		"Retry-After: 7\nDate: Wed, 21 Oct 2026 07:28:10 GMT",
		"Retry-After: Wed, 21 Oct 2026 07:28:30 GMT",
		"Retry-After-Ms: 1500.5\nRetry-After-Ms: NaN",
		"X-Ratelimit-Reset: 1792567682250\nX-Ratelimit-Remaining: 0",
		"X-Ratelimit-Reset-Requests: 6m0s\nX-Ratelimit-Remaining-Requests: 1\nX-Ratelimit-Reset-Tokens: 2026-10-21T07:28:02Z",
		"X-Ratelimit-Reset: 1e308\nRetry-After: Inf\nDate: 0",
	} {
		f.Add(seed)
	}
	now := time.Date(2026, 10, 21, 7, 28, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		h, err := headerOf(text)
		if err != nil {
			return
		}
		before := h.Clone()
		if wait := retryIn(h, now); wait < 0 || wait > longestRetryIn {
			t.Errorf("%q reads as %s", text, wait)
		}
		if !maps.EqualFunc(before, h, slices.Equal[[]string]) {
			t.Errorf("%q became %q", before, h)
		}
		h["Retry-After-Ms"] = []string{"1500"}
		if wait := retryIn(h, now); wait != 1500*time.Millisecond {
			t.Errorf("%q with 1500 milliseconds reads as %s", text, wait)
		}
	})
}
