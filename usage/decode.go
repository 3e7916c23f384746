package usage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// decodeRecord reads a record in its stored form, and any JSON of one: as
// encoding/json does, but the form that appendRecord writes in a fifth of the time.
// The texts of the record share one copy of the payload.
func decodeRecord(payload []byte) (Record, error) {
	var r Record
	s := scanner{rest: string(payload)}
	if s.record(&r) {
		return r, nil
	}
	r = Record{}
	if err := json.Unmarshal(payload, &r); err != nil {
		return Record{}, fmt.Errorf("it is not a usage record: %w", err)
	}
	return r, nil
}

// requestID reads no more of a record than its request id; empty: it is no record.
func requestID(payload []byte) string {
	if rest, ok := bytes.CutPrefix(payload, []byte(`{"request_id":"`)); ok {
		if end := bytes.IndexByte(rest, '"'); end >= 0 && isPlain(string(rest[:end])) {
			return string(rest[:end])
		}
	}
	r, err := decodeRecord(payload)
	if err != nil {
		return ""
	}
	return strings.Clone(r.RequestID)
}

// scanner reads the exact form that appendRecord writes. What differs from it is left
// to encoding/json: failed says so.
type scanner struct {
	rest   string
	failed bool
}

// record reports whether all of it was read.
func (s *scanner) record(r *Record) bool {
	r.RequestID = s.text(`{"request_id":`)
	r.Kind = Kind(s.text(`,"kind":`))
	r.Attempt = int(s.number(`,"attempt":`))
	r.Tenant = s.text(`,"tenant":`)
	r.KeyID = s.text(`,"key_id":`)
	r.Model = s.text(`,"model":`)
	r.Provider = s.text(`,"provider":`)
	r.Endpoint = s.text(`,"endpoint":`)
	r.UpstreamModel = s.text(`,"upstream_model":`)
	r.Stream = s.truth(`,"stream":`)
	r.EndReason = EndReason(s.text(`,"end_reason":`))
	r.Source = Source(s.text(`,"source":`))
	r.Prompt = s.number(`,"prompt_tokens":`)
	r.Cached = s.number(`,"cached_tokens":`)
	r.Completion = s.number(`,"completion_tokens":`)
	r.Reasoning = s.number(`,"reasoning_tokens":`)
	r.Image = s.number(`,"image_tokens":`)
	r.Audio = s.number(`,"audio_tokens":`)
	if s.follows(`,"delivered_tokens":`) {
		r.Delivered = s.number("")
	}
	if s.follows(`,"max_completion_tokens":`) {
		r.MaxCompletion = s.number("")
	}
	r.Charge = NanoUSD(s.number(`,"charge_nanousd":`))
	r.Cost = NanoUSD(s.number(`,"cost_nanousd":`))
	r.ChargePrice = s.text(`,"charge_price":`)
	r.CostPrice = s.text(`,"cost_price":`)
	r.AcceptedAt = s.moment(`,"accepted_at":`)
	s.remarks(r)
	return !s.failed && s.rest == "}"
}

// remarks reads what not every record has.
func (s *scanner) remarks(r *Record) {
	if s.follows(`,"first_byte_at":`) {
		r.FirstByteAt = s.moment("")
	}
	if s.follows(`,"ended_at":`) {
		r.EndedAt = s.moment("")
	}
	if s.follows(`,"trace_id":`) {
		r.TraceID = s.text("")
	}
	if s.follows(`,"upstream_id":`) {
		r.UpstreamID = s.text("")
	}
	if s.follows(`,"rejected":`) {
		r.Rejected = s.text("")
	}
	if s.follows(`,"trail":`) {
		r.Trail = s.object()
	}
}

// follows reads a name, if it is the next thing.
func (s *scanner) follows(name string) bool {
	rest, ok := strings.CutPrefix(s.rest, name)
	if ok {
		s.rest = rest
	}
	return ok
}

// expect reads a name that must be the next thing.
func (s *scanner) expect(name string) {
	if !s.follows(name) {
		s.failed = true
	}
}

// literal reads a string with its quotes, and says whether it stands for itself.
func (s *scanner) literal(name string) (quoted string, plain bool) {
	s.expect(name)
	if s.failed || s.rest == "" || s.rest[0] != '"' {
		s.failed = true
		return "", false
	}
	plain = true
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			quoted, s.rest = s.rest[:i+1], s.rest[i+1:]
			return quoted, plain
		case c == '\\':
			plain = false
			i++
		case c < ' ' || c > '~':
			plain = false
		}
	}
	s.failed = true
	return "", false
}

func (s *scanner) text(name string) string {
	quoted, plain := s.literal(name)
	if s.failed {
		return ""
	}
	if plain {
		return quoted[1 : len(quoted)-1]
	}
	var text string
	s.failed = json.Unmarshal([]byte(quoted), &text) != nil
	return text
}

func (s *scanner) moment(name string) (t time.Time) {
	quoted, _ := s.literal(name)
	s.failed = s.failed || t.UnmarshalJSON([]byte(quoted)) != nil
	return t
}

func (s *scanner) number(name string) int64 {
	s.expect(name)
	end := 0
	for end < len(s.rest) && (s.rest[end] == '-' || s.rest[end] >= '0' && s.rest[end] <= '9') {
		end++
	}
	digits := strings.TrimPrefix(s.rest[:end], "-")
	n, err := strconv.ParseInt(s.rest[:end], 10, 64)
	if err != nil || len(digits) > 1 && digits[0] == '0' { // JSON knows no leading zeros
		s.failed = true
	}
	s.rest = s.rest[end:]
	return n
}

func (s *scanner) truth(name string) bool {
	s.expect(name)
	yes := s.follows("true")
	if !yes {
		s.expect("false")
	}
	return yes
}

// object reads the trail, which is the last thing.
func (s *scanner) object() JSON {
	text, closed := strings.CutSuffix(s.rest, "}")
	if !closed || len(text) > maxTrail || !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") || !json.Valid([]byte(text)) {
		s.failed = true
		return ""
	}
	s.rest = "}"
	return JSON(text)
}
