//go:build !race

package upstream

import "testing"

// Every request asks every candidate's contract.
func TestAllocLacks(t *testing.T) {
	n := needing(ParamTemperature, ParamTopP, ParamMaxTokens, ParamMaxCompletionTokens)
	n.MediaTypes, n.Roles, n.Media = []string{"image/png", "image/jpeg"}, Roles(RoleUser, RoleDeveloper), MediaData
	for _, u := range []Unsupported{UnsupportedSkip, UnsupportedDrop} {
		for _, c := range Contracts() {
			p := &Provider{Contract: c, Unsupported: u}
			got := testing.AllocsPerRun(1000, func() {
				if lack, lacks := p.Lacks(&n); lacks {
					t.Fatalf("%s lacks %s", c.Name, lack.Param)
				}
				c.Lacks(&n)
			})
			if got != 0 {
				t.Errorf("%s, unsupported: %s: the question costs %v allocations, want none", c.Name, u, got)
			}
		}
	}
}
