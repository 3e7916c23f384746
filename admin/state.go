package admin

import (
	"net/http"
	"time"

	"tollgate/upstream"
)

// Endpoint is the state of one credential of one address, for one of the provider's models.
// Durations are whole milliseconds, rounded up.
type Endpoint struct {
	Provider string `json:"provider"`
	URL      string `json:"url"`
	// Credential tells credentials of one address apart, and is safe to show.
	Credential string `json:"credential"`
	// Model is the provider's own name.
	Model string         `json:"model"`
	State upstream.State `json:"state"`
	// Why says in a few words why it is not ready, or why less is asked of it; empty: nothing is wrong.
	Why string `json:"why,omitempty"`
	// Pending is how many requests are in progress there.
	Pending int `json:"pending"`
	// FirstEventMS is what a choice expects of a stream's first event; 0: not known.
	FirstEventMS int64 `json:"first_event_ms,omitempty"`
	// AnswerMS is what it expects of a plain answer; 0: not known.
	AnswerMS int64 `json:"answer_ms,omitempty"`
	// LastError is the last outcome that was the provider's fault, such as "server_error"; empty: none was.
	LastError string `json:"last_error,omitempty"`
	// LastErrorAt is when that was, in UTC.
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// ProbeInMS is for how many milliseconds it is still left alone; 0: it may be asked.
	ProbeInMS int64 `json:"probe_in_ms,omitempty"`
}

type endpointList struct {
	Endpoints []Endpoint `json:"endpoints"`
}

// listUpstreams answers GET /admin/v1/upstreams.
func (s *Server) listUpstreams(*http.Request) (answer, error) {
	states := s.options.Upstreams.Endpoints()
	views := make([]Endpoint, len(states))
	for i, e := range states {
		views[i] = viewOf(e)
	}
	return answer{http.StatusOK, endpointList{views}}, nil
}

func viewOf(e upstream.EndpointState) Endpoint {
	return Endpoint{
		Provider: e.Provider, URL: e.URL, Credential: e.Credential, Model: e.Model,
		State: e.State, Why: e.Why, Pending: e.Pending,
		FirstEventMS: milliseconds(e.FirstEvent), AnswerMS: milliseconds(e.Answer),
		LastError: e.LastError, LastErrorAt: e.LastErrorAt.UTC().Truncate(time.Millisecond),
		ProbeInMS: milliseconds(e.ProbeIn),
	}
}

// milliseconds rounds up, so that 0 says that there is nothing; nothing is negative.
func milliseconds(d time.Duration) int64 {
	return max(0, (d + time.Millisecond - 1).Milliseconds())
}

// Unready says why a replica takes no traffic. The zero value says that it does.
type Unready struct {
	// Status is a word for it: "draining", or "journal" where usage cannot be put on record.
	Status string
	// Reason says more, in a few words that anybody may read; empty: the word says all.
	Reason string
}

type status struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// healthy answers /healthz: the process runs. It asks nobody, least of all a store:
// a replica must not be killed because something beside it is slow.
func (s *Server) healthy(*http.Request) (answer, error) {
	return answer{http.StatusOK, status{Status: "ok"}}, nil
}

// ready answers /readyz: this replica takes traffic.
func (s *Server) ready(*http.Request) (answer, error) {
	if why := s.options.Unready(); why.Status != "" {
		return answer{http.StatusServiceUnavailable, status(why)}, nil
	}
	return answer{http.StatusOK, status{Status: "ready"}}, nil
}
