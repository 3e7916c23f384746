package probe

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// credential is long enough that a part of it is shown where it may be.
const credential = "sk-secret-of-the-operator-wxyz"

// candidateOf builds what asks a provider that has this contract.
func candidateOf(t *testing.T, contract upstream.ContractConfig, model, url string) *upstream.Candidate {
	t.Helper()
	table, err := upstream.NewTable(upstream.Config{
		Providers: map[string]upstream.ProviderConfig{contract.Base: {
			Contract:  contract,
			Endpoints: []upstream.EndpointConfig{{URL: url, APIKeys: []telemetry.Secret{credential}}},
		}},
		Models: map[string]upstream.ModelConfig{model: {Targets: []upstream.TargetConfig{{Provider: contract.Base}}}},
	}, upstream.TableOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := table.Model(model)
	return m.Candidates()[0]
}

// simulated starts the providers, who behave like this.
func simulated(t *testing.T, b simulator.Behaviour) (*simulator.Simulator, string) {
	t.Helper()
	sim := simulator.New(simulator.Options{Behaviour: b})
	server, err := sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := server.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return sim, server.URL()
}

// optionsFor are what a test asks a simulated provider with, without a pause.
func optionsFor(t *testing.T, p simulator.Provider, url string) Options {
	t.Helper()
	return optionsUnder(t, upstream.ContractConfig{Base: string(p)}, p, url)
}

// optionsUnder hold the provider to another contract.
func optionsUnder(t *testing.T, contract upstream.ContractConfig, p simulator.Provider, url string) Options {
	t.Helper()
	transport := upstream.NewTransport(upstream.TransportOptions{})
	t.Cleanup(transport.Close)
	return Options{
		Asker:     transport,
		Candidate: candidateOf(t, contract, p.Models()[0], url+"/"+string(p)+"/v1"),
		Pause:     -1,
		ImageURL:  "https://pictures.example/one.png",
	}
}

// table is what was found, one finding a line.
func table(r Report, only ...Verdict) string {
	var b strings.Builder
	for _, f := range r.Findings {
		for _, v := range only {
			if f.Verdict == v {
				fmt.Fprintf(&b, "%s | %s | %s | %s | %s\n", f.Name, f.Expected, f.Seen, f.Verdict, f.Remark)
			}
		}
	}
	return b.String()
}

func prices(t *testing.T, p simulator.Provider, dollars usage.Money) *usage.PriceBook {
	t.Helper()
	book, err := usage.NewPriceBook(usage.Config{Costs: []usage.CostConfig{{
		Provider: string(p), Model: p.Models()[0], Input: dollars, Output: dollars,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return book
}
