package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tollgate/simulator"
)

// stormConfiguration is that of a gateway whose providers have up to three
// credentials each. A model called something-first has somebody in trouble in
// front of the one who helps out. never-asked gives each address a second model,
// so that the failures of one say nothing about the address as a whole.
const stormConfiguration = `
server: {listen: 127.0.0.1:0, upstream_headers: "${UPSTREAM_HEADERS:-true}"}
admin: {listen: 127.0.0.1:0}
data_dir: "${DATA_DIR}"
providers:
  starmagic: {contract: starmagic, endpoints: [{url: "${SIMULATOR}/starmagic/v1", api_keys: ["${STARMAGIC_1}", "${STARMAGIC_2:-}", "${STARMAGIC_3:-}"]}]}
  theturbo:  {contract: theturbo,  endpoints: [{url: "${SIMULATOR}/theturbo/v1",  api_keys: ["${THETURBO_1}",  "${THETURBO_2:-}",  "${THETURBO_3:-}"]}]}
  evolink:   {contract: evolink,   endpoints: [{url: "${SIMULATOR}/evolink/v1",   api_keys: ["${EVOLINK_1}",   "${EVOLINK_2:-}",   "${EVOLINK_3:-}"]}]}
models:
  anyone:
    targets: [{provider: starmagic, model: gemini-2.5-flash-lite}, {provider: theturbo, model: gemini-2.0-flash}, {provider: evolink, model: gemini-3-pro-preview}]
  in-turn:
    targets:
      - {provider: starmagic, model: gemini-2.5-flash-lite}
      - {provider: theturbo, model: gemini-2.0-flash, tier: 2}
      - {provider: evolink, model: gemini-3-pro-preview, tier: 3}
  two-of-them: {targets: [{provider: starmagic, model: gemini-2.5-flash-lite}, {provider: theturbo, model: gemini-2.0-flash}]}
  starmagic-alone: {targets: [{provider: starmagic, model: gemini-2.5-flash-lite}]}
  gemini-1.5-pro: {targets: [{provider: theturbo}]}
  gemini-1.5-flash-8b: {targets: [{provider: theturbo}]}
  gemini-exp-1114: {targets: [{provider: theturbo}]}
  gemini-2.0-flash-exp: {targets: [{provider: theturbo}]}
  throttled-first: {targets: [{provider: theturbo, model: gemini-exp-1121}, {provider: starmagic, model: gemini-2.5-flash-lite, tier: 2}]}
  empty-first: {targets: [{provider: theturbo, model: gemini-exp-1206}, {provider: starmagic, model: gemini-2.5-flash-lite, tier: 2}]}
  forbidden-first: {targets: [{provider: evolink, model: gemini-3-pro-preview}, {provider: starmagic, model: gemini-2.5-flash-lite, tier: 2}]}
  never-asked: {targets: [{provider: starmagic, model: another}, {provider: theturbo, model: another}, {provider: evolink, model: another}]}
limits: {default: {requests_per_minute: 0}}
telemetry: {log_format: json}
`

// storm is a gateway whose providers are about to get into trouble, and a client of it.
type storm struct {
	*fleet
	client bare
	secret string
	asked  atomic.Int64 // to tell the questions apart
}

// stormKey is the credential of a provider at this position, 1 being the first.
func stormKey(p simulator.Provider, position int) string {
	return fmt.Sprintf("sk-storm-credential-of-%s-%d", p, position)
}

// stormLabel is how operators are shown that credential.
func stormLabel(p simulator.Provider, position int) string {
	key := stormKey(p, position)
	return fmt.Sprintf("#%d ...%s", position, key[len(key)-4:])
}

// keyOf is the position of the credential that a provider was asked with.
func keyOf(e simulator.Entry) int {
	shown := e.Header.Get("Authorization")
	return int(shown[len(shown)-1] - '0')
}

// newStorm starts one in front of providers with so many credentials each.
func newStorm(t *testing.T, credentials int, changes environment) *storm {
	t.Helper()
	const requests = 1 << 16 // more than there will be
	s := &storm{fleet: &fleet{providers: simulator.New(simulator.Options{TruthEntries: requests, TruthBytes: 256})}}
	running, err := s.providers.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := running.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	s.env = environment{"SIMULATOR": running.URL(), "DATA_DIR": t.TempDir()}
	for _, p := range simulator.Providers() {
		for n := 1; n <= credentials; n++ {
			s.env[fmt.Sprintf("%s_%d", strings.ToUpper(string(p)), n)] = stormKey(p, n)
		}
	}
	maps.Copy(s.env, changes)
	s.gateway = serve(t, stormConfiguration, s.env)
	s.client, s.secret = s.bare(t), s.issue(t).Secret
	for _, p := range simulator.Providers() {
		for n := 1; n <= credentials; n++ {
			s.secrets = append(s.secrets, stormKey(p, n))
		}
	}
	return s
}

// ask sends one request, every other one for a stream.
func (s *storm) ask(ctx context.Context, model string) reply {
	n := s.asked.Add(1)
	body := question(model, fmt.Sprintf("Please answer request %06d", n))
	if n%2 == 0 {
		body = inStream(body)
	}
	return s.client.send(ctx, wish{secret: s.secret, body: body})
}

// gust sends so many requests, by so many clients at once.
func (s *storm) gust(t *testing.T, model string, requests, clients int) []reply {
	t.Helper()
	var (
		replies = make([]reply, requests)
		next    atomic.Int64
		asking  sync.WaitGroup
	)
	for range clients {
		asking.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= requests {
					return
				}
				replies[n] = s.ask(t.Context(), model)
			}
		})
	}
	asking.Wait()
	return replies
}

// whole reports whether a reply is an answer that lacks nothing.
func (r reply) whole() bool {
	if r.status != http.StatusOK || r.err != nil {
		return false
	}
	if r.header.Get("Content-Type") == "text/event-stream" {
		return strings.HasSuffix(r.body, "data: [DONE]\n\n")
	}
	return strings.Contains(r.body, `"finish_reason":"stop"`) && json.Valid([]byte(r.body))
}

// by is the provider that a reply says it is from, and of how many attempts it is the last.
func (r reply) by() string {
	return r.header.Get("X-Tollgate-Upstream") + " " + r.header.Get("X-Tollgate-Attempts")
}

// settled waits until no provider is asked any more, and returns all that they were.
func (s *storm) settled(t *testing.T) []simulator.Entry {
	t.Helper()
	entries, err := s.providers.Settled(within(t, patience), 0)
	if err != nil {
		t.Fatalf("a provider is still working: %v", err)
	}
	return entries
}

// endpointView is an endpoint as operators see it.
type endpointView struct {
	Provider   string `json:"provider"`
	Credential string `json:"credential"`
	Model      string `json:"model"`
	State      string `json:"state"`
	Pending    int    `json:"pending"`
	ProbeInMS  int64  `json:"probe_in_ms"`
}

// endpoints are all of them.
func (s *storm) endpoints(t *testing.T) []endpointView {
	t.Helper()
	status, body := s.get(t, "/admin/v1/upstreams")
	var list struct {
		Endpoints []endpointView `json:"endpoints"`
	}
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK || len(list.Endpoints) == 0 {
		t.Fatalf("the operators see %d %s", status, body)
	}
	return list.Endpoints
}

// endpoint is the one of this credential and model.
func (s *storm) endpoint(t *testing.T, p simulator.Provider, key int, model string) endpointView {
	t.Helper()
	all := s.endpoints(t)
	for _, e := range all {
		if e.Provider == string(p) && e.Credential == stormLabel(p, key) && e.Model == model {
			return e
		}
	}
	t.Fatalf("no endpoint of %s has the credential %s and the model %s: %+v", p, stormLabel(p, key), model, all)
	return endpointView{}
}

// allReady fails the test unless every endpoint may be asked and none is.
func (s *storm) allReady(t *testing.T) {
	t.Helper()
	for _, e := range s.endpoints(t) {
		if e.State != "ready" || e.Pending != 0 {
			t.Errorf("an endpoint that should be ready and at rest: %+v", e)
		}
	}
}
