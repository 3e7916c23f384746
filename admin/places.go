package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// maxListing bounds the memory and the work of lists: a page is cut out of all records.
const maxListing = 2

// places bound how much of one kind is done at a time.
type places struct {
	taken chan struct{} // a value for each place that is taken
	doing string        // what is done there, for the message
}

func newPlaces(count int, doing string) places { return places{make(chan struct{}, count), doing} }

// enter takes a place, and waits a while until there is one.
func (p places) enter(ctx context.Context) error {
	const patience = 5 * time.Second
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case p.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return &failure{
			status: http.StatusServiceUnavailable, kind: kindServer, code: "overloaded", retryAfter: time.Second,
			message: fmt.Sprintf("%d %s: try again shortly", cap(p.taken), p.doing),
		}
	}
}

// leave gives the place back.
func (p places) leave() { <-p.taken }

// within is the endpoint that takes one of the places.
func (p places) within(next endpoint) endpoint {
	return func(r *http.Request) (answer, error) {
		if err := p.enter(r.Context()); err != nil {
			return answer{}, err
		}
		defer p.leave()
		return next(r)
	}
}
