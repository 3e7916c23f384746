package keys

import (
	"fmt"
	"sync"
	"testing"
)

func TestCuts(t *testing.T) {
	c := newCuts()
	early, other := c.Watch("key_1"), c.Watch("key_2")
	f := func(what string, w *Watch, want bool) {
		t.Helper()
		if got := w.Severed(); got != want {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	f("before", &early, false)
	c.sever("key_1")
	f("early", &early, true)
	f("early, again", &early, true)
	f("another", &other, false)
	late := c.Watch("key_1")
	f("late", &late, true)
	c.sever("key_2")
	f("another, then", &other, true)
	var none Watch
	f("the zero Watch", &none, false)
	var zero Cuts
	first := zero.Watch("key_1")
	f("the zero Cuts", &first, false)
	zero.sever("key_1")
	f("the zero Cuts, then", &first, true)
}

// However many keys are severed, memory is bounded, and it is the oldest that are forgotten.
func TestCutsAreBounded(t *testing.T) {
	c := newCuts()
	for n := range 3*maxCuts + 7 {
		c.sever(fmt.Sprint(n))
		c.sever(fmt.Sprint(n)) // takes no second place
	}
	if len(c.ids) != maxCuts || len(c.ring) != maxCuts {
		t.Errorf("%d and %d are remembered, want %d", len(c.ids), len(c.ring), maxCuts)
	}
	f := func(n int, want bool) {
		t.Helper()
		watch := c.Watch(fmt.Sprint(n))
		if got := watch.Severed(); got != want {
			t.Errorf("%d: got %v, want %v", n, got, want)
		}
	}
	f(2*maxCuts+6, false)
	f(2*maxCuts+7, true)
	f(3*maxCuts+6, true)
}

// A look that comes after a cut sees it, whatever is severed at the same time.
func TestNoCutIsLost(t *testing.T) {
	for range 200 {
		c := newCuts()
		watch := c.Watch("key_1")
		cut := make(chan struct{})
		var group sync.WaitGroup
		group.Go(func() {
			for n := range 20 {
				c.sever(fmt.Sprint(n))
			}
		})
		group.Go(func() {
			c.sever("key_1")
			close(cut)
		})
		group.Go(func() {
			for done := false; !done; {
				select {
				case <-cut:
					done = true
				default:
				}
				if severed := watch.Severed(); done && !severed {
					t.Error("the cut was missed")
				}
			}
		})
		group.Wait()
	}
}

func TestWatchDoesNotAllocate(t *testing.T) {
	c := newCuts()
	for n := range 100 {
		c.sever(fmt.Sprint(n))
	}
	if n := testing.AllocsPerRun(200, func() {
		watch := c.Watch("key_1")
		_, _ = watch.Severed(), watch.Severed()
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// An id that is issued anew, long after its key was deleted, is a key like any other.
func TestMendedCut(t *testing.T) {
	c := newCuts()
	c.sever("key_1")
	c.mend("key_1")
	again := c.Watch("key_1")
	if again.Severed() {
		t.Error("severed, though it was issued anew")
	}
	c.sever("key_1")
	if !again.Severed() {
		t.Error("not severed")
	}
}

// An id that was severed, issued anew and severed again takes one place.
func TestCutTakesOnePlace(t *testing.T) {
	c := newCuts()
	for range 3 {
		c.sever("key_1")
		c.mend("key_1")
	}
	c.sever("key_1")
	if len(c.ring) != 1 || !c.has("key_1") {
		t.Errorf("%d places, severed %v; want 1 and true", len(c.ring), c.has("key_1"))
	}
}
