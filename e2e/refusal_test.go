package e2e

import (
	"fmt"
	"hash/crc32"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// TestBadKeys refuses everyone who has no valid key, all in the same words:
// nobody learns which secrets once existed.
func TestBadKeys(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	want := refused{401, "invalid_request_error", "invalid_api_key", ""}
	good := f.issue(t)
	checkSecret(t, good.Secret)
	f.call(t, good.Secret).plain(t.Context(), ask("gemini-flash", "hello")).complete(t)

	var bodies []string
	check := func(name, secret string) {
		t.Helper()
		c := f.call(t, secret)
		bodies = append(bodies, c.plain(t.Context(), ask("gemini-flash", "hello")).refused(t, want).RawJSON())
		c.stream(t.Context(), ask("gemini-flash", "hello")).refused(t, want)
		_, err := c.client.Models.List(t.Context())
		if e := isRefusal(t, err, want); strings.Contains(e.RawJSON(), secret) {
			t.Errorf("%s: the answer repeats the secret", name)
		}
	}
	check("unknown", unknownSecret())
	check("mistyped", good.Secret[:10]+"!"+good.Secret[11:])
	check("cut short", good.Secret[:len(good.Secret)-1])
	check("a provider's", providerKey)
	revoked := f.issue(t)
	f.call(t, revoked.Secret).plain(t.Context(), ask("gemini-flash", "hello")).complete(t)
	f.operate(t, "keys", "revoke", revoked.ID)
	check("revoked", revoked.Secret)
	expired := f.issue(t, "--expires", "1s")
	f.untilExpired(t, expired)
	check("expired", expired.Secret)
	for _, body := range bodies[1:] {
		if body != bodies[0] {
			t.Errorf("two bad keys can be told apart:\n%s\n%s", bodies[0], body)
		}
	}
	f.call(t, good.Secret, option.WithHeaderDel("Authorization")).plain(t.Context(), ask("gemini-flash", "hello")).refused(t, want)
}

// untilExpired asks until the key's time is over: it was issued for moments.
func (f *fleet) untilExpired(t *testing.T, key issued) {
	t.Helper()
	c, ctx := f.call(t, key.Secret), within(t, patience)
	for {
		if _, err := c.client.Models.List(ctx); err != nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal("a key that was issued for a second does not expire")
		}
	}
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// checkSecret holds a secret against its documented form: tg_, 32 characters,
// and the CRC-32 of all that in six more, so that scanners can find it.
func checkSecret(t *testing.T, secret string) {
	t.Helper()
	if len(secret) != 41 || !strings.HasPrefix(secret, "tg_") || secret[35:] != checksum(secret[:35]) {
		t.Errorf("a secret of %d characters that begins with %.3q has not the documented form", len(secret), secret)
	}
}

func checksum(text string) string {
	digits := ""
	for rest := crc32.ChecksumIEEE([]byte(text)); len(digits) < 6; rest /= 62 {
		digits = base62[rest%62:rest%62+1] + digits
	}
	return digits
}

// unknownSecret has the form of a secret and was never issued.
func unknownSecret() string { return unissuedSecret(0) }

// unissuedSecret is one of many such secrets.
func unissuedSecret(number int) string {
	body := fmt.Sprintf("tg_%s%08d", strings.Repeat("Zz", 12), number)
	return body + checksum(body)
}

// TestModelNotFound answers a model that is not configured and one that the key
// may not use with the same bytes: a tenant cannot find out what others have.
func TestModelNotFound(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	c := f.call(t, f.issue(t, "--models", "gemini-2.0-flash").Secret)
	want := refused{404, "invalid_request_error", "model_not_found", "model"}
	notAllowed := c.plain(t.Context(), ask("gemini-2.5-flash-lite", "hello"))
	notConfigured := c.plain(t.Context(), ask("gemini-2.5-flash-life", "hello"))
	notAllowed.refused(t, want)
	notConfigured.refused(t, want)
	if a, b := notAllowed.wire.String(), notConfigured.wire.String(); a != b {
		t.Errorf("not allowed:    %s\nnot configured: %s", a, b)
	}
	if a, b := comparable(notAllowed.header), comparable(notConfigured.header); a != b {
		t.Errorf("not allowed:    %s\nnot configured: %s", a, b)
	}
}

// comparable is a header without what differs between any two answers.
func comparable(h http.Header) string {
	h = h.Clone()
	h.Del("X-Request-Id")
	h.Del("Date")
	var b strings.Builder
	if err := h.Write(&b); err != nil {
		return err.Error()
	}
	return b.String()
}

// TestBadRequests sends what no provider should ever see.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"MAX_REQUEST_BODY": "64KiB"})
	c := f.call(t, f.issue(t).Secret)
	check := func(status int, code, param string, options ...option.RequestOption) {
		t.Helper()
		c.plain(t.Context(), ask("gemini-flash", "hello"), options...).refused(t, refused{status, "invalid_request_error", code, param})
	}
	raw := func(body string) option.RequestOption {
		return option.WithRequestBody("application/json", []byte(body))
	}
	const messages = `"messages":[{"role":"user","content":"hello"}]`
	check(400, "invalid_type", "temperature", option.WithJSONSet("temperature", "hot"))
	check(400, "invalid_type", "stream", option.WithJSONSet("stream", "yes"))
	check(400, "invalid_type", "messages", option.WithJSONSet("messages", "hello"))
	check(400, "missing_field", "messages", raw(`{"model":"gemini-flash"}`))
	check(400, "missing_field", "model", raw(`{`+messages+`}`))
	check(400, "invalid_json", "", raw(`{"model":"gemini-flash",`+messages))
	check(400, "invalid_json", "", raw(`{"model":"gemini-flash",`+messages+`,}`))
	check(400, "duplicate_field", "model", raw(`{"model":"gemini-flash","model":"gemini-2.0-flash",`+messages+`}`))
	check(400, "duplicate_field", "model", raw(`{"model":"gemini-flash","\u006dodel":"gemini-2.0-flash",`+messages+`}`))
	check(400, "unknown_spelling", "model", raw(`{"Model":"gemini-flash",`+messages+`}`))
	check(413, "request_too_large", "", raw(`{"model":"gemini-flash","messages":[{"role":"user","content":"`+strings.Repeat("x", 512<<10)+`"}]}`))
	check(415, "unsupported_encoding", "", option.WithHeader("Content-Encoding", "gzip"))
	check(404, "unknown_path", "", option.WithBaseURL(f.url+"/v2"))
	if asked := f.providers.Truth(); len(asked) != 0 {
		t.Errorf("%d requests were sent upstream, want none: %+v", len(asked), asked[0])
	}
	// The same connection, or another one: the gateway is none the worse for it.
	c.plain(t.Context(), ask("gemini-flash", "hello")).complete(t)
}

// TestRateLimit spends a key's requests: the refusal says when to come back, and
// coming back then works, by hand and by the client's own retries.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	key := f.issue(t, "--requests-per-minute", "60")
	c := f.call(t, key.Secret)
	e := c.untilLimited(t)
	wait, err := strconv.ParseInt(e.Response.Header.Get("Retry-After-Ms"), 10, 64)
	if err != nil || wait < 1 || wait > 1000 {
		t.Fatalf("retry-after-ms is %q, want 1 to 1000: 60 a minute are one a second", e.Response.Header.Get("Retry-After-Ms"))
	}
	if got, want := e.Response.Header.Get("Retry-After"), strconv.Itoa(int(math.Ceil(float64(wait)/1000))); got != want {
		t.Errorf("retry-after is %q beside %d ms, want %s", got, wait, want)
	}
	<-time.After(time.Duration(wait) * time.Millisecond)
	c.plain(t.Context(), ask("gemini-flash", "hello")).complete(t)

	c.untilLimited(t)
	retrying := f.call(t, key.Secret, option.WithMaxRetries(2))
	retrying.plain(t.Context(), ask("gemini-flash", "hello")).complete(t)
	c.untilLimited(t)
	retrying.stream(t.Context(), ask("gemini-flash", "hello")).complete(t)

	// One key's limit is nobody else's.
	f.call(t, f.issue(t).Secret).plain(t.Context(), ask("gemini-flash", "hello")).complete(t)
}

// untilLimited asks until the key's requests are spent, and returns the refusal.
func (c caller) untilLimited(t *testing.T) *openai.Error {
	t.Helper()
	for range 300 {
		if a := c.plain(t.Context(), ask("gemini-flash", "hello")); a.err != nil {
			return a.refused(t, refused{429, "rate_limit_error", "rate_limit_exceeded", ""})
		}
	}
	t.Fatal("300 requests in a row, and no limit")
	return nil
}

// TestEveryAnswerHasItsHeaders looks at answers of all kinds: each has a request
// id of its own, and, where a key was recognised, the state of its limit.
func TestEveryAnswerHasItsHeaders(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	c := f.call(t, f.issue(t, "--requests-per-minute", "100").Secret)
	seen := map[string]bool{}
	check := func(name string, h http.Header, remaining int) {
		t.Helper()
		id := h.Get("X-Request-Id")
		if len(id) != 36 || seen[id] {
			t.Errorf("%s: x-request-id is %q, want a new one", name, id)
		}
		seen[id] = true
		if got := h.Get("X-Ratelimit-Limit-Requests"); got != "100" {
			t.Errorf("%s: x-ratelimit-limit-requests is %q, want 100", name, got)
		}
		// The bucket fills while the test runs: what was spent may be back.
		if got, err := strconv.Atoi(h.Get("X-Ratelimit-Remaining-Requests")); err != nil || got < remaining || got > 100 {
			t.Errorf("%s: x-ratelimit-remaining-requests is %q, want %d or a little more", name, h.Get("X-Ratelimit-Remaining-Requests"), remaining)
		}
		if d, err := time.ParseDuration(h.Get("X-Ratelimit-Reset-Requests")); err != nil || d < 0 || d > time.Minute {
			t.Errorf("%s: x-ratelimit-reset-requests is %q, want a duration within a minute", name, h.Get("X-Ratelimit-Reset-Requests"))
		}
	}
	var tap wiretap
	if _, err := c.client.Models.List(t.Context(), tap.option()); err != nil {
		t.Error(err)
	}
	check("models", tap.header, 100)
	if _, err := c.client.Models.Get(t.Context(), "no-such-model", tap.option()); err == nil {
		t.Error("no-such-model was found")
	}
	check("no such model", tap.header, 100)
	if err := c.client.Get(t.Context(), "usage", nil, nil, tap.option()); err != nil {
		t.Error(err)
	}
	check("usage", tap.header, 99)
	check("a plain answer", c.plain(t.Context(), ask("gemini-flash", "hello")).header, 98)
	check("a stream", c.stream(t.Context(), ask("gemini-flash", "hello")).header, 97)
	check("a model that is not there", c.plain(t.Context(), ask("gpt-5", "hello")).header, 97)
	check("a bad value", c.plain(t.Context(), ask("gemini-flash", "hello"), option.WithJSONSet("temperature", "hot")).header, 97)
	check("a parameter nobody takes", c.plain(t.Context(), ask("gemini-2.0-flash", "hello"), option.WithJSONSet("seed", 1)).header, 97)
	check("a provider that is down", c.plain(t.Context(), ask("fourth", "hello")).header, 96)

	stranger := f.call(t, unknownSecret()).plain(t.Context(), ask("gemini-flash", "hello"))
	if id := stranger.id(); len(id) != 36 || seen[id] {
		t.Errorf("a stranger's x-request-id is %q, want a new one", id)
	}
	if got := stranger.header.Get("X-Ratelimit-Limit-Requests"); got != "" {
		t.Errorf("a stranger is told the limit %q", got)
	}
}
