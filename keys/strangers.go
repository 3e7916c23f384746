package keys

import (
	"net/netip"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

const (
	// maxStrangers bounds the addresses that are counted, about 200 bytes each. Whoever has more of them finds maxUnmet in
	// their way.
	maxStrangers = 16_384
	// strangerBurst is how many seconds' worth of look-ups may come at once.
	strangerBurst = 4
	// strangerBits is what an IPv6 customer is given at least: all of it is one address.
	strangerBits = 64
)

// strangers are the addresses for which look-ups are made of keys that nobody knows. It is safe for concurrent use.
type strangers struct {
	perSecond int
	tries     *otter.Cache[netip.Addr, *rate.Limiter]
}

func newStrangers(perSecond int) *strangers {
	return &strangers{perSecond: perSecond, tries: newMemory[netip.Addr, *rate.Limiter](maxStrangers)}
}

// allow tells whether one more look-up may be made for this address, and counts it.
func (s *strangers) allow(from netip.Addr) bool {
	if !from.IsValid() {
		return true
	}
	tries, _ := s.tries.ComputeIfAbsent(network(from), func() (*rate.Limiter, bool) {
		return rate.NewLimiter(rate.Limit(s.perSecond), strangerBurst*s.perSecond), false
	})
	return tries.Allow()
}

// network is what counts as one address.
func network(from netip.Addr) netip.Addr {
	from = from.Unmap().WithZone("")
	if !from.Is6() {
		return from
	}
	prefix, err := from.Prefix(strangerBits)
	if err != nil {
		return from
	}
	return prefix.Addr()
}
