package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOutcomes is what follows from each outcome: for the breaker of its endpoint
// and model, for that of its address, for who is left alone besides, for the
// request, and for the books.
func TestOutcomes(t *testing.T) {
	const want = `
outcome             breaker   address   rest         next        cost
ok                  success   success   -            stays       reported
unreachable         failure   failure   -            fails over  none
timeout             failure   -         -            fails over  unknown
server_error        failure   failure   -            fails over  none
throttled           -         success   endpoint     fails over  none
quota               -         success   credential   fails over  none
credential_refused  -         success   quarantine   fails over  none
forbidden           -         success   tenant       fails over  none
request_refused     success   success   -            stays       none
model_missing       -         success   endpoint     fails over  none
invalid_answer      failure   -         -            fails over  unknown
cut                 failure   -         -            fails over  unknown
shortage            -         -         -            fails over  none
out_of_time         -         -         -            stays       unknown
client_gone         -         -         -            stays       unknown
abandoned           -         -         -            stays       unknown
`
	got := fmt.Sprintf("\n%-20s%-10s%-10s%-13s%-12s%s\n", "outcome", "breaker", "address", "rest", "next", "cost")
	effects := [...]string{effectSuccess: "success", effectFailure: "failure", effectExcluded: "-"}
	rests := [...]string{"-", "endpoint", "credential", "quarantine", "tenant"}
	for o := range outcomeCount {
		then := "stays"
		if o.FailsOver() {
			then = "fails over"
		}
		row := o.row()
		got += fmt.Sprintf("%-20s%-10s%-10s%-13s%-12s%s\n", o, effects[row.breaker], effects[row.address], rests[row.rest], then, o.Cost())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if wild := Outcome(200); wild.FailsOver() || wild.row().breaker != effectExcluded {
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
	f(OutcomeCredentialRefused, 401)
	f(OutcomeForbidden, 403)
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
	for _, lack := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		f(&ConnectError{"h:443", &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", lack)}}, OutcomeShortage)
	}
	f(&ConnectError{"h:443", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}}, OutcomeUnreachable)
	f(&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ENOBUFS)}, OutcomeCut) // it was sent
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
