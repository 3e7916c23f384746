package upstream

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// BenchmarkChoice is what a request pays for being routed: who is able, who is
// next, the breaker's permit and its report.
func BenchmarkChoice(b *testing.B) {
	for _, targets := range []int{1, 3, 64} {
		b.Run(fmt.Sprintf("of=%d", targets), func(b *testing.B) {
			m := timed(b, targets)
			n := Needs{Params: Params(ParamTemperature, ParamMaxTokens), Roles: Roles(RoleUser)}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					route, err := m.Route(&n)
					if err != nil {
						b.Error(err)
						return
					}
					a, err := route.Next()
					if err != nil {
						b.Error(err)
						return
					}
					a.Report(Report{Outcome: OutcomeOK})
				}
			})
		})
	}
}

func timed(b *testing.B, targets int) *Model {
	b.Helper()
	var text strings.Builder
	text.WriteString("providers: {p: {contract: theturbo, endpoints: [{url: 'https://h/v1', api_keys: [k]}]}}\nmodels: {m: {targets: [")
	for i := range targets {
		fmt.Fprintf(&text, "{provider: p, model: m%d, weight: %d}, ", i, i+1)
	}
	text.WriteString("]}}")
	var c Config
	if err := yaml.Unmarshal([]byte(text.String()), &c); err != nil {
		b.Fatal(err)
	}
	return newTable(c, slog.New(slog.DiscardHandler), rand.Uint64N).models["m"]
}
