package main

import (
	"strings"

	"tollgate/telemetry"
)

// upstreamStates are the endpoints of the table in force, for the metrics: what
// `tollgate upstreams` shows, at the moment of a scrape.
func (p *process) upstreamStates() []telemetry.UpstreamState {
	endpoints := p.table.Endpoints()
	states := make([]telemetry.UpstreamState, len(endpoints))
	for i, e := range endpoints {
		states[i] = telemetry.UpstreamState{
			Provider: e.Provider, URL: e.URL, Credential: place(e.Credential), Model: e.Model,
			State: string(e.State), Pending: int64(e.Pending), FirstEvent: e.FirstEvent,
		}
	}
	return states
}

// place is the part of a credential's label that says which one it is. The rest shows
// the end of a key: /metrics asks for no token, and each rotation would make new series.
func place(credential string) string {
	number, _, _ := strings.Cut(credential, " ")
	return number
}
