package keys

import (
	"net/netip"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

const (
	// maxStrangers bounds the addresses whose failed look-ups are counted, about 200 bytes each. Whoever has more of them
	// finds maxUnmet in their way.
	maxStrangers = 16_384
	// strangerBurst is how many seconds' worth of look-ups may fail at once.
	strangerBurst = 4
	// strangerBits is what an IPv6 customer is given at least: all of it is one address.
	strangerBits = 64
)

// strangers are the addresses whose look-ups have failed lately. It is safe for concurrent use.
type strangers struct {
	perSecond int
	tries     *otter.Cache[netip.Addr, *rate.Limiter]
}

func newStrangers(perSecond int) *strangers {
	return &strangers{perSecond: perSecond, tries: newMemory[netip.Addr, *rate.Limiter](maxStrangers)}
}

// exhausted tells whether so many look-ups for this address have failed that nothing is asked for it any more.
func (s *strangers) exhausted(from netip.Addr) bool {
	tries, known := s.tries.GetIfPresent(network(from))
	return known && tries.TokensAt(time.Now()) < 1
}

// failed counts a look-up that found nothing.
func (s *strangers) failed(from netip.Addr) {
	if !from.IsValid() {
		return
	}
	tries, _ := s.tries.ComputeIfAbsent(network(from), func() (*rate.Limiter, bool) {
		return rate.NewLimiter(rate.Limit(s.perSecond), strangerBurst*s.perSecond), false
	})
	if tries != nil {
		tries.AllowN(time.Now(), 1)
	}
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
