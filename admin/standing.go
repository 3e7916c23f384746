package admin

import (
	"context"

	"tollgate/keys"
	"tollgate/ratelimit"
)

// Limits tells where limits stand at this moment, over all replicas; where these cannot be asked in time, the figures
// are those of this replica's share. *proxy.Gateway is one. It uses up no limit, and does not fail.
type Limits interface {
	// Standing answers for the limits of a key and those of its tenant.
	Standing(ctx context.Context, key *keys.Key) ratelimit.Answer
	// TenantStanding answers for those of a tenant alone.
	TenantStanding(ctx context.Context, tenant string) ratelimit.Answer
}

// Standing is where one limit stands at the moment of the answer.
type Standing struct {
	// Limit is its name, as metrics have it: requests, tokens or concurrent, and the same with tenant_ in front for
	// those over all keys of the tenant.
	Limit string `json:"limit"`
	// Per is what Max and Left are counted in.
	Per Per `json:"per"`
	// Max is what the limit allows in a minute or at once, Left what can be had now: as much as the burst, which may be more.
	Max  int64 `json:"max"`
	Left int64 `json:"left"`
	// ResetMS is in how many milliseconds all of the burst is there again; 0: it is, or nobody knows, as of requests at once.
	ResetMS int64 `json:"reset_ms"`
	// Shadow says that the limit is decided and counted, and not enforced.
	Shadow bool `json:"shadow,omitempty"`
}

// Per is the span of a limit.
type Per string

// The spans of limits.
const (
	PerMinute Per = "minute"
	AtOnce    Per = "at_once"
)

// standing is the answer as the API shows it: the limits in force, of which there may be none.
func standing(a ratelimit.Answer) []Standing {
	list := []Standing{}
	for i, d := range a {
		limit := ratelimit.Limit(i)
		if d.Limit == 0 {
			continue
		}
		per := PerMinute
		if limit.Dimension() == ratelimit.Concurrent {
			per = AtOnce
		}
		list = append(list, Standing{
			Limit: limit.String(), Per: per, Max: d.Limit, Left: d.Remaining, ResetMS: milliseconds(d.Reset), Shadow: d.Shadow,
		})
	}
	return list
}
