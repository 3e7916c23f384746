package e2e

import (
	"context"
	"maps"
	"net/http"
	"testing"
	"time"

	"tollgate/simulator"
	"tollgate/store/redistest"
)

// trio is three replicas on one Redis, and an operator at each. Their provider
// answers at once: whatever takes time is the replicas' doing.
type trio struct {
	redis     *redistest.Server
	replicas  [3]*fleet
	operators [3]operators
	clients   [3]bare
	// strangers are keys that only the first replica can have met: they are older than the others.
	strangers []tenantKey
}

// trioModel is the one that the trio's provider has.
const trioModel = "gemini-2.5-flash-lite"

// newTrio starts the replicas. The environment changes single options of configuration.
func newTrio(t *testing.T, redis *redistest.Server, changes environment) *trio {
	t.Helper()
	first := &fleet{env: environment{
		"SIMULATOR": startSimulator(t), "PROVIDER_KEY": providerKey, "REDIS": redis.Address(), "REQUESTS_PER_MINUTE": "0", "DATA_DIR": t.TempDir(),
	}}
	maps.Copy(first.env, changes)
	first.start(t)
	three := &trio{redis: redis, replicas: [3]*fleet{first}}
	three.meet(t, 0)
	for range 8 {
		three.strangers = append(three.strangers, three.operators[0].create(t, `"name":"stranger"`))
	}
	for i := 1; i < len(three.replicas); i++ {
		three.replicas[i] = first.beside(t)
		three.meet(t, i)
	}
	return three
}

// startSimulator starts a provider that answers at once, and returns its address.
func startSimulator(t *testing.T) string {
	t.Helper()
	provider, err := simulator.StartFast("127.0.0.1:0", simulator.FastOptions{Tokens: 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := provider.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return provider.URL()
}

// meet finds the replica's operator and client.
func (three *trio) meet(t *testing.T, i int) {
	t.Helper()
	three.operators[i], three.clients[i] = three.replicas[i].operators(t), three.replicas[i].bare(t)
}

// enter shows a key to a replica, in the cheapest request that there is.
func (three *trio) enter(t *testing.T, replica int, secret string) reply {
	t.Helper()
	return three.clients[replica].enter(t.Context(), secret)
}

func (b bare) enter(ctx context.Context, secret string) reply {
	return b.send(ctx, wish{method: http.MethodGet, path: "/v1/models", secret: secret})
}

// told shows a key to a replica until it says what it makes of it: on a busy machine Redis is late now and then, and the
// client is asked to come back. On a quiet one, where this is proved, nobody is.
func (three *trio) told(t *testing.T, replica int, secret string) (r reply) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if r = three.enter(t, replica, secret); !r.unknowing() || proving() || time.Now().After(deadline) {
			return r
		}
	}
}

// unknowing tells whether the answer is that of a replica which cannot look the key up for the moment.
func (r reply) unknowing() bool {
	return r.status == http.StatusServiceUnavailable && r.code() == "key_store_unavailable"
}

// welcome fails the test unless every replica takes the key at once.
func (three *trio) welcome(t *testing.T, secret string) {
	t.Helper()
	for i := range three.replicas {
		if r := three.told(t, i, secret); r.status != http.StatusOK {
			t.Errorf("replica %d answers a valid key %s", i, r)
		}
	}
}

// shut fails the test unless every replica refuses the key.
func (three *trio) shut(t *testing.T, what, secret string) {
	t.Helper()
	for i := range three.replicas {
		if r := three.told(t, i, secret); !r.shut() {
			t.Errorf("replica %d answers %s %s", i, what, r)
		}
	}
}

// shutSoon waits until every replica has heard that the key is to be refused.
func (three *trio) shutSoon(t *testing.T, what, secret string) {
	t.Helper()
	until(t, "the end of "+what, patience, func() bool {
		for i := range three.replicas {
			if !three.enter(t, i, secret).shut() {
				return false
			}
		}
		return true
	})
}

// shut tells whether the answer is that of a key which does not work.
func (r reply) shut() bool {
	return r.err == nil && r.status == http.StatusUnauthorized && r.code() == "invalid_api_key"
}
