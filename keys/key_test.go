package keys

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// nobody is a client without an address.
var nobody netip.Addr

func TestMayComeFrom(t *testing.T) {
	f := func(allowed, client string, want bool) {
		t.Helper()
		key := &Key{}
		for text := range strings.FieldsSeq(allowed) {
			key.CIDRs = append(key.CIDRs, netip.MustParsePrefix(text))
		}
		var addr netip.Addr
		if client != "" {
			addr = netip.MustParseAddr(client)
		}
		if got := key.MayComeFrom(addr); got != want {
			t.Errorf("%q may come from %q: got %v, want %v", allowed, client, got, want)
		}
	}
	f("", "203.0.113.7", true)
	f("", "", true)
	f("203.0.113.0/24", "203.0.113.0", true)
	f("203.0.113.0/24", "203.0.113.255", true)
	f("203.0.113.0/24", "203.0.114.0", false)
	f("203.0.113.0/24", "::ffff:203.0.113.7", true)
	f("203.0.113.7/32", "203.0.113.8", false)
	f("0.0.0.0/0", "203.0.113.7", true)
	f("0.0.0.0/0", "2001:db8::1", false)
	f("::/0", "203.0.113.7", false)
	f("::/0", "2001:db8::1", true)
	f("fe80::/10", "fe80::1%eth0", false)
	f("10.0.0.0/8 2001:db8::/32", "2001:db8::1", true)
	f("10.0.0.0/8 2001:db8::/32", "11.0.0.1", false)
	f("0.0.0.0/0 ::/0", "", false)
}

func TestState(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := func(k Key, want State) {
		t.Helper()
		if got := k.State(now); got != want {
			t.Errorf("%+v: got %s, want %s", k, got, want)
		}
	}
	f(Key{}, StateActive)
	f(Key{ExpiresAt: now.Add(1)}, StateActive)
	f(Key{ExpiresAt: now}, StateExpired)
	f(Key{Disabled: true}, StateDisabled)
	f(Key{Disabled: true, ExpiresAt: now}, StateExpired)
	f(Key{Disabled: true, ExpiresAt: now, RevokedAt: now}, StateRevoked)
	f(Key{RevokedAt: now.Add(time.Hour)}, StateRevoked) // by a clock that is ahead
	f(Key{DeletedAt: now}, StateRevoked)
}
