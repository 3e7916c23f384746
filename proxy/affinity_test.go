package proxy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"tollgate/keys"
	"tollgate/telemetry"
	"tollgate/upstream"
)

// belonging is a gateway with four equal providers behind one model, and who of
// them answers.
type belonging struct {
	*rig
	t *testing.T
}

func newBelonging(t *testing.T, affinity string) belonging {
	t.Helper()
	leg := legFunc(func(_ context.Context, q *upstream.Request) (*upstream.Response, error) {
		if q.Stream {
			return streamAnswer(strings.NewReader(someStream)), nil
		}
		return plainAnswer(200, someAnswer), nil
	})
	return belonging{newRig(t, leg, rigOptions{memory: true, upstream: func(c *upstream.Config) {
		m := upstream.ModelConfig{Affinity: affinity}
		for i := range 4 {
			name := fmt.Sprintf("p%d", i)
			c.Providers[name] = upstream.ProviderConfig{Contract: upstream.ContractConfig{Base: "openai"}, Endpoints: []upstream.EndpointConfig{
				{URL: "http://" + name + ".invalid/v1", APIKeys: []telemetry.Secret{"k"}},
			}}
			m.Targets = append(m.Targets, upstream.TargetConfig{Provider: name})
		}
		c.Models["any"] = m
	}}), t}
}

// answers says who answers a conversation with this opening, after so many turns.
func (b belonging) answers(opening string, turns int) string {
	b.t.Helper()
	messages := `{"role":"system","content":"Be kind."},{"role":"user","content":"` + opening + `"}`
	for i := range turns {
		messages += fmt.Sprintf(`,{"role":"assistant","content":"a%d"},{"role":"user","content":"u%d"}`, i, i)
	}
	got := b.ask(fmt.Sprintf(`{"model":"any","stream":%t,"messages":[%s]}`, turns%2 == 1, messages))
	if got.status != 200 {
		b.t.Fatalf("%d %s", got.status, got.body)
	}
	return got.header.Get("X-Tollgate-Upstream")
}

func TestAffinity(t *testing.T) {
	openings := make([]string, 40)
	for i := range openings {
		openings[i] = fmt.Sprintf("question %d", i)
	}
	// A conversation stays with one provider, of all of which each has some; and
	// another replica has it stay with the same.
	t.Run("prefix", func(t *testing.T) {
		here, there := newBelonging(t, "prefix"), newBelonging(t, "prefix")
		used := make(map[string]bool)
		for _, opening := range openings {
			first := here.answers(opening, 0)
			used[first] = true
			for turns := range 4 {
				if got := here.answers(opening, turns); got != first {
					t.Errorf("%s: %s answers after %d turns, %s at first", opening, got, turns, first)
				}
			}
			if got := there.answers(opening, 1); got != first {
				t.Errorf("%s: %s answers at another replica, %s here", opening, got, first)
			}
		}
		if len(used) != 4 {
			t.Errorf("only %v answer", slices.Sorted(maps.Keys(used)))
		}
	})
	t.Run("prefix is of a tenant", func(t *testing.T) {
		b := newBelonging(t, "prefix")
		var acme, other []string
		for _, opening := range openings {
			acme = append(acme, b.answers(opening, 0))
		}
		_, b.secret = b.issue(keys.Spec{Tenant: "other"})
		for _, opening := range openings {
			other = append(other, b.answers(opening, 0))
		}
		if slices.Equal(acme, other) {
			t.Error("two tenants have all their conversations at the same providers")
		}
	})
	t.Run("key", func(t *testing.T) {
		b := newBelonging(t, "key")
		used := make(map[string]bool)
		for range 20 {
			_, b.secret = b.issue(keys.Spec{})
			first := b.answers("whatever", 0)
			used[first] = true
			if got := b.answers("something else", 1); got != first {
				t.Errorf("%s answers the key that %s has answered", got, first)
			}
		}
		if len(used) < 3 {
			t.Errorf("20 keys are with %v only", slices.Sorted(maps.Keys(used)))
		}
	})
}
