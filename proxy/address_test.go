package proxy

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"tollgate/keys"

	"github.com/valyala/fasthttp"
)

// TestOrigin walks X-Forwarded-For. The proxies are those of 10.0.0.0/8 and fd00::/8.
func TestOrigin(t *testing.T) {
	trusted := trustedNetworks(Config{TrustedProxies: []string{"10.0.0.0/8", "fd00::/8"}})
	f := func(peer, want string, lines ...string) {
		t.Helper()
		var request fasthttp.RequestHeader
		for _, line := range lines {
			request.Add("x-forwarded-for", line)
		}
		address := netip.MustParseAddr(peer)
		g := &Gateway{trusted: trusted}
		conn := &addressedConn{at: net.TCPAddrFromAddrPort(netip.AddrPortFrom(address, 4711))}
		if got := g.clientAddress(conn, &request).String(); got != want {
			t.Errorf("%s says %q: %s, want %s", peer, lines, got, want)
		}
	}
	// Nobody vouches for what a stranger says.
	f("192.0.2.1", "192.0.2.1")
	f("192.0.2.1", "192.0.2.1", "198.51.100.7")
	f("192.0.2.1", "192.0.2.1", "10.0.0.1")
	f("2001:db8::1", "2001:db8::1", "198.51.100.7")
	// A proxy does, for what it added: the last entry.
	f("10.0.0.1", "10.0.0.1")
	f("10.0.0.1", "198.51.100.7", "198.51.100.7")
	f("10.0.0.1", "198.51.100.7", "203.0.113.9, 198.51.100.7")
	f("10.0.0.1", "198.51.100.7", "1.2.3.4, 10.0.0.9,\t198.51.100.7 ,10.0.0.2, 10.0.0.3")
	f("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7")
	f("fd00::1", "2001:db8::7", "2001:db8::7, fd00::2")
	// Several lines are one list, in their order.
	f("10.0.0.1", "198.51.100.7", "203.0.113.9", "198.51.100.7, 10.0.0.2", "10.0.0.3")
	f("10.0.0.1", "203.0.113.9", "203.0.113.9", "10.0.0.2")
	// Proxies all along: the first of them.
	f("10.0.0.1", "10.0.0.4", "10.0.0.4, 10.0.0.3")
	f("10.0.0.1", "10.0.0.4", "10.0.0.4", "10.0.0.3", "10.0.0.2")
	// What is no address ends the walk where it is.
	f("10.0.0.1", "10.0.0.1", "")
	f("10.0.0.1", "10.0.0.1", "198.51.100.7, unknown")
	f("10.0.0.1", "10.0.0.2", "198.51.100.7, unknown, 10.0.0.2")
	f("10.0.0.1", "10.0.0.2", "198.51.100.7,,10.0.0.2")
	f("10.0.0.1", "10.0.0.2", "198.51.100.7", "", "10.0.0.2")
	f("10.0.0.1", "10.0.0.2", "198.51.100.7, _hidden, 10.0.0.2")
	for _, bad := range []string{
		"198.51.100", "198.51.100.256", "198.51.100.07", "198.51.100.7/32", "host.example", "198.51.100.7:", "198.51.100.7:x",
		"[198.51.100.7]", "[2001:db8::7", "2001:db8::7]", "[]", "]", "[fe80::1%eth0]", "fe80::1%eth0", "[2001:db8::7]:99999", `"198.51.100.7"`, "for=198.51.100.7",
	} {
		f("10.0.0.1", "10.0.0.1", bad)
	}
	// The forms in which proxies write addresses.
	f("10.0.0.1", "198.51.100.7", "198.51.100.7:5432")
	f("10.0.0.1", "198.51.100.7", "::ffff:198.51.100.7")
	f("10.0.0.1", "198.51.100.7", "198.51.100.7, ::ffff:10.0.0.2")
	f("10.0.0.1", "2001:db8::7", "2001:db8::7")
	f("10.0.0.1", "2001:db8::7", "[2001:db8::7]")
	f("10.0.0.1", "2001:db8::7", "[2001:db8::7]:443")
	f("10.0.0.1", "2001:db8::7", "2001:DB8:0:0:0:0:0:7")
}

type addressedConn struct {
	net.Conn
	at net.Addr
}

func (c *addressedConn) RemoteAddr() net.Addr { return c.at }

// TestOriginAllocatesNothing holds for everybody who sends no X-Forwarded-For.
func TestOriginAllocatesNothing(t *testing.T) {
	g := &Gateway{trusted: trustedNetworks(Config{TrustedProxies: []string{"192.0.2.0/24", "10.0.0.0/8"}})}
	for _, peer := range []string{"10.0.0.1:80", "198.51.100.7:80"} {
		conn := &addressedConn{at: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(peer))}
		var request fasthttp.RequestHeader
		request.Set("X-Other", "1")
		if n := testing.AllocsPerRun(100, func() { g.clientAddress(conn, &request) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", peer, n)
		}
	}
}

// TestAddressesOfKeys asks with keys that are bound to networks, on each route.
func TestAddressesOfKeys(t *testing.T) {
	r := newSocketRig(t, answering(someAnswer), rigOptions{server: func(c *Config) { c.TrustedProxies = []string{"127.0.0.0/8", "::1/128"} }})
	secrets := map[string]string{"": r.secret.Reveal()}
	for _, cidr := range []string{"203.0.113.0/24", "2001:db8::/32", "127.0.0.1/32", "::1/128"} {
		_, secret := r.issue(keys.Spec{CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix(cidr)}})
		secrets[cidr] = secret.Reveal()
	}
	f := func(address, cidr, forwarded, refused string) {
		t.Helper()
		for _, route := range []string{"POST /v1/chat/completions", "GET /v1/models", "GET /v1/models/any", "GET /v1/usage"} {
			conn, err := net.Dial("tcp", address)
			must(t, err)
			d := &dialogue{t: t, conn: conn, in: bufio.NewReader(conn)}
			head := route + " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + secrets[cidr] + "\r\n"
			if forwarded != "" {
				head += "X-Forwarded-For: " + forwarded + "\r\n"
			}
			method, _, _ := strings.Cut(route, " ")
			if method == "POST" {
				d.say(head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(plainAlias)) + plainAlias)
			} else {
				d.say(head + "\r\n")
			}
			got := d.hear(method)
			must(t, conn.Close())
			want := `{"error":{"message":"this key may not be used from the address ` + refused + `: ask the gateway's operator to allow it, or, behind a ` +
				`load balancer or proxy, to name that in server.trusted_proxies","type":"invalid_request_error","param":null,"code":"address_not_allowed"}}`
			switch {
			case refused == "" && got.status != 200, refused != "" && (got.status != 403 || got.body != want):
				t.Errorf("%s from %q with a key for %q: %d %s", route, forwarded, cidr, got.status, got.body)
			case refused != "" && got.header.Get("X-Ratelimit-Limit-Requests") != "":
				t.Errorf("%s: a stranger is shown the key's limits: %v", route, got.header)
			}
		}
	}
	f(r.address, "", "198.51.100.7", "")
	f(r.address, "203.0.113.0/24", "203.0.113.9", "")
	f(r.address, "203.0.113.0/24", "::ffff:203.0.113.9", "")
	f(r.address, "203.0.113.0/24", "192.0.2.1", "")
	f(r.address, "203.0.113.0/24", "203.0.114.9", "203.0.114.9")
	f(r.address, "203.0.113.0/24", "::ffff:203.0.114.9", "203.0.114.9")
	f(r.address, "203.0.113.0/24", "203.0.113.9, 198.51.100.7", "198.51.100.7")
	f(r.address, "203.0.113.0/24", "2001:db8::7", "2001:db8::7")
	f(r.address, "203.0.113.0/24", "", "127.0.0.1")
	f(r.address, "2001:db8::/32", "2001:db8:1::7", "")
	f(r.address, "2001:db8::/32", "2001:db9::7", "2001:db9::7")
	f(r.address, "127.0.0.1/32", "", "")
	if !r.spans.has("client.address", "203.0.113.9") || r.spans.has("client.address", "::ffff:203.0.113.9") {
		t.Error("no span names the client's address, or one does not in its own form")
	}

	// Sockets of IPv6: an IPv4 client of one that takes both is the same client.
	six, err := net.Listen("tcp", "[::]:0")
	if err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(six) }()
	_, port, _ := net.SplitHostPort(six.Addr().String())
	f("127.0.0.1:"+port, "127.0.0.1/32", "", "")
	f("127.0.0.1:"+port, "::1/128", "", "127.0.0.1")
	f("[::1]:"+port, "::1/128", "", "")
	f("[::1]:"+port, "127.0.0.1/32", "", "::1")
	must(t, six.Close())
	<-served // it says that its listener is closed
}

// TestForwardedForMeansNothing is for gateways without server.trusted_proxies.
func TestForwardedForMeansNothing(t *testing.T) {
	r := newSocketRig(t, answering(someAnswer), rigOptions{spec: keys.Spec{CIDRs: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}})
	d := r.talk()
	// It is refused before its body is looked at, which never comes.
	d.say("POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nAuthorization: Bearer " + r.secret.Reveal() +
		"\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n")
	if got := d.hear("POST"); got.status != 403 || !strings.Contains(got.body, "from the address 127.0.0.1: ask") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if line := r.settled(); !strings.Contains(line, `"error_code":"address_not_allowed"`) || !strings.Contains(line, r.key.ID) {
		t.Errorf("the line of the log: %s", line)
	}
}

// TestTrustedProxiesConfig says what is wrong with each entry.
func TestTrustedProxiesConfig(t *testing.T) {
	f := func(want string, entries ...string) {
		t.Helper()
		c := DefaultConfig()
		c.TrustedProxies = entries
		if err := c.Validate(); fmt.Sprint(err) != want {
			t.Errorf("%q: got\n%v, want\n%s", entries, err, want)
		}
	}
	const each = `server.trusted_proxies: each must be a network such as 10.0.0.0/8, 192.0.2.7/32 or 2001:db8::/32, without bits behind its length, got `
	f("<nil>")
	f("<nil>", "10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "0.0.0.0/1")
	f(each+`"10.0.0.1"`, "10.0.0.0/8", "10.0.0.1")
	f(each+`"10.0.0.1/8"`+"\n"+each+`""`, "10.0.0.1/8", "")
	f(each+`"::ffff:10.0.0.0/104"`, "::ffff:10.0.0.0/104")
	f(each+`"fe80::%eth0/10"`, "fe80::%eth0/10")
	f(each+`"loopback"`, "loopback")
	const all = `server.trusted_proxies: each must be a network of your own proxies, got "%s": every client could name its own address`
	f(fmt.Sprintf(all, "0.0.0.0/0"), "0.0.0.0/0")
	f(fmt.Sprintf(all, "::/0"), "10.0.0.0/8", "::/0")
}
