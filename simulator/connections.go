package simulator

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// connections counts what a simulator's listeners have accepted.
type connections struct {
	accepted, open atomic.Int64
}

// A countedListener knows how many of its connections are open.
type countedListener struct {
	*net.TCPListener
	sim *Simulator
}

// Accept implements net.Listener.
func (l countedListener) Accept() (net.Conn, error) {
	conn, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	l.sim.connections.open.Add(1)
	counted := &countedConn{TCPConn: conn, number: l.sim.connections.accepted.Add(1)}
	counted.gone = sync.OnceFunc(func() {
		l.sim.connections.open.Add(-1)
		l.sim.truth.notify()
	})
	l.sim.truth.notify()
	return counted, nil
}

type countedConn struct {
	*net.TCPConn
	number int64
	gone   func()
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	err := c.TCPConn.Close()
	c.gone()
	return err
}

// connectionNumber is the key of a context's connection number.
type connectionNumber struct{}

func withConnection(ctx context.Context, c net.Conn) context.Context {
	if counted, ok := c.(*countedConn); ok {
		return context.WithValue(ctx, connectionNumber{}, counted.number)
	}
	return ctx
}

// connectionOf is 0 when a request came by no connection of ours.
func connectionOf(ctx context.Context) int64 {
	number, _ := ctx.Value(connectionNumber{}).(int64)
	return number
}
