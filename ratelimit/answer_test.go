package ratelimit

import (
	"fmt"
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	text := ""
	for l := range Limit(LimitCount) {
		text += fmt.Sprintf("%s: dimension %d, of the tenant: %v\n", l, l.Dimension(), l.OfTenant())
	}
	text += Limit(6).String()
	if want := `requests: dimension 0, of the tenant: false
tenant_requests: dimension 0, of the tenant: true
tokens: dimension 1, of the tenant: false
tenant_tokens: dimension 1, of the tenant: true
concurrent: dimension 2, of the tenant: false
tenant_concurrent: dimension 2, of the tenant: true
Limit(6)`; text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if Requests != 0 || Tokens != 1 || Concurrent != 2 {
		t.Errorf("the dimensions are %d, %d, %d", Requests, Tokens, Concurrent)
	}
}

func remaining(n int64) Decision {
	return Decision{Allowed: true, Limit: 100, Remaining: n}
}

func refusal(retryAfter time.Duration) Decision { return Decision{Limit: 100, RetryAfter: retryAfter} }

func shadowed(d Decision) Decision {
	d.Shadow = true
	return d
}

func TestStrictest(t *testing.T) {
	none := Decision{Allowed: true}
	f := func(a Answer, allowed bool, strictest Limit) {
		t.Helper()
		if a.Allowed() != allowed {
			t.Errorf("allowed: %v, want %v", a.Allowed(), allowed)
		}
		if got := a.Strictest(); !allowed && got != strictest {
			t.Errorf("the strictest is %s, want %s", got, strictest)
		}
	}
	f(Answer{none, none, none, none, none, none}, true, 0)
	f(Answer{remaining(1), none, remaining(0), remaining(7), none, none}, true, 0)
	f(Answer{refusal(1), none, none, none, none, none}, false, KeyRequests)
	f(Answer{remaining(0), refusal(time.Second), none, none, none, none}, false, TenantRequests)
	f(Answer{refusal(time.Second), refusal(2 * time.Second), refusal(2 * time.Second), none, none, none}, false, TenantRequests)
	f(Answer{refusal(time.Second), none, remaining(1), refusal(time.Minute), refusal(time.Second), refusal(time.Second)}, false, TenantTokens)
	f(Answer{remaining(1), none, none, none, none, refusal(time.Second)}, false, TenantConcurrent)
	f(Answer{remaining(1), none, none, none, refusal(time.Second), refusal(time.Second)}, false, KeyConcurrent)
	f(Answer{none, none, none, none, refusal(0), none}, false, KeyConcurrent)
	// What is in shadow refuses nobody, however long it would.
	f(Answer{shadowed(refusal(time.Hour)), remaining(1), none, none, none, none}, true, 0)
	f(Answer{shadowed(refusal(time.Hour)), refusal(time.Millisecond), none, none, none, none}, false, TenantRequests)
}

func TestTightest(t *testing.T) {
	none := Decision{Allowed: true}
	f := func(key, tenant, want Decision, limited bool) {
		t.Helper()
		for _, d := range []Dimension{Requests, Tokens, Concurrent} {
			a := Answer{none, none, none, none, none, none}
			a[2*d], a[2*d+1] = key, tenant
			if got, is := a.Tightest(d); got != want || is != limited {
				t.Errorf("dimension %d: got %+v (limited: %v), want %+v (limited: %v)", d, got, is, want, limited)
			}
			if got, is := a.Tightest((d + 1) % 3); is {
				t.Errorf("dimension %d has no limit, got %+v", (d+1)%3, got)
			}
		}
	}
	f(none, none, none, false)
	f(remaining(3), none, remaining(3), true)
	f(none, remaining(3), remaining(3), true)
	f(remaining(3), remaining(4), remaining(3), true)
	f(remaining(4), remaining(3), remaining(3), true)
	tenant := remaining(3)
	tenant.Reset = time.Second
	f(remaining(3), tenant, remaining(3), true) // alike: the key's, which its holder can understand
	f(remaining(0), refusal(time.Second), refusal(time.Second), true)
	f(refusal(time.Second), remaining(0), refusal(time.Second), true)
	f(refusal(time.Second), refusal(time.Minute), refusal(time.Minute), true)
	f(refusal(time.Minute), refusal(time.Second), refusal(time.Minute), true)
	f(shadowed(remaining(0)), remaining(9), remaining(9), true)
	f(remaining(9), shadowed(remaining(0)), remaining(9), true)
	f(remaining(9), shadowed(refusal(time.Minute)), remaining(9), true)
	f(shadowed(remaining(2)), shadowed(remaining(1)), shadowed(remaining(1)), true)
	f(shadowed(refusal(time.Second)), none, shadowed(refusal(time.Second)), true)
}
