package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOutcomeTable(t *testing.T) {
	const want = `
ok                  success   stays
unreachable         failure   fails over
timeout             failure   fails over
server_error        failure   fails over
throttled           excluded  fails over
quota               excluded  fails over
credential_refused  excluded  fails over
request_refused     success   stays
model_missing       excluded  fails over
invalid_answer      failure   fails over
cut                 failure   fails over
client_gone         excluded  stays
abandoned           excluded  stays
`
	var got strings.Builder
	got.WriteString("\n")
	for o := range outcomeCount {
		then := "stays"
		if o.FailsOver() {
			then = "fails over"
		}
		effects := map[effect]string{effectSuccess: "success", effectFailure: "failure", effectExcluded: "excluded"}
		fmt.Fprintf(&got, "%-20s%-10s%s\n", o, effects[o.row().effect], then)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
	if wild := Outcome(200); wild.FailsOver() || wild.row().effect != effectExcluded {
		t.Errorf("a value that is no outcome reads as %s", wild)
	}
}

func TestOutcomeOfStatus(t *testing.T) {
	f := func(want Outcome, codes ...int) {
		t.Helper()
		for _, code := range codes {
			if got := OutcomeOfStatus(code); got != want {
				t.Errorf("status %d is %s, want %s", code, got, want)
			}
		}
	}
	f(OutcomeOK, 200)
	f(OutcomeQuota, 402)
	f(OutcomeCredentialRefused, 401, 403)
	f(OutcomeThrottled, 429)
	f(OutcomeRequestRefused, 400, 404, 405, 411, 413, 414, 415, 422, 424, 431, 451, 499)
	f(OutcomeServerError, 408, 409, 425, 500, 501, 502, 503, 504, 520, 524, 529, 599)
	f(OutcomeInvalidAnswer, 0, -1, 100, 101, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 600, 999)
}

func TestOutcomeOfError(t *testing.T) {
	f := func(err error, want Outcome) {
		t.Helper()
		for _, e := range []error{err, wrapped(err)} {
			if got := OutcomeOfError(e); got != want {
				t.Errorf("%v is %s, want %s", e, got, want)
			}
		}
	}
	f(nil, OutcomeOK)
	f(context.Canceled, OutcomeClientGone)
	f(context.DeadlineExceeded, OutcomeTimeout)
	f(&net.OpError{Op: "read", Err: timeoutError{}}, OutcomeTimeout)
	f(&ConnectError{"h:443", syscall.ECONNREFUSED}, OutcomeUnreachable)
	f(&ConnectError{"h:443", context.DeadlineExceeded}, OutcomeUnreachable)
	f(&ConnectError{"h:443", &ForbiddenAddressError{}}, OutcomeUnreachable)
	f(&ConnectError{"h:443", context.Canceled}, OutcomeClientGone)
	f(&ConnectError{"https://h/v1", errOff}, OutcomeUnreachable)
	f(io.EOF, OutcomeCut)
	f(io.ErrUnexpectedEOF, OutcomeCut)
	f(&net.OpError{Op: "read", Err: syscall.ECONNRESET}, OutcomeCut)
	f(errors.New("malformed HTTP response"), OutcomeCut)
}

func wrapped(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the leg: %w", err)
}

type timeoutError struct{}

func (timeoutError) Error() string   { return "i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }
