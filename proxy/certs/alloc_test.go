//go:build !race

package certs

import "testing"

// The race detector allocates on its own, so this one runs without it.
func TestAllocConfigForClient(t *testing.T) {
	a := newAuthority(t)
	r := serve(t, a, a.issue(t, "first"))
	if n := testing.AllocsPerRun(1000, func() { _, _ = r.files.configForClient(nil) }); n != 0 {
		t.Errorf("%v allocations for the certificate of one handshake, want 0", n)
	}
}
