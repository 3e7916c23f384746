//go:build !race

package upstream

import "testing"

// Every request pays for its choice: it must leave nothing for the collector.
func TestAllocChoice(t *testing.T) {
	f := func(policy string, anchor uint64) {
		t.Helper()
		m := timed(t, policy, 16)
		n := Needs{Params: Params(ParamTemperature, ParamMaxTokens), Numbers: ones(), MediaTypes: []string{"image/png"}, Roles: Roles(RoleUser)}
		a := new(Attempt)
		got := testing.AllocsPerRun(1000, func() {
			*a = Attempt{}
			if err := chosen(m, &n, a, anchor); err != nil {
				t.Fatal(err)
			}
		})
		if got != 0 {
			t.Errorf("policy %q, anchor %d: a choice costs %v allocations, want none", policy, anchor, got)
		}
	}
	for _, p := range policies() {
		f(p.name, 0)
	}
	f("", 1)
	f("", 1<<63)
}
