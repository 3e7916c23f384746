package probe

import (
	"cmp"
	"encoding/json"
	"strconv"
)

const (
	// usualLimit bounds the completion tokens of a request, for each choice.
	usualLimit = 64
	// roomyLimit bounds those whose effect must be seen, of a model that has used up usualLimit
	// before it had said all: most do that by thinking.
	roomyLimit = 512
	// shortLimit is what the fields that bound completion tokens are tried with: less than the
	// answer to usualMessages takes.
	shortLimit = 16
	// usualPrompt is more prompt tokens than a request without tools and pictures has.
	usualPrompt = 100
	toolPrompt  = 300
	imagePrompt = 2000
)

// usualMessages is a conversation whose answer is known, costs little, and ends by itself
// where a limit is ignored.
const usualMessages = `[{"role":"user","content":"Count from 1 to 20 in digits, separated by spaces. Write nothing else."}]`

// request is one request of the chat completion format. The zero value is the usual one.
type request struct {
	model    string // empty: the candidate's
	messages string // JSON; empty: usualMessages
	// limit is the field that bounds the answer, with its value, in JSON; empty: the usual one.
	limit string
	// seen says that the answer must come to its end, so that an effect can be seen.
	seen bool
	// more are further members in JSON, each with a comma before it.
	more   string
	stream bool

	choices int64 // 0: one
	prompt  int64 // prompt tokens at most; 0: usualPrompt
	// forbidden says that a 403 speaks of the request, not of the credential.
	forbidden bool
}

// body is what is sent.
func (r request) body(s *session) []byte {
	body := []byte(`{"model":` + quoted(cmp.Or(r.model, s.candidate().Model)) + `,"messages":` + cmp.Or(r.messages, usualMessages))
	if r.stream {
		body = append(body, `,"stream":true`...)
	}
	limit := r.limit
	if limit == "" && s.limitField != "" {
		limit = member(s.limitField, s.limitOf(r))
	}
	if limit != "" {
		body = append(body, ","+limit...)
	}
	body = append(body, r.more...)
	return append(body, '}')
}

// limitOf is what bounds each choice of the answer, in tokens.
func (s *session) limitOf(r request) int64 {
	if s.roomy && r.seen {
		return roomyLimit
	}
	return usualLimit
}

// member is a member of a JSON object whose value is a number.
func member(name string, value int64) string {
	return quoted(name) + ":" + strconv.FormatInt(value, 10)
}

func quoted(text string) string {
	quoted, _ := json.Marshal(text) // a string always encodes
	return string(quoted)
}
