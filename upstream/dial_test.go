package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestForbiddenAddresses(t *testing.T) {
	f := func(want bool, addresses ...string) {
		t.Helper()
		for _, a := range addresses {
			if got := isForbidden(netip.MustParseAddr(a)); got != want {
				t.Errorf("%s is forbidden: %t", a, got)
			}
		}
	}
	f(true,
		"169.254.169.254", "169.254.0.1", "169.254.170.2", "169.254.255.255",
		"fe80::1", "fe80::1%eth0", "febf:ffff::1", "ff02::1",
		"100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254", "fd00:ec2::254%eth0",
		"::ffff:169.254.169.254", "::ffff:100.100.100.200", // IPv4-mapped
		"::169.254.169.254",    // IPv4-compatible
		"64:ff9b::169.254.1.1", // NAT64
		"2002:a9fe:a9fe::1",    // 6to4
		"224.0.0.1")
	f(false,
		"127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::",
		"10.0.0.1", "172.16.0.1", "192.168.1.1", "fd12:3456::1", "100.64.0.1",
		"169.253.255.255", "169.255.0.0", "fec0::1", "fd00:ec2::253", "100.100.100.199",
		"8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8", "2002:808:808::1")
}

// TestForbiddenEndpoints asks for real, with every spelling that a
// configuration may have.
func TestForbiddenEndpoints(t *testing.T) {
	f := func(base string) {
		t.Helper()
		_, err := newTransport(t, TransportOptions{}).Do(t.Context(), &Request{Candidate: at(t, base), Body: []byte("{}")})
		var (
			connect   *ConnectError
			forbidden *ForbiddenAddressError
		)
		if !errors.As(err, &forbidden) || !errors.As(err, &connect) {
			t.Errorf("%s gives %v, want its address to be refused", base, err)
		}
	}
	f("http://169.254.169.254/latest")
	f("https://169.254.169.254")
	f("http://[::ffff:169.254.169.254]/v1")
	f("http://[::ffff:a9fe:a9fe]/v1")
	f("http://[::169.254.169.254]/v1")
	f("http://[64:ff9b::a9fe:a9fe]/v1")
	f("http://[2002:a9fe:a9fe::]/v1")
	f("http://[fd00:ec2::254]/v1")
	f("http://[fe80::1]/v1")
	f("http://100.100.100.200/v1")
}

// TestForbiddenName resolves a harmless name to the metadata service, as DNS
// rebinding does: what counts is the address that is dialled.
func TestForbiddenName(t *testing.T) {
	d := newDialer(nil)
	d.net.Resolver = resolver(t, [4]byte{169, 254, 169, 254})
	_, err := d.dial(t.Context(), "tcp", "api.example.com:80")
	var forbidden *ForbiddenAddressError
	if !errors.As(err, &forbidden) {
		t.Fatalf("dial = %v, want the address to be refused", err)
	}
	const want = "connect to api.example.com:80: dial tcp 169.254.169.254:80: address 169.254.169.254 is link-local or a cloud's metadata service and is never dialled"
	if err.Error() != want {
		t.Errorf("it says %q, want %q", err, want)
	}
}

// resolver resolves every name to one address, by a DNS server of its own.
func resolver(t *testing.T, address [4]byte) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		query := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(query)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(dnsAnswer(query[:n], address), from)
		}
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// dnsAnswer answers a query for one name: the address for type A, else nothing.
func dnsAnswer(query []byte, address [4]byte) []byte {
	question := 12
	for query[question] != 0 {
		question += 1 + int(query[question])
	}
	question += 5 // the root label, type and class
	isA := binary.BigEndian.Uint16(query[question-4:]) == 1
	answer := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, query[12:question]...)
	if isA {
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		answer = append(answer, address[:]...)
	}
	return answer
}

func TestUnreachable(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	_ = closed.Close()
	plain := served(t, func(http.ResponseWriter, *http.Request) {})
	f := func(base, want string) {
		t.Helper()
		_, err := newTransport(t, TransportOptions{}).Do(t.Context(), &Request{Candidate: at(t, base), Body: []byte("{}")})
		var connect *ConnectError
		if !errors.As(err, &connect) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want a ConnectError with %q", base, err, want)
		}
		if got := OutcomeOfError(err); got != OutcomeUnreachable {
			t.Errorf("%v is %s, want unreachable", err, got)
		}
	}
	f("http://"+address+"/v1", "connection refused")
	f("https://"+address+"/v1", "connection refused")
	f("https://"+strings.TrimPrefix(plain.URL, "http://"), "does not look like a TLS handshake")
	f("https://"+stranger(t), "certificate")
}

// stranger is the address of a TLS server whose certificate nobody trusts.
func stranger(t *testing.T) string {
	t.Helper()
	s := newTLSServer(t, func(http.ResponseWriter, *http.Request) { t.Error("a stranger was asked") })
	return strings.TrimPrefix(s.URL, "https://")
}

// TestConnectTimeout connects to someone who accepts and then says nothing: the
// handshake has the same bound as the dial.
func TestConnectTimeout(t *testing.T) {
	silent := scripted(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	begin := time.Now()
	_, err := newTransport(t, TransportOptions{}).Do(t.Context(), &Request{
		Candidate:      at(t, strings.Replace(silent, "http:", "https:", 1)),
		Body:           []byte("{}"),
		ConnectTimeout: 30 * time.Millisecond,
	})
	var connect *ConnectError
	if !errors.As(err, &connect) || !errors.Is(err, context.DeadlineExceeded) || OutcomeOfError(err) != OutcomeUnreachable {
		t.Errorf("it ends with %v (%s), want a connect time-out", err, OutcomeOfError(err))
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestConnectTimeoutEndsWithTheHandshake lets an answer take longer than connecting may.
func TestConnectTimeoutEndsWithTheHandshake(t *testing.T) {
	const timeout = 500 * time.Millisecond
	s := newTLSServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(timeout / 2)
		w.(http.Flusher).Flush()
		time.Sleep(timeout * 3 / 4)
		_, _ = io.WriteString(w, "{}")
	})
	answer, err := newTransport(t, TransportOptions{RootCAs: rootsOf(s)}).Do(t.Context(), &Request{
		Candidate: at(t, s.URL), Body: []byte("{}"), ConnectTimeout: timeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(answer.Body); err != nil || string(text) != "{}" {
		t.Errorf("the answer is %q, %v", text, err)
	}
	_ = answer.Body.Close()
}

// TestDefaultConnectTimeout holds without a request's own.
func TestDefaultConnectTimeout(t *testing.T) {
	f := func(ctx context.Context, want time.Duration) {
		t.Helper()
		bounded, cancel := boundConnect(ctx)
		defer cancel()
		deadline, _ := bounded.Deadline()
		if left := time.Until(deadline); left > want || left < want-time.Second {
			t.Errorf("%s are left to connect, want %s", left, want)
		}
	}
	f(context.Background(), 3*time.Second)
	f(connectWithin(context.Background(), 0), 3*time.Second)
	f(connectWithin(context.Background(), 7*time.Second), 7*time.Second)
}
