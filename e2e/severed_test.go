package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
	"tollgate/store/redistest"
)

// TestStreamsOfARevokedKey revokes keys while another replica streams to their
// clients: the streams of one that is revoked at once end soon, visibly, and are paid
// for as far as they went; those of one that is just revoked run to their end.
func TestStreamsOfARevokedKey(t *testing.T) {
	t.Parallel()
	one := newFleet(t, environment{"REDIS": redistest.Start(t).Address()})
	two := one.beside(t)
	operator := one.operators(t)
	cut, left, other := operator.create(t, `"name":"cut"`), operator.create(t, `"name":"left"`), operator.create(t, `"name":"other"`)
	const gap = 100 * time.Millisecond
	one.behave(simulator.Behaviour{Tokens: 150, Gap: gap})
	began := func(f *fleet, key tenantKey, prompt string) <-chan *answer {
		return f.streaming(t, f.call(t, key.Secret), "gemini-2.5-flash-lite", prompt)
	}
	here, there := began(one, cut, "Please go on until I am cut, here"), began(two, cut, "Please go on until I am cut, there")
	whole := began(two, left, "Please go on to the end")
	bystander := began(two, other, "Please do not mind the others")

	operator.revoke(t, left.ID)
	var key tenantKey
	ordered := time.Now()
	operator.obeyed(t, http.MethodPost, "/keys/"+cut.ID+"/revoke", `{"now":true}`, &key)
	if key.State != "revoked" {
		t.Errorf("the key revoked at once is %+v", key)
	}
	for replica, ended := range map[*fleet]<-chan *answer{one: here, two: there} {
		a := receive(t, ended)
		took := time.Since(ordered)
		a.interrupted(t, "key_revoked")
		if took > 2*time.Second && proving() {
			t.Errorf("a stream went on for %s after its key was revoked at once", took)
		}
		t.Logf("a stream ended %s after the order", took.Round(time.Millisecond))
		e := replica.attempt(t, "Please go on until I am cut, "+map[*fleet]string{one: "here", two: "there"}[replica])
		if !e.ClientGone || e.Done {
			t.Errorf("the provider was not told: %+v", e)
		}
		replica.checkPartial(t, replica.record(t, a.id()), e, "key_revoked")
	}
	for _, ended := range []<-chan *answer{whole, bystander} {
		a := receive(t, ended)
		a.complete(t)
		if !strings.HasSuffix(a.wire.String(), "data: [DONE]\n\n") {
			t.Errorf("a stream that nobody was to touch ends with\n%s", a.wire.String())
		}
	}
	two.turnsAway(t, left.Secret)
	two.turnsAway(t, cut.Secret)
}
