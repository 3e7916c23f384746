package telemetry

import "testing"

func TestLimits(t *testing.T) {
	tel := start(t, DefaultConfig())
	m := tel.Metrics()
	wantSamples(t, tel, "tollgate_limit_")
	slots := int64(3)
	if err := m.ObserveSlots(func() int64 { return slots }); err != nil {
		t.Fatal(err)
	}
	wantSamples(t, tel, "tollgate_limit_", `tollgate_limit_slots 3`)

	shared := SharedLimits{Live: 4}
	if err := m.ObserveSharedLimits(func() SharedLimits { return shared }); err != nil {
		t.Fatal(err)
	}
	slots = 0
	wantSamples(t, tel, "tollgate_limit_", // at 0, too: an alert on an increase sees the first only if the series was there before
		`tollgate_limit_alone_total 0`,
		`tollgate_limit_orders_total{tollgate_result="answered"} 0`,
		`tollgate_limit_orders_total{tollgate_result="failed"} 0`,
		`tollgate_limit_replicas 4`,
		`tollgate_limit_slots 0`)

	shared = SharedLimits{Answered: 70, Failed: 2, Alone: 9, Live: 3}
	m.Limit("tenant_tokens", "shadowed")
	m.Limit("concurrent", "refused")
	wantSamples(t, tel, "tollgate_limit_",
		`tollgate_limit_alone_total 9`,
		`tollgate_limit_decisions_total{tollgate_decision="refused",tollgate_limit="concurrent"} 1`,
		`tollgate_limit_decisions_total{tollgate_decision="shadowed",tollgate_limit="tenant_tokens"} 1`,
		`tollgate_limit_orders_total{tollgate_result="answered"} 70`,
		`tollgate_limit_orders_total{tollgate_result="failed"} 2`,
		`tollgate_limit_replicas 3`,
		`tollgate_limit_slots 0`)
}
