package proxy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// FuzzOrigin compares the walk over lines with one over the list that they are, entry by entry.
func FuzzOrigin(f *testing.F) {
	for _, lines := range []string{"", "198.51.100.7", "1.2.3.4, 10.0.0.9\n10.0.0.2,10.0.0.3", "198.51.100.7,,10.0.0.2", "[2001:db8::7]:443,fd00::1", "[]", "::ffff:10.0.0.1"} {
		f.Add(lines)
	}
	trusted := trustedNetworks(Config{TrustedProxies: []string{"10.0.0.0/8", "fd00::/8"}})
	peer := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, text string) {
		want := peer
		entries := strings.Split(strings.ReplaceAll(text, "\n", ","), ",")
		for _, entry := range slices.Backward(entries) {
			address, ok := parseForwarded([]byte(entry))
			if !ok {
				break
			}
			if address.Zone() != "" || address.Is4In6() {
				t.Fatalf("%q is read as %s", entry, address)
			}
			if want = address; !trusted.contain(address) {
				break
			}
		}
		var lines [][]byte
		for line := range strings.SplitSeq(text, "\n") {
			lines = append(lines, []byte(line))
		}
		if got := trusted.origin(peer, lines); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	})
}
