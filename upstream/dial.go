package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// ConnectError says that there was no connection for the request, or none of use: it was not sent.
type ConnectError struct {
	// Address is the host:port of the endpoint.
	Address string
	// Err is the cause: a failed look-up, dial or TLS handshake, the connect
	// time-out, a *ForbiddenAddressError, or what ended the request's context first.
	Err error
}

// Error implements error.
func (e *ConnectError) Error() string { return "connect to " + e.Address + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// ForbiddenAddressError says that an endpoint's host led to an address that is
// never dialled: a link-local one, or one at which a cloud hands out credentials.
type ForbiddenAddressError struct {
	Address netip.Addr
}

// Error implements error.
func (e *ForbiddenAddressError) Error() string {
	return fmt.Sprintf("address %s is link-local or a cloud's metadata service and is never dialled", e.Address)
}

// connectKey is the context key of a request's connect time-out.
type connectKey struct{}

// connectContext carries a request's connect time-out to the dialer, which
// net/http calls with the values of the request's context and without its end.
// It also notes whether net/http has begun to write the request: before that no
// provider has seen any of it.
type connectContext struct {
	context.Context
	timeout time.Duration
	trace   httptrace.ClientTrace
	written atomic.Bool
}

func connectWithin(ctx context.Context, timeout time.Duration) *connectContext {
	c := &connectContext{Context: ctx, timeout: orDefault(timeout, connectTimeout)}
	c.trace.GetConn, c.trace.WroteHeaders = c.getConn, c.wroteHeaders
	return c
}

// getConn is called when a connection is wanted: again for a request whose first one
// was dead before anything of it had left.
func (c *connectContext) getConn(string) { c.written.Store(false) }

// wroteHeaders is called by the connection's goroutine when the head is in its
// buffer, before any of it is on its way. A connection that was closed before,
// because the request was cancelled, sends nothing any more.
func (c *connectContext) wroteHeaders() { c.written.Store(true) }

// Value implements context.Context.
func (c *connectContext) Value(key any) any {
	if key == (connectKey{}) {
		return c.timeout
	}
	return c.Context.Value(key)
}

// dialer makes the connections. It bounds the dial and the TLS handshake by one
// time-out, and gives every failure of either its type.
type dialer struct {
	net net.Dialer
	tls *tls.Config
}

func newDialer(roots *x509.CertPool) *dialer {
	return &dialer{
		net: net.Dialer{Control: prepare},
		tls: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			RootCAs:            roots,
			NextProtos:         []string{"http/1.1"},
			ClientSessionCache: tls.NewLRUClientSessionCache(0),
		},
	}
}

// dial opens a plain connection.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := boundConnect(ctx)
	defer cancel()
	return d.open(ctx, network, address)
}

// dialTLS opens a connection and shakes hands over it.
func (d *dialer) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := boundConnect(ctx)
	defer cancel()
	raw, err := d.open(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config := d.tls.Clone()
	if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
		_ = raw.Close()
		return nil, &ConnectError{address, err}
	}
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // not conn.Close, which would wait to say goodbye
		return nil, &ConnectError{address, err}
	}
	return conn, nil
}

func (d *dialer) open(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.net.DialContext(ctx, network, address)
	if err != nil {
		return nil, &ConnectError{address, err}
	}
	return conn, nil
}

func boundConnect(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout, ok := ctx.Value(connectKey{}).(time.Duration)
	if !ok {
		timeout = connectTimeout
	}
	return context.WithTimeout(ctx, timeout)
}

// prepare is the dialer's Control function.
func prepare(network, address string, socket syscall.RawConn) error {
	if err := refuseForbidden(network, address, socket); err != nil {
		return err
	}
	return socket.Control(boundReceived)
}

// refuseForbidden is called for every address before it is dialled. It sees the address that is
// really dialled, after every look-up: a name that leads elsewhere the second
// time (DNS rebinding) and unusual spellings of an address come to nothing.
func refuseForbidden(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q cannot be checked: %w", address, err)
	}
	if isForbidden(target.Addr()) {
		return &ForbiddenAddressError{target.Addr()}
	}
	return nil
}

// isForbidden reports whether an address is link-local or a cloud's metadata
// service, in any of the ways in which IPv6 can spell an IPv4 address. Loopback
// and private addresses are the operator's choice.
func isForbidden(a netip.Addr) bool {
	a = embedded(a.WithZone(""))
	if a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() {
		return true
	}
	switch a.String() {
	case "fd00:ec2::254", // Amazon EC2
		"fd20:ce::254",    // Google Compute Engine
		"100.100.100.200", // Alibaba Cloud
		"168.63.129.16",   // Azure's platform address
		"192.0.0.192":     // Oracle Cloud's older address; all the others use 169.254.169.254
		return true
	}
	return false
}

// embedded returns the IPv4 address inside an IPv6 one, or a itself.
func embedded(a netip.Addr) netip.Addr {
	a = a.Unmap() // ::ffff:0:0/96
	if a.Is4() {
		return a
	}
	b := a.As16()
	v4 := func(from int) netip.Addr { return netip.AddrFrom4([4]byte(b[from : from+4])) }
	for _, translated := range [...]struct {
		prefix netip.Prefix
		from   int
	}{
		{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64, RFC 6052
		{netip.MustParsePrefix("2002::/16"), 2},     // 6to4, RFC 3056
		{netip.MustParsePrefix("::/96"), 12},        // IPv4-compatible, RFC 4291
	} {
		if translated.prefix.Contains(a) && !a.IsLoopback() && !a.IsUnspecified() {
			return v4(translated.from)
		}
	}
	return a
}
