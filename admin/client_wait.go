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

	"golang.org/x/time/rate"
)

// The pauses between tries, where the API does not say how long to wait.
const (
	firstPause = 200 * time.Millisecond
	maxPause   = 2 * time.Second
	// shortestRetry is what a try that begins late has at least: less would only add a call in doubt.
	shortestRetry = 2 * time.Second
)

// Wait is how long a call goes on trying while nobody answers. The zero Wait tries once.
type Wait struct {
	// Limit is how long after the first try another may begin. It has the rest of this time, or 2 s.
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

// send sends body as it is, and reads the answer into out; it tries again as c.wait says. Its error
// remembers whether any of the tries may have been done.
func (c *Client) send(ctx context.Context, method, path string, body []byte, out any) error {
	deadline, pause := time.Now().Add(c.wait.Limit), firstPause
	arrived := false
	for tries := 1; ; tries++ {
		err := c.try(ctx, tries, deadline, func(ctx context.Context) error { return c.once(ctx, method, path, body, out) })
		if err == nil {
			return nil
		}
		if arrived = arrived || mayHaveArrived(err); arrived {
			err = &unsettledError{err}
		}
		left := time.Until(deadline)
		delay := min(pause, left)
		if refused, ok := errors.AsType[*Error](err); ok && refused.RetryAfter > 0 {
			delay = refused.RetryAfter
		}
		if !worthWaiting(err) || ctx.Err() != nil || left <= 0 || delay > left {
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

// try makes one try once c.pace lets it. A first one has all the time of a call; another ends with the wait, about.
func (c *Client) try(ctx context.Context, tries int, deadline time.Time, once func(context.Context) error) error {
	if c.pace != nil {
		if err := c.pace.Wait(ctx); err != nil {
			return err
		}
	}
	if tries == 1 {
		return once(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, max(time.Until(deadline), shortestRetry))
	defer cancel()
	return once(ctx)
}

// Paced returns a client that makes no more calls than this a second, for those that make many.
func (c *Client) Paced(perSecond int) *Client {
	paced := *c
	paced.pace = rate.NewLimiter(rate.Limit(perSecond), 1)
	return &paced
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
		// Without a code it is of somebody before the gateway, such as an ingress that does not find it yet.
		passing := refused.Status >= http.StatusBadGateway && refused.Status <= http.StatusGatewayTimeout
		return refused.RetryAfter > 0 || refused.Code == "" && passing
	}
	// In a cluster the name of a gateway that is about to start may not be known yet.
	if _, unresolved := errors.AsType[*net.DNSError](err); unresolved {
		return true
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

// notSentError is the error of a call that could not be put into words.
type notSentError struct{ message string }

func (e *notSentError) Error() string { return e.message }

// unsettledError is the error of a call of which a try may have been done. It reads as the last try's.
type unsettledError struct{ error }

func (e *unsettledError) Unwrap() error { return e.error }

// Unsettled reports whether a call that failed may have been done all the same: one of its tries was sent, and
// neither refused nor answered. That nobody listened at the last try says nothing about those before it.
func Unsettled(err error) bool {
	_, unsettled := errors.AsType[*unsettledError](err)
	return unsettled
}

// mayHaveArrived is false where a try was refused, or never left this machine.
func mayHaveArrived(err error) bool {
	if answered, ok := errors.AsType[*Error](err); ok {
		return answered.Status < http.StatusBadRequest || answered.Status >= http.StatusInternalServerError
	}
	_, notSent := errors.AsType[*notSentError](err)
	_, unresolved := errors.AsType[*net.DNSError](err)
	connection, ok := errors.AsType[*net.OpError](err)
	unconnected := ok && connection.Op == "dial" || errors.Is(err, syscall.ECONNREFUSED)
	return !notSent && !unresolved && !unconnected
}
