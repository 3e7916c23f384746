package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// crashPoint is a place where the gateway may die: at the nth time that it is passed,
// in a short run, and at any time up to most where it is proved.
type crashPoint struct {
	name    string
	n, most int
}

// crashPoints are all places, in the groups that die one after the other on the same data.
func crashPoints() [][]crashPoint {
	return [][]crashPoint{{
		{"intend.before_write", 12, 60},
		{"intend.after_write", 12, 60},
		{"settle.before_write", 9, 60},
		{"settle.after_write", 9, 60},
		{"settle.after_sync", 9, 60},
		{"recover.before_settle", 2, 4},
		{"recover.after_settle", 2, 4},
	}, {
		{"note.after_write", 2, 8},
		{"checkpoint.after_write", 2, 20},
		{"attempt.before_send", 12, 60},
		{"attempt.after_head", 12, 60},
		{"relay.first_byte", 9, 40},
		{"relay.before_done", 5, 30},
		{"relay.after_done", 5, 30},
	}, {
		{"plain.before_answer", 4, 20},
		{"plain.after_answer", 4, 20},
		{"commit.before_sync", 12, 60},
		{"commit.after_sync", 12, 60},
		{"ship.before_write", 3, 12},
		{"ship.after_write", 3, 12},
	}, {
		{"cursor.before_rename", 3, 12},
		{"cursor.after_rename", 3, 12},
		{"rotate.before_header", 2, 3},
		{"rotate.after_header", 2, 3},
		{"stock.after_create", 1, 4},
		{"stock.after_fill", 1, 4},
		{"prune.after_remove", 1, 2},
		{"close.before_unlock", 1, 1},
	}}
}

// TestCrashPoints lets the gateway die at each place where it could do harm, under
// load, and start again on what it has left: every answer that somebody has whole is
// on the bill once, to the token, every request that reached a provider was announced
// before and is settled once, and the totals are the sum of that.
func TestCrashPoints(t *testing.T) {
	alone(t)
	for n, group := range crashPoints() {
		if proving() {
			for _, p := range group {
				t.Run(p.name, func(t *testing.T) { t.Parallel(); p.prove(t, 20) })
			}
			continue
		}
		t.Run(group[0].name, func(t *testing.T) {
			t.Parallel()
			m := newMortal(t, uint64(n))
			m.killed(t, 300*time.Millisecond)
			for _, p := range group {
				m.dieAt(t, p.name, p.n)
			}
			m.judged(t)
		})
	}
}

// prove dies at this point so many times.
func (p crashPoint) prove(t *testing.T, times int) {
	m := newMortal(t, uint64(p.most))
	for n := range times {
		if strings.HasPrefix(p.name, "recover.") || n == 0 { // there must be something to recover
			m.killed(t, 500*time.Millisecond)
		}
		m.dieAt(t, p.name, 1+m.chance.IntN(p.most))
		t.Logf("%d of %d, after %d whole answers", n+1, times, m.served())
	}
	m.judged(t)
}

// dieAt lets the gateway die when it passes a point for the nth time.
func (m *mortal) dieAt(t *testing.T, point string, n int) {
	t.Helper()
	m.env["KEEP_SHIPPED"] = "1h"
	if strings.HasPrefix(point, "prune.") {
		m.env["KEEP_SHIPPED"] = "0s"
		defer m.archived(t)()
	}
	if !m.revive(t, fmt.Sprint(point, ":", n)) {
		m.buried(t, point)
		return
	}
	if g := m.gateway; strings.HasPrefix(point, "close.") { // it closes when it is asked to end
		defer time.AfterFunc(500*time.Millisecond, func() { g.terminate(t) }).Stop()
	}
	ctx, enough := context.WithTimeout(t.Context(), 4*patience)
	defer enough()
	m.open(ctx, m.gateway, point)
	m.buried(t, point)
}

// TestKilledAtRandom kills the gateway at any moment, under load, again and again.
func TestKilledAtRandom(t *testing.T) {
	alone(t)
	rounds, kills, longest := 1, 4, 2*time.Second
	if proving() {
		rounds, kills, longest = 10, 20, 3*time.Second
	}
	for round := range rounds {
		t.Run(fmt.Sprint("round ", round+1), func(t *testing.T) {
			m := newMortal(t, uint64(100+round))
			if measured(t, m.env); proving() {
				m.atOnce = 128 // which makes some 200 requests a second
			}
			for n := range kills {
				after := 50*time.Millisecond + time.Duration(m.chance.Int64N(int64(longest)))
				m.killed(t, after)
				t.Logf("kill %d after %s, %d whole answers", round*kills+n+1, after, m.served())
			}
			m.judged(t)
		})
	}
}
