package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"tollgate/upstream"
)

// mostHeard bounds what is read of an answer, in bytes: those asked for here are far shorter.
const mostHeard = 8 << 20

var errTooLong = fmt.Errorf("the answer is longer than %d bytes", mostHeard)

// hear reads what came back.
func (s *session) hear(response *upstream.Response, r request, began time.Time) reply {
	outcome := upstream.OutcomeOfStatus(response.Status)
	if outcome == upstream.OutcomeOK && r.stream {
		return s.hearStream(response, began)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, mostHeard+1))
	switch {
	case err != nil:
		return s.broken(err)
	case len(raw) > mostHeard:
		return reply{status: response.Status, why: fmt.Sprintf("status %d: %s", response.Status, errTooLong)}
	}
	if outcome == upstream.OutcomeOK {
		return s.hearPlain(response, raw)
	}
	got := reply{status: response.Status, retryIn: response.RetryIn, raw: raw, why: s.said(raw)}
	switch {
	case outcome == upstream.OutcomeThrottled:
		got.reception = throttled
	case outcome == upstream.OutcomeRequestRefused, outcome == upstream.OutcomeForbidden && r.forbidden:
		got.reception = refused
	case outcome == upstream.OutcomeCredentialRefused:
		s.stop("it refuses the credential (401): look after the endpoint's api_keys")
	case outcome == upstream.OutcomeForbidden:
		s.stop("it forbids the request (403): the credential may not use this model, or the address is not allowed")
	case outcome == upstream.OutcomeQuota:
		s.stop("it wants to be paid (402): the account's quota is used up")
	default:
		got.why = got.withStatus()
	}
	return got
}

// hearPlain reads a plain answer. An error under status 200 refuses the request as well.
func (s *session) hearPlain(response *upstream.Response, raw []byte) reply {
	var a answer
	switch err := json.Unmarshal(raw, &a); {
	case err != nil:
		return reply{status: response.Status, why: "status 200, but the body is not an answer in JSON"}
	case isObject(a.Error):
		return reply{reception: refused, status: response.Status, raw: raw, why: s.said(raw)}
	case len(a.Choices) == 0:
		return reply{status: response.Status, why: "status 200, but the answer has no choices"}
	}
	a.contentType = response.ContentType
	return reply{reception: accepted, status: response.Status, answer: &a}
}

func (s *session) hearStream(response *upstream.Response, began time.Time) reply {
	st := readStream(response.Body, began)
	st.contentType = response.ContentType
	if st.end != nil && st.events == 0 || errors.Is(st.end, context.DeadlineExceeded) {
		return s.broken(st.end)
	}
	if st.spoke {
		s.firstTokens = append(s.firstTokens, st.firstToken)
	}
	return reply{reception: accepted, status: response.Status, stream: st}
}

// withStatus is what was said, behind the status that it was said with.
func (r reply) withStatus() string {
	status := fmt.Sprintf("status %d", r.status)
	if r.why == "" {
		return status
	}
	return status + ": " + r.why
}

// broken is what came of a request without an answer, or without its end.
func (s *session) broken(err error) reply { return reply{why: s.failure(err), silent: true} }

// failure says what became of a request that had no answer.
func (s *session) failure(err error) string {
	if errors.Is(err, errTooLong) {
		return err.Error()
	}
	switch upstream.OutcomeOfError(err) {
	case upstream.OutcomeTimeout:
		return fmt.Sprintf("no answer within %s", s.options.Timeout)
	case upstream.OutcomeUnreachable, upstream.OutcomeShortage:
		return s.quote(err.Error())
	}
	return "the connection broke"
}
