package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tollgate/telemetry"
	"tollgate/upstream"
)

// candidate is what is asked: the chosen endpoint, with its first credential.
func (p *probing) candidate(c upstream.Config) (*upstream.Candidate, error) {
	provider, known := c.Providers[p.provider]
	if !known {
		return nil, fmt.Errorf("provider %q is not in %s, which has %s", p.provider, p.config,
			fallback(strings.Join(slices.Sorted(maps.Keys(c.Providers)), ", "), "none"))
	}
	model := fallback(p.model, modelOf(c, p.provider))
	if model == "" {
		return nil, fmt.Errorf("no target in %s is one of %s: give --model", p.config, p.provider)
	}
	endpoint, err := p.chooseEndpoint(provider.Endpoints)
	if err != nil {
		return nil, err
	}
	provider.Endpoints = []upstream.EndpointConfig{endpoint}
	p.credential = firstKey(endpoint)
	// A table with nothing else, so that the candidate is asked just as the gateway would.
	table, err := upstream.NewTable(upstream.Config{
		Providers: map[string]upstream.ProviderConfig{p.provider: provider},
		Models:    map[string]upstream.ModelConfig{model: {Targets: []upstream.TargetConfig{{Provider: p.provider}}}},
	}, upstream.TableOptions{})
	if err != nil {
		return nil, fmt.Errorf("--model: %w", err)
	}
	m, _ := table.Model(model)
	return m.Candidates()[0], nil
}

// modelOf is the first model that the configuration asks of a provider.
func modelOf(c upstream.Config, provider string) string {
	for _, name := range slices.Sorted(maps.Keys(c.Models)) {
		for _, target := range c.Models[name].Targets {
			if target.Provider == provider {
				return fallback(target.Model, name)
			}
		}
	}
	return ""
}

// chooseEndpoint is the one that was asked for, else the first with a credential.
func (p *probing) chooseEndpoint(endpoints []upstream.EndpointConfig) (upstream.EndpointConfig, error) {
	for i, e := range endpoints {
		switch {
		case p.endpoint == "" && !hasKey(e):
			continue
		case p.endpoint != "" && p.endpoint != "#"+strconv.Itoa(i+1) && strings.TrimRight(p.endpoint, "/") != strings.TrimRight(e.URL, "/"):
			continue
		case !hasKey(e):
			return e, fmt.Errorf("providers.%s.endpoints[%d] has no credential: set one of its api_keys", p.provider, i)
		}
		return e, nil
	}
	if p.endpoint != "" {
		return upstream.EndpointConfig{}, fmt.Errorf("--endpoint: must be #1 to #%d, or the url of one of the provider's endpoints, got %q", len(endpoints), p.endpoint)
	}
	return upstream.EndpointConfig{}, fmt.Errorf("providers.%s.endpoints: none has a credential: set api_keys of one", p.provider)
}

func hasKey(e upstream.EndpointConfig) bool { return firstKey(e) != "" }

// firstKey is the credential that is asked with; empty: there is none.
func firstKey(e upstream.EndpointConfig) telemetry.Secret {
	for _, key := range e.APIKeys {
		if key != "" {
			return key
		}
	}
	return ""
}
