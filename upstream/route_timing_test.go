package upstream

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// BenchmarkChoice is what a request pays for being routed: who is able, who is
// next, what an attempt holds, its report and its end.
func BenchmarkChoice(b *testing.B) {
	for _, p := range policies() {
		for _, targets := range []int{1, 3, 16, 64} {
			b.Run(fmt.Sprintf("policy=%s/of=%d", p.name, targets), func(b *testing.B) { choose(b, timed(b, p.name, targets), 0) })
		}
	}
	b.Run("anchor/of=16", func(b *testing.B) { choose(b, timed(b, "", 16), 0x9e3779b97f4a7c15) })
}

func choose(b *testing.B, m *Model, anchor uint64) {
	b.Helper()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		n := Needs{Params: Params(ParamTemperature, ParamMaxTokens), Roles: Roles(RoleUser)}
		for a := new(Attempt); pb.Next(); {
			*a = Attempt{}
			if err := chosen(m, &n, a, anchor); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// chosen is one request from its route to its end.
func chosen(m *Model, n *Needs, a *Attempt, anchor uint64) error {
	route, err := m.Route(n, RouteOptions{Kind: Streamed, Anchor: anchor})
	if err != nil {
		return err
	}
	if err := route.Next(a); err != nil {
		return err
	}
	a.Report(Report{Outcome: OutcomeOK, Took: 300 * time.Millisecond})
	a.End(EndingWhole)
	return nil
}

func timed(b testing.TB, policy string, targets int) *Model {
	b.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "providers: {p: {contract: theturbo, endpoints: [{url: 'https://h/v1', api_keys: [k]}]}}\nmodels: {m: {policy: '%s', targets: [", policy)
	for i := range targets {
		fmt.Fprintf(&text, "{provider: p, model: m%d, weight: %d}, ", i, i+1)
	}
	text.WriteString("]}}")
	var c Config
	if err := yaml.Unmarshal([]byte(text.String()), &c); err != nil {
		b.Fatal(err)
	}
	return newTable(c, TableOptions{Log: slog.New(slog.DiscardHandler)}, rand.Uint64N).models["m"]
}
