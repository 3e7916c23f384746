package proxy

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

// headerForwardedFor is where proxies leave the addresses they were asked from: each adds its own peer's at the end.
const headerForwardedFor = "X-Forwarded-For"

// networks are those of server.trusted_proxies.
type networks []netip.Prefix

// trustedNetworks leaves out what Config.Validate refuses.
func trustedNetworks(c Config) networks {
	var trusted networks
	for _, text := range c.TrustedProxies {
		if p, err := parseNetwork(text); err == nil {
			trusted = append(trusted, p)
		}
	}
	return trusted
}

// parseNetwork reads one of server.trusted_proxies. All addresses there are would make a
// proxy of every client, which then could say that it is anybody.
func parseNetwork(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || p != p.Masked() || p.Addr().Is4In6() {
		return p, fmt.Errorf("must be a network such as 10.0.0.0/8, 192.0.2.7/32 or 2001:db8::/32, without bits behind its length, got %q", text)
	}
	if p.Bits() == 0 {
		return p, fmt.Errorf("must be a network of your own proxies, got %q: every client could name its own address", text)
	}
	return p, nil
}

func (n networks) contain(a netip.Addr) bool {
	return slices.ContainsFunc(n, func(p netip.Prefix) bool { return p.Contains(a) })
}

// clientAddress is who sent the request: the connection's other end, or, where that is
// a trusted proxy, whoever it says it was asked by. The zero Addr: the connection has
// no address. Nothing of the request is kept.
func (g *Gateway) clientAddress(c net.Conn, request *fasthttp.RequestHeader) netip.Addr {
	peer := addressOf(c.RemoteAddr())
	if !g.trusted.contain(peer) {
		return peer // what it says of others means nothing
	}
	return g.trusted.origin(peer, request.PeekAll(headerForwardedFor))
}

// origin reads the lines of X-Forwarded-For, which are one list, from its end: each trusted
// proxy vouches for the entry that it added. The first address that is no trusted
// proxy is the client, be it one that made up all that stands before it. An entry
// that is no address ends the walk: whoever added it is as far as can be seen.
func (n networks) origin(peer netip.Addr, lines [][]byte) netip.Addr {
	last := peer
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			var entry []byte
			comma := bytes.LastIndexByte(rest, ',')
			entry, more = rest[comma+1:], comma >= 0
			rest = rest[:max(comma, 0)]
			address, ok := parseForwarded(entry)
			if !ok {
				return last
			}
			if last = address; !n.contain(address) {
				return address
			}
		}
	}
	return last
}

// parseForwarded reads an address as proxies write it: 192.0.2.7, 2001:db8::7, in brackets or
// not, with a port or without. A zone has a meaning to another machine alone.
func parseForwarded(entry []byte) (netip.Addr, bool) {
	text := string(bytes.Trim(entry, " \t"))
	address, err := netip.ParseAddr(text)
	if err != nil {
		if strings.HasSuffix(text, "]") {
			text += ":0"
		}
		var withPort netip.AddrPort
		withPort, err = netip.ParseAddrPort(text)
		address = withPort.Addr()
	}
	return address.Unmap(), err == nil && address.Zone() == ""
}

// addressOf is that of a connection's end, an IPv4 address in its own form.
func addressOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok && tcp != nil {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// addressError refuses a key that is bound to other networks.
type addressError struct{ client netip.Addr }

func (e *addressError) Error() string {
	from := "an address that the gateway cannot see"
	if e.client.IsValid() {
		from = "the address " + e.client.String()
	}
	return "this key may not be used from " + from + ": ask the gateway's operator to allow it, or, behind a load balancer or proxy, " +
		"to name that in server.trusted_proxies"
}
