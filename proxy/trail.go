package proxy

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"tollgate/proxy/scan"
	"tollgate/upstream"
	"tollgate/usage"
)

// trail is what was decided on a request's way, until it goes into its record.
type trail struct {
	attempts []tried
	one      [1]tried // most requests need no more
	passed   []upstream.Passed
}

// tried is one attempt that was decided.
type tried struct {
	candidate *upstream.Candidate
	outcome   upstream.Outcome
	status    int16
	began     time.Duration // after the request was accepted
	took      time.Duration
	dropped   []string
	adapted   []string
}

// add notes an attempt that was decided.
func (t *trail) add(s *serving, o upstream.Outcome, accepted time.Time) {
	if t.attempts == nil {
		t.attempts = t.one[:0]
	}
	t.attempts = append(t.attempts, tried{
		candidate: s.attempt.Candidate,
		outcome:   o,
		status:    int16(s.status()), //nolint:gosec // three digits
		began:     max(0, s.began.Sub(accepted)),
		took:      since(s.began),
		dropped:   s.dropped,
		adapted:   s.adapted,
	})
}

// mostDropped is how many dropped fields are named, here and in x-tollgate-dropped.
const mostDropped = 16

// plainWords are names of the client's that can be shown.
func plainWords(names []string) []string {
	var words []string
	for i, name := range names {
		if i == mostDropped {
			return append(words, "...")
		}
		words = append(words, plainWord(name))
	}
	return words
}

// keptNames are the names of dropped fields as a record may keep them: those that
// clients are known to use. Any other may be anything, a piece of a prompt or a secret.
func keptNames(names []string) []string {
	var kept []string
	for _, name := range plainWords(names) {
		kept = noted(kept, keptName(name))
	}
	return kept
}

func keptName(name string) string {
	for _, path := range [...]string{"messages.content.image_url", "messages.content", "messages.tool_calls", "messages", "tools.function", "tools", "stream_options"} {
		if rest, nested := strings.CutPrefix(name, path+"."); nested {
			return path + "." + commonField(rest)
		}
	}
	return commonField(name)
}

// commonField is the name of a field that clients of OpenAI's API and of those
// like it are known to send; "(other)" for any other.
func commonField(name string) string {
	if _, known := upstream.ParamByName(name); known {
		return name
	}
	switch name {
	case "annotations", "audio", "cache_control", "detail", "extra_content", "function_call", "include_obfuscation", "index", "metadata",
		"modalities", "name", "parallel_tool_calls", "prediction", "prompt_cache_key", "prompt_cache_retention", "reasoning",
		"reasoning_content", "refusal", "safety_identifier", "service_tier", "store", "strict", "thought_signature", "tool_call_id",
		"tool_calls", "user", "verbosity", "(unprintable)", "...":
		return name
	}
	return "(other)"
}

// What is kept of a trail, in bytes. Attempts are few: all are kept, their words as long as there is
// room, and of those who were passed over as many as there is room for.
const (
	wordBytes  = 2 << 10
	trailBytes = 7 << 10
)

// encode is the trail as it is kept in a record, a Trail in JSON; empty when
// nobody was asked. What the record says itself, of the attempt that it is about, is
// left out: most trails are short then. See CompleteTrail.
func (t *trail) encode(r *usage.Record) usage.JSON {
	if len(t.attempts) == 0 {
		return ""
	}
	var buf [512]byte
	b := append(buf[:0], `{"attempts":[`...)
	for i := range t.attempts {
		if i > 0 {
			b = append(b, ',')
		}
		a := &t.attempts[i]
		if c := a.candidate; c.Provider.Name == r.Provider && c.Endpoint.URL == r.Endpoint && c.Model == r.UpstreamModel {
			b = scan.AppendString(append(b, `{"credential":`...), c.Endpoint.Credential)
		} else {
			b = appendCandidate(b, c)
		}
		b = a.append(b)
	}
	b = append(b, ']')
	named := 0
	for named < len(t.passed) && len(b) < trailBytes {
		b = append(b, separator(named, `,"excluded":[`)...)
		b = appendPassed(b, t.passed[named])
		named++
	}
	if named > 0 {
		b = append(b, ']')
	}
	if more := len(t.passed) - named; more > 0 {
		b = appendInteger(b, "more_excluded", int64(more))
	}
	return usage.JSON(append(b, '}'))
}

// CompleteTrail is a record's trail with what was left out of it, because the record
// says it. One that is not a Trail is returned as it is.
func CompleteTrail(r usage.Record) usage.JSON {
	var t Trail
	if r.Trail == "" || json.Unmarshal([]byte(r.Trail), &t) != nil {
		return r.Trail
	}
	whole := true
	for i := range t.Attempts {
		if a := &t.Attempts[i]; a.Provider == "" {
			a.Provider, a.URL, a.Model = r.Provider, r.Endpoint, r.UpstreamModel
			whole = false
		}
	}
	text, err := json.Marshal(t)
	if whole || err != nil {
		return r.Trail
	}
	return usage.JSON(text)
}

// separator comes before the element i of a list.
func separator(i int, opening string) string {
	if i == 0 {
		return opening
	}
	return ","
}

// append appends all but whose attempt it is.
func (a *tried) append(b []byte) []byte {
	b = appendField(b, "outcome", a.outcome.String())
	if a.status != 0 {
		b = appendInteger(b, "status", int64(a.status))
	}
	b = appendInteger(b, "began_ms", a.began.Milliseconds())
	b = appendInteger(b, "took_ms", roundUp(a.took, time.Millisecond))
	if len(b) < wordBytes {
		b = appendWords(b, "dropped", keptNames(a.dropped))
		b = appendWords(b, "adapted", a.adapted)
	}
	return append(b, '}')
}

func appendPassed(b []byte, p upstream.Passed) []byte {
	if p.Candidate != nil {
		b = appendCandidate(b, p.Candidate)
	} else {
		b = append(b, `{"provider":`...)
		b = scan.AppendString(b, p.Provider.Name)
	}
	if p.Param != "" {
		b = appendField(b, "param", p.Param)
	}
	return append(appendField(b, "why", cut(p.Why())), '}')
}

// appendCandidate begins an object with who a candidate is.
func appendCandidate(b []byte, c *upstream.Candidate) []byte {
	b = append(b, `{"provider":`...)
	b = scan.AppendString(b, c.Provider.Name)
	b = appendField(b, "url", cut(c.Endpoint.URL))
	b = appendField(b, "credential", c.Endpoint.Credential)
	return appendField(b, "model", c.Model)
}

// cut shortens what an operator may have made very long.
func cut(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

func appendName(b []byte, name string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

func appendField(b []byte, name, value string) []byte {
	return scan.AppendString(appendName(b, name), value)
}

func appendInteger(b []byte, name string, value int64) []byte {
	return strconv.AppendInt(appendName(b, name), value, 10)
}

// appendWords appends a list, unless it is empty.
func appendWords(b []byte, name string, words []string) []byte {
	if len(words) == 0 {
		return b
	}
	b = append(appendName(b, name), '[')
	for i, word := range words {
		b = append(b, separator(i, "")...)
		b = scan.AppendString(b, word)
	}
	return append(b, ']')
}
