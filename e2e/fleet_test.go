package e2e

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
)

// configuration is what every gateway here runs: the three providers with the
// simulator's addresses, and a fourth one of whom only its address is known.
const configuration = `
server:
  listen: 127.0.0.1:0
  tls: {cert: "${TLS_CERT:-}", key: "${TLS_KEY:-}"}
  max_request_body: "${MAX_REQUEST_BODY:-1MiB}"
  max_body_memory: "${MAX_BODY_MEMORY:-512MiB}"
  max_answer: "${MAX_ANSWER:-32MiB}"
  max_in_flight: "${MAX_IN_FLIGHT:-20000}"
  max_drains: "${MAX_DRAINS:-64}"
  read_timeout: "${READ_TIMEOUT:-30s}"
  write_timeout: "${WRITE_TIMEOUT:-30s}"
  shutdown_delay: "${SHUTDOWN_DELAY:-0s}"
  drain_timeout: "${DRAIN_TIMEOUT:-10s}"
  keepalive_comment: "${KEEPALIVE_COMMENT:-15s}"
  keepalive_before_first_token: "${KEEPALIVE_BEFORE_FIRST_TOKEN:-false}"
admin:
  listen: "${ADMIN:-127.0.0.1:0}"
  tokens: {
    reader-00: the-token-of-reader-00, reader-01: the-token-of-reader-01, reader-02: the-token-of-reader-02, reader-03: the-token-of-reader-03,
    reader-04: the-token-of-reader-04, reader-05: the-token-of-reader-05, reader-06: the-token-of-reader-06, reader-07: the-token-of-reader-07,
    reader-08: the-token-of-reader-08, reader-09: the-token-of-reader-09, reader-10: the-token-of-reader-10, reader-11: the-token-of-reader-11
  }
data_dir: "${DATA_DIR}"
usage: {sync: "${SYNC:-strict}", max_journal: "${MAX_JOURNAL:-4GiB}", keep_shipped: "${KEEP_SHIPPED:-1h}"}
providers:
  starmagic:
    contract: starmagic
    on_disconnect: "${ON_DISCONNECT:-cancel}"
    endpoints: [{url: "${SIMULATOR}/starmagic/v1", api_keys: ["${PROVIDER_KEY}"]}]
  theturbo:  {contract: theturbo,  endpoints: [{url: "${SIMULATOR}/theturbo/v1",  api_keys: ["${PROVIDER_KEY}"]}]}
  evolink:   {contract: evolink,   endpoints: [{url: "${SIMULATOR}/evolink/v1",   api_keys: ["${PROVIDER_KEY}"]}]}
  fourth:
    contract: openai
    stream_usage: pass
    endpoints: [{url: "${FOURTH:-http://127.0.0.1:9/v1}", api_keys: ["${PROVIDER_KEY}"]}]
models:
  gemini-2.5-flash-lite: {targets: [{provider: starmagic}]}
  gemini-2.0-flash: {targets: [{provider: theturbo}]}
  gemini-3-pro-preview:
    targets: [{provider: evolink}]
    timeouts: {first_token: "${FIRST_TOKEN:-60s}", answer: "${ANSWER:-60s}", idle: "${IDLE:-45s}"}
  gemini-flash:
    targets:
      - {provider: starmagic, model: gemini-2.5-flash-lite, weight: 3}
      - {provider: theturbo,  model: gemini-2.0-flash,      weight: 1}
      - {provider: evolink,   model: gemini-3-pro-preview,  tier: 2}
  in-turn:
    targets:
      - {provider: theturbo,  model: gemini-2.0-flash}
      - {provider: starmagic, model: gemini-2.5-flash-lite, tier: 2}
  fourth: {targets: [{provider: fourth, model: vendor/large}]}
prices:
  - {model: gemini-2.5-flash-lite, from: 2026-01-01, input: "0.10", cached_input: "0.025", output: "0.40"}
  - {model: gemini-2.0-flash,      from: 2026-01-01, input: "0.10", output: "0.40"}
  - {model: gemini-3-pro-preview,  from: 2026-01-01, input: "2.00", output: "12.00"}
  - {model: gemini-flash,          from: 2026-01-01, input: "0.20", cached_input: "0.05", output: "0.80"}
costs:
  - {provider: starmagic, model: gemini-2.5-flash-lite, from: 2026-01-01, input: "0.08", output: "0.32"}
limits: {default: {requests_per_minute: "${REQUESTS_PER_MINUTE:-600}"}, max_completion_tokens: "${MAX_COMPLETION_TOKENS:-65536}"}
telemetry:
  otlp: {endpoint: "${COLLECTOR:-}", protocol: "${COLLECTOR_PROTOCOL:-grpc}"}
  accept_trace_context: "${ACCEPT_TRACE_CONTEXT:-true}"
  send_trace_context: "${SEND_TRACE_CONTEXT:-false}"
  log_level: "${LOG_LEVEL:-info}"
  log_format: json
`

// sharedStore is added to the configuration of a gateway whose environment names a REDIS.
const sharedStore = `store: {redis: {addresses: [${REDIS}], master_name: "${REDIS_MASTER:-}", username: "${REDIS_USER:-}", password: "${REDIS_PASSWORD:-}"}}
`

// storeOf is the sharedStore of this environment, in which REDIS may be several addresses with commas between them.
func storeOf(env environment) string {
	return strings.Replace(sharedStore, "${REDIS}", `"`+strings.ReplaceAll(env["REDIS"], ",", `", "`)+`"`, 1)
}

// providerKey is the credential that all simulated providers demand. Its marks
// look different where they are escaped.
const providerKey = "sk-provider+4f7d1c9a/2b6e8035"

// tariff is what one token costs, in nano-dollars: a price of $0.10 for a
// million tokens is 100 of them for each.
type tariff struct{ input, cached, output int64 }

// tariffs are the prices of the configuration once more, so that the bill is
// held against a sum that the gateway had no part in.
func tariffs() map[string]tariff {
	return map[string]tariff{
		"gemini-2.5-flash-lite": {100, 25, 400},
		"gemini-2.0-flash":      {100, 100, 400},
		"gemini-3-pro-preview":  {2000, 2000, 12000},
		"gemini-flash":          {200, 50, 800},
	}
}

// fleet is a gateway in front of the three simulated providers.
type fleet struct {
	*gateway
	providers *simulator.Simulator
	env       environment
}

// newFleet starts one. The environment changes single options of configuration.
func newFleet(t *testing.T, changes environment) *fleet {
	t.Helper()
	// A standing clock makes two answers to one question the same to the byte.
	return newFleetWith(t, simulator.Options{Now: func() time.Time { return time.Unix(1760032810, 0) }}, changes)
}

// newFleetWith starts one in front of a simulator with these options.
func newFleetWith(t *testing.T, o simulator.Options, changes environment) *fleet {
	t.Helper()
	o.Behaviour.Keys = []string{providerKey}
	f := &fleet{providers: simulator.New(o)}
	running, err := f.providers.Start("127.0.0.1:0")
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
	f.env = environment{"SIMULATOR": running.URL(), "PROVIDER_KEY": providerKey, "DATA_DIR": t.TempDir()}
	maps.Copy(f.env, changes)
	f.start(t)
	return f
}

// start starts the gateway.
func (f *fleet) start(t *testing.T) {
	t.Helper()
	config := configuration
	if f.env["REDIS"] != "" {
		config += storeOf(f.env)
	}
	f.gateway = serve(t, config, f.env)
	if f.env["TLS_CERT"] != "" {
		f.url = strings.Replace(f.url, "http:", "https:", 1)
	}
}

// beside starts another gateway, in front of the same providers and with data of its own.
func (f *fleet) beside(t *testing.T) *fleet {
	t.Helper()
	other := &fleet{providers: f.providers, env: maps.Clone(f.env)}
	other.env["DATA_DIR"] = t.TempDir()
	other.start(t)
	return other
}

// restart starts the gateway anew on the same data.
func (f *fleet) restart(t *testing.T) {
	t.Helper()
	f.stop(t)
	f.start(t)
}

// behave changes how providers answer; all of them when none is named.
func (f *fleet) behave(b simulator.Behaviour, providers ...simulator.Provider) {
	b.Keys = []string{providerKey}
	f.providers.Behave(b, providers...)
}

// inject adds faults to the providers.
func (f *fleet) inject(t *testing.T, faults ...simulator.Fault) {
	t.Helper()
	if err := f.providers.Inject(faults...); err != nil {
		t.Fatal(err)
	}
}

// attempts waits until the upstream requests whose body holds the prompt have
// ended, at least one of them, and returns what the providers know of them.
func (f *fleet) attempts(t *testing.T, prompt string) []simulator.Entry {
	t.Helper()
	var found []simulator.Entry
	_, err := f.providers.Await(within(t, patience), func(all []simulator.Entry) bool {
		found = found[:0]
		for _, e := range all {
			if !strings.Contains(e.Body, prompt) {
				continue
			}
			if e.Ended.IsZero() {
				return false
			}
			found = append(found, e)
		}
		return len(found) > 0
	})
	if err != nil {
		t.Fatalf("no provider was asked %q, or one never ended: %v", prompt, err)
	}
	return found
}

// attempt is attempts where there must be one.
func (f *fleet) attempt(t *testing.T, prompt string) simulator.Entry {
	t.Helper()
	found := f.attempts(t, prompt)
	if len(found) != 1 {
		t.Fatalf("%q was sent upstream %d times, want once", prompt, len(found))
	}
	return found[0]
}
