package main

import "tollgate/telemetry"

// upstreamStates are the endpoints of the table in force, for the metrics: what
// `tollgate upstreams` shows, at the moment of a scrape.
func (p *process) upstreamStates() []telemetry.UpstreamState {
	endpoints := p.table.Endpoints()
	states := make([]telemetry.UpstreamState, len(endpoints))
	for i, e := range endpoints {
		states[i] = telemetry.UpstreamState{
			Provider: e.Provider, URL: e.URL, Credential: e.Credential, Model: e.Model,
			State: string(e.State), Pending: int64(e.Pending), FirstEvent: e.FirstEvent,
		}
	}
	return states
}
