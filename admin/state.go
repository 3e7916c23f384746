package admin

import (
	"net/http"

	"tollgate/upstream"
)

// Endpoint is the state of one credential of one address, for one of the provider's models.
type Endpoint struct {
	Provider string `json:"provider"`
	URL      string `json:"url"`
	// Credential tells credentials of one address apart, and is safe to show.
	Credential string `json:"credential"`
	// Model is the provider's own name.
	Model string         `json:"model"`
	State upstream.State `json:"state"`
	// ProbeInMS is after how many milliseconds an open breaker lets a probe through.
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
		views[i] = Endpoint{
			Provider: e.Provider, URL: e.URL, Credential: e.Credential, Model: e.Model,
			State: e.State, ProbeInMS: e.ProbeIn.Milliseconds(),
		}
	}
	return answer{http.StatusOK, endpointList{views}}, nil
}

type status struct {
	Status string `json:"status"`
}

// healthy answers /healthz: the process runs. It asks nobody, least of all a store:
// a replica must not be killed because something beside it is slow.
func (s *Server) healthy(*http.Request) (answer, error) {
	return answer{http.StatusOK, status{"ok"}}, nil
}

// ready answers /readyz: this replica takes traffic.
func (s *Server) ready(*http.Request) (answer, error) {
	if !s.options.Ready() {
		return answer{http.StatusServiceUnavailable, status{"draining"}}, nil
	}
	return answer{http.StatusOK, status{"ready"}}, nil
}
