//go:build !race

package keys

import (
	"context"
	"net/netip"
	"testing"
)

// The race detector makes sync.Pool forget at random, so this one runs without it.
func TestAuthenticateWithPepperDoesNotAllocate(t *testing.T) {
	d, secret := timedDirectory(t, testPepper)
	ctx := context.Background()
	if n := testing.AllocsPerRun(200, func() { _, _ = d.Authenticate(ctx, secret, netip.Addr{}) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
