package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
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
	OutcomeCredentialRefused                // 401
	OutcomeForbidden                        // 403: the credential, or what was asked with it
	OutcomeRequestRefused                   // 400, 404, 413, 422 and every other 4xx: the request itself is at fault
	OutcomeModelMissing                     // the provider does not know its own model's name: the table is at fault, not the request
	OutcomeInvalidAnswer                    // 200 with an error, HTML, invalid JSON or nothing; a redirect; an unknown status
	OutcomeCut                              // the connection broke before anything was forwarded
	OutcomeShortage                         // no connection: this machine has no descriptor, port or memory left
	OutcomeOutOfTime                        // the request's own time is over, whoever has taken it
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

// rest is who is left alone for a while after an outcome, beside the breakers.
type rest uint8

const (
	restNone       rest = iota
	restEndpoint        // this endpoint, for this model, until it may be asked again
	restCredential      // the credential, for every model, until it may be asked again
	restQuarantine      // the credential, until somebody has looked after it
	restTenant          // the credential, for what this tenant asks
)

// Cost is what is assumed of a failed attempt's price. It is the operator's, and
// never a tenant's.
type Cost uint8

// The assumptions about what an attempt costs.
const (
	CostNone     Cost = iota // it was not sent, or refused
	CostUnknown              // the provider may have worked on it
	CostReported             // the answer says so
)

// String returns the assumption's name in logs.
func (c Cost) String() string { return [...]string{"none", "unknown", "reported"}[c] }

// next says what the request does that was attempted.
type next uint8

const (
	goesBack  next = iota // the client is told
	failsOver             // another candidate may be asked
)

// outcomeRow is one line of the outcome table.
type outcomeRow struct {
	name    string
	breaker effect // of the endpoint for this model
	address effect // of the breaker that all of its address share
	rest    rest
	next    next
	cost    Cost
}

// outcomeRows is the whole policy: what each outcome does to the breaker of its
// endpoint and model and to that of its address, who is left alone besides,
// whether another candidate may be asked, and what the attempt may have cost.
//
// A refused request would be refused everywhere, and a departed client needs no
// answer. An address is sick when it cannot be reached or answers 5xx, and well
// when it gives any other answer; that an answer is slow or senseless says
// something of the model behind it. Whoever throttles or refuses a credential is
// not sick.
func outcomeRows() [outcomeCount]outcomeRow {
	const ok, bad, no = effectSuccess, effectFailure, effectExcluded
	return [outcomeCount]outcomeRow{
		OutcomeOK:                {"ok", ok, ok, restNone, goesBack, CostReported},
		OutcomeUnreachable:       {"unreachable", bad, bad, restNone, failsOver, CostNone},
		OutcomeTimeout:           {"timeout", bad, no, restNone, failsOver, CostUnknown},
		OutcomeServerError:       {"server_error", bad, bad, restNone, failsOver, CostNone},
		OutcomeThrottled:         {"throttled", no, ok, restEndpoint, failsOver, CostNone},
		OutcomeQuota:             {"quota", no, ok, restCredential, failsOver, CostNone},
		OutcomeCredentialRefused: {"credential_refused", no, ok, restQuarantine, failsOver, CostNone},
		OutcomeForbidden:         {"forbidden", no, ok, restTenant, failsOver, CostNone},
		OutcomeRequestRefused:    {"request_refused", ok, ok, restNone, goesBack, CostNone},
		OutcomeModelMissing:      {"model_missing", no, ok, restEndpoint, failsOver, CostNone},
		OutcomeInvalidAnswer:     {"invalid_answer", bad, no, restNone, failsOver, CostUnknown},
		OutcomeCut:               {"cut", bad, no, restNone, failsOver, CostUnknown},
		OutcomeShortage:          {"shortage", no, no, restNone, failsOver, CostNone},
		OutcomeOutOfTime:         {"out_of_time", no, no, restNone, goesBack, CostUnknown},
		OutcomeClientGone:        {"client_gone", no, no, restNone, goesBack, CostUnknown},
		OutcomeAbandoned:         {"abandoned", no, no, restNone, goesBack, CostUnknown},
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
func (o Outcome) FailsOver() bool { return o.row().next == failsOver }

// Cost is what the attempt is assumed to have cost.
func (o Outcome) Cost() Cost { return o.row().cost }

// String returns the outcome's name in logs and metrics.
func (o Outcome) String() string { return o.row().name }

// isFault reports whether the outcome is the provider's doing, or its credential's.
func (o Outcome) isFault() bool {
	row := o.row()
	return row.breaker == effectFailure || row.rest != restNone
}

// vouches reports whether the provider has accepted the credential. A request may be
// refused by something in front of it that does not look at credentials.
func (o Outcome) vouches() bool {
	return o == OutcomeOK || o == OutcomeThrottled || o == OutcomeQuota
}

// OutcomeOfStatus classifies a provider's status code. Only 200 is an answer:
// no provider documents another success, and redirects are never followed. The
// caller still has to look into the body of a 200.
func OutcomeOfStatus(code int) Outcome {
	switch code {
	case http.StatusOK:
		return OutcomeOK
	case http.StatusUnauthorized:
		return OutcomeCredentialRefused
	case http.StatusForbidden:
		return OutcomeForbidden
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
		if isShortage(err) {
			return OutcomeShortage
		}
		return OutcomeUnreachable
	}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return OutcomeTimeout
	}
	return OutcomeCut
}

// isShortage reports whether a connection failed for what this machine lacks.
func isShortage(err error) bool {
	for _, lack := range [...]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, lack) {
			return true
		}
	}
	return false
}
