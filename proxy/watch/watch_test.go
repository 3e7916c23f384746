package watch_test

import (
	"errors"
	"net"
	"testing"

	"tollgate/proxy/watch"
)

// hidden is a connection that keeps its descriptor to itself.
type hidden struct{ net.Conn }

// wrapped is a connection that names what it wraps, as tls.Conn does.
type wrapped struct{ net.Conn }

func (c wrapped) NetConn() net.Conn { return c.Conn }

// endless names itself as what it wraps.
type endless struct{ net.Conn }

func (c endless) NetConn() net.Conn { return c }

func TestConnectionWithoutDescriptor(t *testing.T) {
	w := newWatcher(t)
	f := func(name string, c net.Conn) {
		t.Helper()
		token, err := w.Add(c, func() { t.Errorf("%s: left was called", name) })
		if token != 0 || !errors.Is(err, watch.ErrUnsupported) {
			t.Errorf("%s: Add = %d, %v, want 0 and ErrUnsupported", name, token, err)
		}
	}
	near, far := net.Pipe()
	_, server := dial(t)
	f("none", nil)
	f("in memory", near)
	f("in memory, wrapped", wrapped{near})
	f("hidden", hidden{server})
	f("endless", endless{server})
	near.Close()
	far.Close()
	if n := w.Len(); n != 0 {
		t.Errorf("Len %d, want 0", n)
	}
}

func TestCloseIsIdempotent(t *testing.T) {
	w, err := watch.New()
	if err != nil {
		t.Fatal(err)
	}
	w.Remove(0)
	w.Remove(1)
	for range 3 {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	w.Remove(1)
}
