package admin

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How often one address may present a wrong token.
const (
	strangerRate  = 5 // a second
	strangerBurst = 20
	// maxStrangers bounds the addresses that are remembered, about 200 bytes each.
	maxStrangers = 4096
	// strangerBits is how much of an IPv6 address is one client's: it has the rest to itself.
	strangerBits = 64
)

// strangers counts who presents wrong tokens. It is safe for concurrent use.
type strangers struct {
	mu    sync.Mutex
	paces map[netip.Prefix]*rate.Limiter
}

func newStrangers() *strangers { return &strangers{paces: make(map[netip.Prefix]*rate.Limiter)} }

// allow tells whether this address may still be told that its token is wrong.
func (s *strangers) allow(remote string, now time.Time) bool {
	who := clientOf(remote)
	s.mu.Lock()
	defer s.mu.Unlock()
	pace, known := s.paces[who]
	if !known {
		if len(s.paces) >= maxStrangers {
			for forgotten := range s.paces { // which gives it another burst, and no more
				delete(s.paces, forgotten)
				break
			}
		}
		pace = rate.NewLimiter(strangerRate, strangerBurst)
		s.paces[who] = pace
	}
	return pace.AllowN(now, 1)
}

// clientOf is the address of a connection, or its network in IPv6. One that cannot be read is one with all of its kind.
func clientOf(remote string) netip.Prefix {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	address := from.Addr().Unmap().WithZone("")
	bits := address.BitLen()
	if address.Is6() {
		bits = strangerBits
	}
	return netip.PrefixFrom(address, bits).Masked()
}
