package usage

import (
	"encoding/json"
	"strconv"
	"time"
)

// The stored form of records and totals is the JSON that encoding/json makes of
// them, and reads. It is appended by hand because that takes a quarter of the time,
// and one goroutine does it for all requests; the tests compare the two byte by byte.

// appendRecord appends a record in its stored form; it must have been checked, which
// gives the trail its form. It fails only for a time that JSON cannot say.
func appendRecord(dst []byte, r *Record) ([]byte, error) {
	dst = appendText(dst, `{"request_id":`, r.RequestID)
	dst = appendText(dst, `,"kind":`, string(r.Kind))
	dst = appendNumber(dst, `,"attempt":`, int64(r.Attempt))
	dst = appendText(dst, `,"tenant":`, r.Tenant)
	dst = appendText(dst, `,"key_id":`, r.KeyID)
	dst = appendText(dst, `,"model":`, r.Model)
	dst = appendText(dst, `,"provider":`, r.Provider)
	dst = appendText(dst, `,"endpoint":`, r.Endpoint)
	dst = appendText(dst, `,"upstream_model":`, r.UpstreamModel)
	dst = strconv.AppendBool(append(dst, `,"stream":`...), r.Stream)
	dst = appendText(dst, `,"end_reason":`, string(r.EndReason))
	dst = appendText(dst, `,"source":`, string(r.Source))
	dst = appendNumber(dst, `,"prompt_tokens":`, r.Prompt)
	dst = appendNumber(dst, `,"cached_tokens":`, r.Cached)
	dst = appendNumber(dst, `,"completion_tokens":`, r.Completion)
	dst = appendNumber(dst, `,"reasoning_tokens":`, r.Reasoning)
	dst = appendNumber(dst, `,"image_tokens":`, r.Image)
	dst = appendNumber(dst, `,"audio_tokens":`, r.Audio)
	if r.Delivered != 0 {
		dst = appendNumber(dst, `,"delivered_tokens":`, r.Delivered)
	}
	if r.MaxCompletion != 0 {
		dst = appendNumber(dst, `,"max_completion_tokens":`, r.MaxCompletion)
	}
	dst = appendNumber(dst, `,"charge_nanousd":`, int64(r.Charge))
	dst = appendNumber(dst, `,"cost_nanousd":`, int64(r.Cost))
	dst = appendText(dst, `,"charge_price":`, r.ChargePrice)
	dst = appendText(dst, `,"cost_price":`, r.CostPrice)
	dst, err := appendTimes(dst, r)
	if err != nil {
		return nil, err
	}
	dst = appendTextIfAny(dst, `,"trace_id":`, r.TraceID)
	dst = appendTextIfAny(dst, `,"upstream_id":`, r.UpstreamID)
	dst = appendTextIfAny(dst, `,"rejected":`, r.Rejected)
	if r.Trail != "" {
		dst = append(append(dst, `,"trail":`...), r.Trail...)
	}
	return append(dst, '}'), nil
}

func appendTimes(dst []byte, r *Record) ([]byte, error) {
	dst, err := appendTime(dst, `,"accepted_at":`, r.AcceptedAt)
	if err == nil && !r.FirstByteAt.IsZero() {
		dst, err = appendTime(dst, `,"first_byte_at":`, r.FirstByteAt)
	}
	if err == nil && !r.EndedAt.IsZero() {
		dst, err = appendTime(dst, `,"ended_at":`, r.EndedAt)
	}
	return dst, err
}

// appendTotals appends totals in their stored form.
func appendTotals(dst []byte, t *totals) []byte {
	dst = appendNumber(dst, `{"requests":`, t.Requests)
	dst = appendNumber(dst, `,"estimated":`, t.Estimated)
	dst = appendNumber(dst, `,"prompt":`, t.Prompt)
	dst = appendNumber(dst, `,"cached":`, t.Cached)
	dst = appendNumber(dst, `,"completion":`, t.Completion)
	dst = appendNumber(dst, `,"reasoning":`, t.Reasoning)
	dst = appendNumber(dst, `,"charge_nanousd":`, t.Charge)
	dst = appendNumber(dst, `,"cost_nanousd":`, t.Cost)
	return append(dst, '}')
}

func appendNumber(dst []byte, name string, value int64) []byte {
	return strconv.AppendInt(append(dst, name...), value, 10)
}

func appendTime(dst []byte, name string, value time.Time) ([]byte, error) {
	dst, err := value.AppendText(append(append(dst, name...), '"'))
	return append(dst, '"'), err
}

func appendTextIfAny(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendText(dst, name, value)
}

// appendText leaves every text that needs more than quotes to encoding/json.
func appendText(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	if isPlain(value) {
		return append(append(append(dst, '"'), value...), '"')
	}
	quoted, _ := json.Marshal(value) // a string is never refused
	return append(dst, quoted...)
}

// isPlain says whether JSON writes a text as it stands, in the manner of encoding/json,
// which also escapes what HTML would read.
func isPlain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}
