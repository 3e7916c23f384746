package journal

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

// The power goes, and goes again while the journal is being opened, at each moment of
// it. What was acknowledged before is in the tail that is taken over, because no later
// entry proves it.
func TestPowerGoesAgainDuringTakeover(t *testing.T) {
	const seeds = 6
	for _, c := range []struct {
		name    string
		entries int // of 4 KiB
		most    int // operations until the journal is open
	}{
		{"a tail of one segment", 40, 12},
		{"a tail of two segments", 90, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			once, acknowledged := t.TempDir(), map[uint64]string{}
			oneLife(t, once, c.entries, acknowledged)
			opened := 0
			for after := 1; after <= c.most; after++ {
				for seed := range seeds {
					dir := t.TempDir()
					must(t, os.CopyFS(dir, os.DirFS(once)))
					m := &mains{random: rand.New(rand.NewPCG(uint64(seed), uint64(after))), left: after}
					l, err := Open(dir, m.small())
					if err == nil {
						opened++
						m.cut()
						_ = l.Close()
					} else if !errors.Is(err, errPowerOff) {
						t.Fatalf("after %d operations: %v", after, err)
					}
					if lost := missing(t, dir, acknowledged); lost > 0 {
						t.Errorf("after %d operations, seed %d: %d of %d acknowledged entries are gone", after, seed, lost, len(acknowledged))
					}
				}
			}
			if opened == 0 || opened == seeds*c.most {
				t.Errorf("%d of %d times it was opened: the power is to go before and after", opened, seeds*c.most)
			}
		})
	}
}

// small are options of segments of 256 KiB.
func (m *mains) small() Options {
	o := m.options()
	o.MaxSize = segmentsInAll * minSegment
	return o
}

// oneLife takes entries, which one fsync acknowledges, and ends without another.
func oneLife(t *testing.T, dir string, entries int, acknowledged map[uint64]string) {
	t.Helper()
	m := &mains{random: rand.New(rand.NewPCG(1, 1)), left: math.MaxInt}
	l, err := Open(dir, m.small())
	must(t, err)
	var last uint64
	for n := range entries {
		payload := fmt.Sprintf("%d %04096d", n, 0)
		last, err = l.Append(Settle, Room{Class: Owed}, []byte(payload))
		must(t, err)
		acknowledged[last] = payload
	}
	must(t, l.Await(t.Context(), last))
	m.cut()
	_ = l.Close()
	if lost := missing(t, dir, acknowledged); lost > 0 {
		t.Fatalf("%d acknowledged entries are gone at once", lost)
	}
}

// missing counts what was acknowledged and is not in the journal.
func missing(t *testing.T, dir string, acknowledged map[uint64]string) (lost int) {
	t.Helper()
	found := map[uint64]string{}
	_, err := survey(dir, 0, func(e Entry) error {
		found[e.Sequence] = string(e.Payload)
		return nil
	})
	must(t, err)
	for sequence, payload := range acknowledged {
		if found[sequence] != payload {
			lost++
		}
	}
	return lost
}
