package proxy

import (
	"context"
	"sync"
	"time"
)

// leave lets the client go when the provider has come to where it is held.
func (m *matrix) leave(how func(*caller)) {
	m.t.Helper()
	m.reach()
	how(m.client)
	eventually(m.t, "a place for another request", func() bool { return m.gateway.InFlight() == 0 })
	if late := time.Since(m.client.left); late > promptly() {
		m.t.Errorf("the client's leaving was noticed %s late", late)
	}
	if m.policy.OnDisconnect == "drain" && !m.stuck {
		m.gate.open()
	}
}

// reach waits until the provider's answer is where it is held. A client that
// reads some of it on the way does so before.
func (m *matrix) reach() {
	m.t.Helper()
	if m.reads > 0 {
		m.client.read(m.reads)
	} else {
		select {
		case <-m.gate.reached:
		case <-time.After(patience):
			m.t.Fatalf("the provider did not come to where it is held:\n%s", m.log)
		}
	}
	if m.comment {
		m.client.until(string(keepalive()))
	}
}

// goOn lets the provider go on, for a client that stays.
func (m *matrix) goOn() {
	m.t.Helper()
	m.reach()
	m.gate.open()
	m.client.all()
}

// end shuts the gateway down, and lets open answers go on for a while.
func (m *matrix) end(grace time.Duration) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	m.halted = time.Now().Add(grace)
	must(m.t, m.server.Shutdown(ctx))
}

// haltAtOnce is halt without time for open answers.
func (m *matrix) haltAtOnce() {
	m.t.Helper()
	m.reach()
	m.end(0)
	m.client.all()
}

// halt ends the gateway while the client waits for what does not come.
func (m *matrix) halt() {
	m.t.Helper()
	m.reach()
	m.end(soon / 8)
	m.client.all()
	if !m.client.closed() {
		m.t.Error("the client's connection stays open")
	}
}

// finish ends the gateway while an answer is on its way that comes to its end in time.
func (m *matrix) finish() {
	m.t.Helper()
	m.reach()
	var helper sync.WaitGroup
	helper.Go(func() {
		<-m.gateway.staying.Done() // the end has begun
		m.gate.open()
	})
	m.end(patience)
	helper.Wait()
	m.client.all()
}

// abandon ends the gateway while an answer is drained.
func (m *matrix) abandon() {
	m.t.Helper()
	m.reach()
	m.client.hangUp()
	eventually(m.t, "a drain", func() bool { return m.gateway.Drains() == 1 })
	m.end(patience)
}
