//go:build !linux

package watch_test

import (
	"errors"
	"testing"

	"tollgate/proxy/watch"
)

func TestSystemWithoutWatcher(t *testing.T) {
	w := newWatcher(t)
	_, server := dial(t)
	token, err := w.Add(server, func() { t.Error("left was called") })
	if token != 0 || !errors.Is(err, watch.ErrUnsupported) {
		t.Errorf("Add = %d, %v, want 0 and ErrUnsupported", token, err)
	}
	if n := w.Len(); n != 0 {
		t.Errorf("Len %d, want 0", n)
	}
	if err := watch.KeepAlive(server, 0); err != nil {
		t.Error(err)
	}
}
