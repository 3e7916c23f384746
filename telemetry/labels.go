package telemetry

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// clean makes text from outside fit for a span or a label: valid UTF-8 without
// control characters, of at most limit bytes. One invalid byte would make the
// exporter drop the whole batch.
func clean(text string, limit int) string {
	if isClean(text) && len(text) <= limit {
		return text
	}
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
	for len(text) > limit {
		_, size := utf8.DecodeLastRuneInString(text[:min(len(text), limit+utf8.UTFMax)])
		text = text[:min(len(text), limit+utf8.UTFMax)-size]
	}
	return text
}

func isClean(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// printable returns a provider's identifier when it is one: at most limit
// printable ASCII characters. Anything else might be text of an answer.
func printable(id string, limit int) string {
	if len(id) > limit || !isClean(id) {
		return ""
	}
	return id
}

// knownMethod keeps the methods that HTTP names.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodHead, http.MethodPut, http.MethodDelete,
		http.MethodOptions, http.MethodPatch, http.MethodConnect, http.MethodTrace:
		return method
	}
	return otherValue
}

// knownRoute keeps the routes that Tollgate serves.
func knownRoute(route string) string {
	switch route {
	case "/v1/chat/completions", "/v1/models", "/v1/models/{id}", "/v1/usage":
		return route
	}
	return otherRoute
}

// knownStatus keeps the registered status codes. Others read as the first of
// their class; what is no status at all reads as 0. A provider may send any number.
func knownStatus(status int) int {
	switch {
	case http.StatusText(status) != "":
		return status
	case status >= 100 && status <= 599:
		return status / 100 * 100
	}
	return 0
}

// failedStatus is a 5xx as an error.type.
func failedStatus(status int) string {
	if status = knownStatus(status); status != 0 {
		return strconv.Itoa(status)
	}
	return otherValue
}

// vocabulary bounds the values of a label that come from configuration: the
// first that are seen are kept, later ones read as _OTHER.
type vocabulary struct {
	bound

	mu    sync.Mutex
	words map[string]struct{}
}

func newVocabulary(b bound) *vocabulary {
	return &vocabulary{bound: b, words: make(map[string]struct{})}
}

// admit returns the word, or _OTHER when there are too many. An empty word stays empty.
func (v *vocabulary) admit(word string) string {
	const longest = 128
	if word == "" {
		return ""
	}
	word = clean(word, longest)
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, known := v.words[word]; known {
		return word
	}
	if len(v.words) >= v.limit {
		v.full()
		return otherValue
	}
	v.words[word] = struct{}{}
	return word
}
