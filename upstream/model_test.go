package upstream

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTakers asks who else would take what is in the way: never a provider of the
// model itself, which lacks something as well.
func TestTakers(t *testing.T) {
	f := func(targets string, n Needs, isCommon bool, want ...string) {
		t.Helper()
		m := model(t, build(t, `
providers:
  starmagic: {contract: starmagic, endpoints: [{url: "https://s/v1", api_keys: [k]}]}
  theturbo: {contract: theturbo, endpoints: [{url: "https://t/v1", api_keys: [k]}]}
  evolink: {contract: evolink, endpoints: [{url: "https://e/v1", api_keys: [k]}]}
  other: {contract: openai, endpoints: [{url: "https://o/v1", api_keys: [k]}]}
models: {m: {targets: [`+targets+`]}}`))
		_, err := m.Route(&n, RouteOptions{})
		var unsupported *UnsupportedError
		if !errors.As(err, &unsupported) {
			t.Fatalf("Route = %v", err)
		}
		if diff := cmp.Diff(want, unsupported.Takers); diff != "" || unsupported.Common != isCommon {
			t.Errorf("%s, common %t\n%s", targets, unsupported.Common, diff)
		}
	}
	f("{provider: evolink}, {provider: theturbo}", needing(ParamTopK, ParamN), false, "other", "starmagic") // theturbo takes n, but not top_k
	f("{provider: theturbo}, {provider: evolink}", needing(ParamTopK, ParamN), false, "other")
	f("{provider: evolink}", needing(ParamN), true, "other", "starmagic", "theturbo")
	f("{provider: evolink}, {provider: theturbo}", needing(ParamLogitBias), true, "other")
}
