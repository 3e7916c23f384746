package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// tollgateConfig is what an operator runs, with limits that nobody reaches:
// keys, limits, prices, the durable usage record, metrics, a JSON log at info.
const tollgateConfig = `server: {listen: "127.0.0.1:0", drain_timeout: 5s}
admin: {listen: "127.0.0.1:0", token: %[1]q}
data_dir: %[2]q
providers:
  starmagic:
    contract: starmagic
    endpoints: [{url: "http://%[3]s/starmagic/v1", api_keys: [a-key-of-the-provider]}]
models:
  gemini-2.5-flash-lite: {targets: [{provider: starmagic}]}
prices:
  - {model: gemini-2.5-flash-lite, from: 2026-01-01, input: "0.10", cached_input: "0.025", output: "0.40"}
costs:
  - {provider: starmagic, model: gemini-2.5-flash-lite, from: 2026-01-01, input: "0.08", cached_input: "0.02", output: "0.32"}
limits:
  default: {requests_per_minute: 100000000}
telemetry: {log_level: info, log_format: json}
%[4]s`

// An edition is a Tollgate that can be started.
type edition struct {
	name, binary string
	usage        string // a line of its configuration; empty: none
}

// starter returns what starts a Tollgate.
func (r *rig) starter(e edition) func(context.Context, string) (*gateway, error) {
	return func(ctx context.Context, provider string) (*gateway, error) { return r.startTollgate(ctx, e, provider) }
}

// startTollgate starts a Tollgate with a database of its own, in front of the
// provider, and issues a key.
func (r *rig) startTollgate(ctx context.Context, e edition, provider string) (*gateway, error) {
	folder, err := r.folder("tollgate")
	if err != nil {
		return nil, err
	}
	o := operator{token: rand.Text()}
	config := filepath.Join(folder, "config.yaml")
	text := fmt.Appendf(nil, tollgateConfig, o.token, filepath.Join(folder, "data"), provider, e.usage)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return nil, err
	}
	p, err := r.launch(r.cores.gateway, folder, "tollgate", e.binary, "serve", "-c", config)
	if err != nil {
		return nil, err
	}
	g := &gateway{name: e.name, process: p, path: "/v1/chat/completions", pids: []int{p.command.Process.Pid}}
	line, err := p.await(ctx, `"msg":"serving"`)
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	var serving struct{ Listen, Admin string }
	if err := json.Unmarshal([]byte(line), &serving); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	g.addr, o.url = serving.Listen, "http://"+serving.Admin
	g.operator = &o
	if g.secret, err = o.issue(ctx); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return g, nil
}

// operator talks to a Tollgate's operators' API.
type operator struct{ url, token string }

// issue makes a key and returns its secret.
func (o *operator) issue(ctx context.Context) (string, error) {
	var key struct{ Secret string }
	err := o.call(ctx, http.MethodPost, "/admin/v1/keys", `{"tenant":"acme","name":"bench","requests_per_minute":100000000}`, &key)
	if err == nil && key.Secret == "" {
		err = errors.New("the operators' API issued a key without a secret")
	}
	return key.Secret, err
}

// bill is what the ledger holds.
type bill struct {
	Requests  int64
	Estimated int64 `json:"estimated_requests"`
}

// bill sums up the ledger.
func (o *operator) bill(ctx context.Context) (bill, error) {
	var sum struct{ Rows []bill }
	if err := o.call(ctx, http.MethodGet, "/admin/v1/usage", "", &sum); err != nil {
		return bill{}, err
	}
	switch len(sum.Rows) {
	case 0:
		return bill{}, nil
	case 1:
		return sum.Rows[0], nil
	}
	return bill{}, fmt.Errorf("the usage of everything has %d rows", len(sum.Rows))
}

func (o *operator) call(ctx context.Context, method, path, body string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, o.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+o.token)
	r.Header.Set("Content-Type", "application/json")
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	raw, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s answered %d: %s", method, path, response.StatusCode, raw)
	}
	return json.Unmarshal(raw, into)
}

// settled compares the ledger with what was served: every request has its
// record, and the record has the provider's figures. A benchmark of a gateway
// that lost records would be a lie.
func (g *gateway) settled(ctx context.Context) (int64, error) {
	if g.operator == nil {
		return 0, nil
	}
	served := g.served.Load()
	for deadline := time.Now().Add(patience); ; {
		b, err := g.operator.bill(ctx)
		if err != nil {
			return 0, err
		}
		if b.Requests == served && b.Estimated == 0 {
			return served, nil
		}
		if b.Requests > served || b.Estimated > 0 || time.Now().After(deadline) {
			return 0, fmt.Errorf("%d requests were served, but the ledger has %d records, %d of them estimated", served, b.Requests, b.Estimated)
		}
		if err := g.process.rest(ctx); err != nil {
			return 0, err
		}
	}
}
