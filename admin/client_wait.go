package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// The pauses between tries, where the API does not say how long to wait.
const (
	firstPause = 200 * time.Millisecond
	maxPause   = 2 * time.Second
)

// Wait is how long a call goes on trying while nobody answers. The zero Wait tries once.
type Wait struct {
	// Limit is how long after the first try another may begin.
	Limit time.Duration
	// Say is told once for each call that has to wait, with the reason; nil: nobody is.
	Say func(reason error)
}

// Waiting returns a client whose calls are made again, for as long as w says, while the API refuses
// connections, loses them, or asks for a later try. Only calls that change nothing the second time wait.
func (c *Client) Waiting(w Wait) *Client {
	patient := *c
	patient.wait = w
	return &patient
}

// send sends body as it is, and reads the answer into out; it tries again as c.wait says.
func (c *Client) send(ctx context.Context, method, path string, body []byte, out any) error {
	deadline, pause := time.Now().Add(c.wait.Limit), firstPause
	for tries := 1; ; tries++ {
		err := c.once(ctx, method, path, body, out)
		if err == nil || !worthWaiting(err) || ctx.Err() != nil {
			return err
		}
		left := time.Until(deadline)
		delay := min(pause, left)
		if refused, ok := errors.AsType[*Error](err); ok {
			delay = refused.RetryAfter
		}
		if left <= 0 || delay > left {
			return err
		}
		if tries == 1 && c.wait.Say != nil {
			c.wait.Say(err)
		}
		if pause = min(2*pause, maxPause); !sleep(ctx, delay) {
			return err
		}
	}
}

// sleep is false where ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// worthWaiting tells a gateway that starts, restarts or cannot do it at the moment from a mistake.
func worthWaiting(err error) bool {
	if refused, ok := errors.AsType[*Error](err); ok {
		return refused.RetryAfter > 0
	}
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		return lookup.IsTemporary
	}
	for _, one := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.EHOSTUNREACH, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// retryAfter reads the header in the form that the API gives it: whole seconds.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// NobodyThere reports whether a call failed before anything of it was sent: nobody listened.
func NobodyThere(err error) bool {
	_, unknown := errors.AsType[*net.DNSError](err)
	return unknown || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH)
}
