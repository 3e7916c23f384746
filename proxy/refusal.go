package proxy

import (
	"encoding/json"
	"io"
	"strings"
	"unicode"

	"tollgate/upstream"
)

// refusalError is a provider's refusal of the request itself: no other
// provider would take it either, so the client gets to see it.
type refusalError struct{ failure Failure }

func (e *refusalError) Error() string { return "the provider refused the request: " + e.failure.Code }

// refusal reads a provider's error answer. Its status stays; its type, code
// and param only where they have OpenAI's shape; its message without anything
// that could be a credential. Its headers and its bytes never reach the client.
func (s *serving) refusal() (upstream.Outcome, error) {
	const most = 64 << 10
	body, err := io.ReadAll(io.LimitReader(s.response.Body, most))
	if err == nil && len(body) < most {
		s.ended = true
	}
	var document struct {
		Error struct {
			Message string `json:"message"`
			Type    string `json:"type"`
			Param   any    `json:"param"`
			Code    any    `json:"code"`
		} `json:"error"`
	}
	f := Failure{Status: s.response.Status, Type: typeInvalid, Code: "upstream_refused", Message: "the provider refused the request"}
	if json.Unmarshal(body, &document) == nil {
		if isCode(document.Error.Type) {
			f.Type = document.Error.Type
		}
		if code, ok := document.Error.Code.(string); ok && isCode(code) {
			f.Code = code
		}
		if param, ok := document.Error.Param.(string); ok && isFieldPath(param) {
			f.Param = param
		}
		if message := sanitise(document.Error.Message); message != "" {
			f.Message = message
		}
	}
	if f.Status == 404 && f.Code == "model_not_found" {
		// The provider does not know the name that the model table gives it. That
		// is not the client's doing, and another target may serve the model.
		return upstream.OutcomeModelMissing, errNotAnAnswer
	}
	return upstream.OutcomeRequestRefused, &refusalError{failure: f}
}

// isCode reports whether s looks like one of OpenAI's types and codes, such as
// context_length_exceeded. Nothing else is shown: a provider that echoes a
// credential may do so in any field, and a credential has digits or marks.
func isCode(s string) bool {
	const longest = 48
	if s == "" || len(s) > longest {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == "" && strings.Count(s, "_") < len(s)
}

// isFieldPath reports whether s looks like messages[3].content.
func isFieldPath(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		name, index, indexed := strings.Cut(part, "[")
		if !isCode(name) {
			return false
		}
		digits, closed := strings.CutSuffix(index, "]")
		if indexed && (!closed || digits == "" || len(digits) > 4 || strings.Trim(digits, "0123456789") != "") {
			return false
		}
	}
	return true
}

// sanitise makes a provider's message fit to show: one line, at most 400
// characters, and no word that could be a key. A credential is long and mixes
// letters with digits; so do ids, which a client does not need either.
func sanitise(message string) string {
	const most = 400
	words := strings.FieldsFunc(message, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	for i, word := range words {
		if looksSecret(word) {
			words[i] = "[redacted]"
		}
	}
	clean := []rune(strings.ToValidUTF8(strings.Join(words, " "), "?"))
	if len(clean) > most {
		clean = append(clean[:most], '…')
	}
	return string(clean)
}

// looksSecret reports whether a word holds a run of 16 or more letters, digits
// and joining marks that has both a digit and a letter, or starts like a key.
func looksSecret(word string) bool {
	const shortest = 16
	run, digits, letters := 0, 0, 0
	for _, r := range word {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case unicode.IsLetter(r):
			letters++
		case r == '-' || r == '_' || r == '+' || r == '/' || r == '=' || r == '.' || r == '%': // the last for what is escaped
		default:
			run, digits, letters = 0, 0, 0
			continue
		}
		if run++; run >= shortest && digits > 0 && letters > 0 {
			return !isModelName(word)
		}
	}
	return strings.HasPrefix(strings.Trim(word, punctuation), "sk-") || strings.Contains(word, "://")
}

// punctuation is what may stand around a word.
const punctuation = "\"'`.,:;()[]{}<>="

// isModelName spares the words that refusals are mostly about.
func isModelName(word string) bool {
	word = strings.Trim(word, punctuation)
	return len(word) <= 48 && (strings.HasPrefix(word, "gemini-") || strings.HasPrefix(word, "gpt-"))
}
