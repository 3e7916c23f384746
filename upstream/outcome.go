package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
)

// Outcome says how an attempt ended, as far as choosing upstreams is concerned.
// It is decided at the first valid event or byte of an answer, not at its end.
type Outcome uint8

// The outcomes of an attempt; outcomeRows says what follows from each.
const (
	OutcomeOK                Outcome = iota // a valid answer began
	OutcomeUnreachable                      // no connection: DNS, dial, TLS, refused address
	OutcomeTimeout                          // nothing came within the first-token or answer limit
	OutcomeServerError                      // 5xx
	OutcomeThrottled                        // 429
	OutcomeQuota                            // 402
	OutcomeCredentialRefused                // 401, 403
	OutcomeRequestRefused                   // 400, 404, 413, 422 and every other 4xx: the request itself is at fault
	OutcomeModelMissing                     // the provider does not know its own model's name: the table is at fault, not the request
	OutcomeInvalidAnswer                    // 200 with an error, HTML, invalid JSON or nothing; a redirect; an unknown status
	OutcomeCut                              // the connection broke before anything was forwarded
	OutcomeClientGone                       // the client left
	OutcomeAbandoned                        // Tollgate itself gave up: shutdown
	outcomeCount
)

// effect is what an outcome means to a circuit breaker.
type effect uint8

const (
	effectSuccess  effect = iota // the upstream works
	effectFailure                // the upstream is sick
	effectExcluded               // says nothing about the upstream's health
)

// outcomeRow is one line of the outcome table.
type outcomeRow struct {
	name      string
	effect    effect
	failsOver bool
}

// outcomeRows is the whole policy: what each outcome does to the breaker, and
// whether another candidate may be asked instead. A refused request would be
// refused everywhere, and a departed client needs no answer.
func outcomeRows() [outcomeCount]outcomeRow {
	return [outcomeCount]outcomeRow{
		OutcomeOK:                {"ok", effectSuccess, false},
		OutcomeUnreachable:       {"unreachable", effectFailure, true},
		OutcomeTimeout:           {"timeout", effectFailure, true},
		OutcomeServerError:       {"server_error", effectFailure, true},
		OutcomeThrottled:         {"throttled", effectExcluded, true},
		OutcomeQuota:             {"quota", effectExcluded, true},
		OutcomeCredentialRefused: {"credential_refused", effectExcluded, true},
		OutcomeRequestRefused:    {"request_refused", effectSuccess, false},
		OutcomeModelMissing:      {"model_missing", effectExcluded, true},
		OutcomeInvalidAnswer:     {"invalid_answer", effectFailure, true},
		OutcomeCut:               {"cut", effectFailure, true},
		OutcomeClientGone:        {"client_gone", effectExcluded, false},
		OutcomeAbandoned:         {"abandoned", effectExcluded, false},
	}
}

// row returns o's line of the table. A value that is no Outcome reads as
// abandoned, which harms nobody.
func (o Outcome) row() outcomeRow {
	if o >= outcomeCount {
		o = OutcomeAbandoned
	}
	return outcomeRows()[o]
}

// FailsOver reports whether another candidate may be asked, as long as nothing
// was forwarded to the client.
func (o Outcome) FailsOver() bool { return o.row().failsOver }

// String returns the outcome's name in logs and metrics.
func (o Outcome) String() string { return o.row().name }

// OutcomeOfStatus classifies a provider's status code. Only 200 is an answer:
// no provider documents another success, and redirects are never followed. The
// caller still has to look into the body of a 200.
func OutcomeOfStatus(code int) Outcome {
	switch code {
	case http.StatusOK:
		return OutcomeOK
	case http.StatusUnauthorized, http.StatusForbidden:
		return OutcomeCredentialRefused
	case http.StatusPaymentRequired:
		return OutcomeQuota
	case http.StatusTooManyRequests:
		return OutcomeThrottled
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly:
		return OutcomeServerError // the provider's own trouble, said with a 4xx
	}
	switch code / 100 {
	case 4:
		return OutcomeRequestRefused
	case 5:
		return OutcomeServerError
	}
	return OutcomeInvalidAnswer
}

// OutcomeOfError classifies an error of Transport.Do or of reading its answer.
// A cancelled context reads as a departed client; a caller that cancelled for a
// reason of its own (its timer fired, it shuts down) knows better and reports
// that instead.
func OutcomeOfError(err error) Outcome {
	if err == nil {
		return OutcomeOK
	}
	if errors.Is(err, context.Canceled) {
		return OutcomeClientGone
	}
	var connect *ConnectError
	if errors.As(err, &connect) {
		return OutcomeUnreachable
	}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return OutcomeTimeout
	}
	return OutcomeCut
}
