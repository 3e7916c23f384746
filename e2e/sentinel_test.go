package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"tollgate/store/redistest"
)

// TestKeysThroughAFailOver has Sentinels replace the Redis of three replicas, because it
// is gone and because somebody asks them to: clients whose keys are known notice
// nothing, and all that was ordered before holds afterwards.
func TestKeysThroughAFailOver(t *testing.T) {
	alone(t)
	f := func(how string, failOver func(*redistest.SentinelSet) *redistest.Server) {
		t.Run(how, func(t *testing.T) {
			alone(t)
			set := redistest.StartSentinels(t, 3, redistest.WithAppendOnly(), redistest.WithReplicas(2))
			three := newTrio(t, set.Master, environment{"REDIS": strings.Join(set.Addresses(), ","), "REDIS_MASTER": redistest.MasterName})
			load := three.traffic(t, 2, 25*time.Millisecond)
			revoked, removed := three.operators[0].create(t, `"name":"revoked"`), three.operators[1].create(t, `"name":"removed"`)
			rotated := three.operators[2].create(t, `"name":"rotated"`)
			for _, key := range []tenantKey{revoked, removed, rotated} {
				three.welcome(t, key.Secret)
			}
			three.operators[1].revoke(t, revoked.ID)
			three.operators[2].remove(t, removed.ID)
			replaced := three.operators[0].rotate(t, rotated.ID, "0s")
			inStep(t, set.Master)

			former := failOver(set)
			began := time.Now()
			set.AwaitMaster(former)
			until(t, "an order to be taken", patience, func() bool {
				return three.operators[0].order(t.Context(), http.MethodPatch, "/keys/"+rotated.ID, `{"name":"moved"}`).status == http.StatusOK
			})
			t.Logf("orders were taken again after %s", time.Since(began).Round(time.Millisecond))
			time.Sleep(time.Second) // for whatever a replica may have misunderstood
			for _, key := range append(three.strangers, replaced) {
				three.welcome(t, key.Secret)
			}
			for what, secret := range map[string]string{"a revoked key": revoked.Secret, "a deleted key": removed.Secret, "a replaced secret": rotated.Secret} {
				three.shut(t, what, secret)
			}
			young := three.operators[1].create(t, `"name":"young"`)
			three.welcome(t, young.Secret)
			three.operators[2].revoke(t, young.ID)
			three.shutSoon(t, "a young key", young.Secret)
			t.Logf("%d requests of known keys", load.end(t))
		})
	}
	f("killed", (*redistest.SentinelSet).KillMaster)
	f("planned", (*redistest.SentinelSet).FailOver)
}

var offsets = regexp.MustCompile(`(?m)^(?:slave\d+:.*,offset=(\d+),.*|master_repl_offset:(\d+))\s*$`)

// inStep waits until the copies hold what the master does: Redis promises no more of a fail-over.
func inStep(t *testing.T, master *redistest.Server) {
	t.Helper()
	client := master.Client(t)
	until(t, "copies in step with the master", patience, func() bool {
		info, err := client.Info(t.Context(), "replication").Result()
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		found := offsets.FindAllStringSubmatch(info, -1)
		for _, m := range found {
			seen[fmt.Sprint(m[1], m[2])] = true
		}
		return len(found) >= 2 && len(seen) == 1
	})
}
