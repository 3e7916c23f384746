package usage

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// bucket is what totals are kept by: the finest group that a Query can ask for.
type bucket struct {
	day, tenant, keyID, model, provider string
}

func (r Record) bucket() bucket {
	return bucket{day: r.day(), tenant: r.Tenant, keyID: r.KeyID, model: r.Model, provider: r.Provider}
}

// totals is what is kept for a bucket. It is stored as JSON; a figure that is added
// later reads as zero in what was stored before.
type totals struct {
	Requests   int64 `json:"requests"`
	Estimated  int64 `json:"estimated"`
	Prompt     int64 `json:"prompt"`
	Cached     int64 `json:"cached"`
	Completion int64 `json:"completion"`
	Reasoning  int64 `json:"reasoning"`
	Charge     int64 `json:"charge_nanousd"`
	Cost       int64 `json:"cost_nanousd"`
}

// totals is what a record adds to its bucket. The settle is the bill, and there is one
// per request; what failed attempts cost, at their own providers, and later corrections
// come on top, in money alone.
func (r Record) totals() totals {
	switch r.Kind {
	case KindAttempt:
		return totals{Cost: int64(r.Cost)}
	case KindAdjust:
		return totals{Charge: int64(r.Charge), Cost: int64(r.Cost)}
	case KindIntent, KindCheckpoint:
		return totals{}
	}
	t := totals{
		Requests: 1, Prompt: r.Prompt, Cached: r.Cached, Completion: r.Completion, Reasoning: r.Reasoning,
		Charge: int64(r.Charge), Cost: int64(r.Cost),
	}
	if !r.Source.exact() {
		t.Estimated = 1
	}
	return t
}

// add adds u, or changes nothing and returns ErrOverflow.
func (t *totals) add(u totals) error {
	sum := *t
	for _, figure := range [...]struct {
		into *int64
		more int64
	}{
		{&sum.Requests, u.Requests},
		{&sum.Estimated, u.Estimated},
		{&sum.Prompt, u.Prompt},
		{&sum.Cached, u.Cached},
		{&sum.Completion, u.Completion},
		{&sum.Reasoning, u.Reasoning},
		{&sum.Charge, u.Charge},
		{&sum.Cost, u.Cost},
	} {
		var err error
		if *figure.into, err = addInt64(*figure.into, figure.more); err != nil {
			return err
		}
	}
	*t = sum
	return nil
}

// maxRows bounds the memory that one query may take.
const maxRows = 100_000

// summary gathers buckets into the rows of a query. Every storage that cannot group
// by itself feeds one.
type summary struct {
	query  Query
	groups map[bucket]totals
}

func newSummary(q Query) *summary {
	s := &summary{query: q, groups: map[bucket]totals{}}
	if len(q.By) == 0 {
		// The sum of nothing is zero, not the absence of a sum.
		s.groups[bucket{}] = totals{}
	}
	return s
}

// addEncoded does so for totals as they are stored; what the query does not
// want is not decoded.
func (s *summary) addEncoded(b bucket, stored []byte) error {
	if !s.query.wants(b) {
		return nil
	}
	var t totals
	if err := json.Unmarshal(stored, &t); err != nil {
		return fmt.Errorf("the totals of %s are damaged: %w", b.day, err)
	}
	return s.add(b, t)
}

// wants reports whether the query is about this bucket's tenant and key.
func (q Query) wants(b bucket) bool {
	return (q.Tenant == "" || b.tenant == q.Tenant) && (q.KeyID == "" || b.keyID == q.KeyID)
}

// add takes a bucket's totals if the query asks for them; the days are the caller's to bound.
func (s *summary) add(b bucket, t totals) error {
	if !s.query.wants(b) {
		return nil
	}
	group := b.only(s.query.By)
	sum, exists := s.groups[group]
	if !exists && len(s.groups) == maxRows {
		return fmt.Errorf("%w: it has more than %d rows; ask for fewer days or dimensions", ErrBadQuery, maxRows)
	}
	if err := sum.add(t); err != nil {
		return err
	}
	s.groups[group] = sum
	return nil
}

// only keeps the labels of the dimensions asked for.
func (b bucket) only(by []Dimension) bucket {
	var kept bucket
	for _, d := range by {
		*kept.label(d) = *b.label(d)
	}
	return kept
}

func (b *bucket) label(d Dimension) *string {
	switch d {
	case ByTenant:
		return &b.tenant
	case ByKey:
		return &b.keyID
	case ByModel:
		return &b.model
	case ByProvider:
		return &b.provider
	default:
		return &b.day
	}
}

// rows returns the groups in the order of the dimensions asked for.
func (s *summary) rows() []Row {
	groups := make([]bucket, 0, len(s.groups))
	for b := range s.groups {
		groups = append(groups, b)
	}
	slices.SortFunc(groups, func(x, y bucket) int {
		for _, d := range s.query.By {
			if c := cmp.Compare(*x.label(d), *y.label(d)); c != 0 {
				return c
			}
		}
		return 0
	})
	rows := make([]Row, len(groups))
	for i, b := range groups {
		t := s.groups[b]
		rows[i] = Row{
			Day: b.day, Tenant: b.tenant, KeyID: b.keyID, Model: b.model, Provider: b.provider,
			Requests: t.Requests, EstimatedRequests: t.Estimated,
			PromptTokens: t.Prompt, CachedTokens: t.Cached, CompletionTokens: t.Completion, ReasoningTokens: t.Reasoning,
			Charge: USD(t.Charge), Cost: USD(t.Cost),
		}
	}
	return rows
}
