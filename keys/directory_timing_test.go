package keys

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"tollgate/telemetry"
)

func TestAuthenticateDoesNotAllocate(t *testing.T) {
	d, secret := timedDirectory(t, "")
	f := func(what string, presented []byte) {
		t.Helper()
		ctx := context.Background()
		if n := testing.AllocsPerRun(200, func() { _, _ = d.Authenticate(ctx, presented, netip.Addr{}) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", what, n)
		}
	}
	f("known", secret)
	f("unknown", []byte(sample))
	f("malformed", []byte("tg_garbage"))
}

// timedDirectory holds ten thousand keys, written without waiting for the disk.
func timedDirectory(t testing.TB, pepper telemetry.Secret) (*Directory, []byte) {
	t.Helper()
	db := openBolt(t, t.TempDir())
	db.NoSync = true
	s := newBoltStore(t, db)
	for n := range 10_000 {
		s.remember(contractRecord(n))
	}
	d := New(s, Config{Pepper: pepper})
	_, secret := create(t, d, Spec{Tenant: "acme", Name: "ci"})
	return d, secret
}

func BenchmarkAuthenticate(b *testing.B) {
	for _, pepper := range []telemetry.Secret{"", testPepper} {
		d, secret := timedDirectory(b, pepper)
		for name, presented := range map[string][]byte{"known": secret, "unknown": []byte(sample), "malformed": []byte("tg_garbage")} {
			b.Run(fmt.Sprintf("%s/pepper=%v", name, pepper != ""), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					ctx := context.Background()
					for pb.Next() {
						_, _ = d.Authenticate(ctx, presented, netip.Addr{})
					}
				})
			})
		}
	}
}
