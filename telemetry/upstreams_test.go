package telemetry

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func ready() UpstreamState {
	return UpstreamState{
		Provider: "starmagic", URL: "https://api.starmagic.ai/v1", Credential: "#1", Model: "gemini-2.5-flash-lite",
		State: "ready", Pending: 3, FirstEvent: 250 * time.Millisecond,
	}
}

// wantSamples compares the samples of the metrics whose names begin with prefix.
func wantSamples(t *testing.T, tel *Telemetry, prefix string, want ...string) {
	t.Helper()
	got := slices.DeleteFunc(ours(scrape(t, tel)), func(line string) bool { return !strings.HasPrefix(line, prefix) })
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestUpstreams(t *testing.T) {
	tel := start(t, DefaultConfig())
	states := []UpstreamState{ready(), {Provider: "evolink", URL: "https://api.evolink.ai/v1", Credential: "none", Model: "gemini-3-pro-preview", State: "off"}}
	if err := tel.Metrics().ObserveUpstreams(func() []UpstreamState { return states }); err != nil {
		t.Fatal(err)
	}
	const (
		starmagic = `gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-2.5-flash-lite",tollgate_credential="#1",`
		evolink   = `gen_ai_provider_name="evolink",gen_ai_request_model="gemini-3-pro-preview",tollgate_credential="none",`
	)
	wantSamples(t, tel, "tollgate_upstream_",
		`tollgate_upstream_first_event_seconds{`+starmagic+`tollgate_upstream="https://api.starmagic.ai/v1"} 0.25`,
		`tollgate_upstream_pending{`+evolink+`tollgate_upstream="https://api.evolink.ai/v1"} 0`,
		`tollgate_upstream_pending{`+starmagic+`tollgate_upstream="https://api.starmagic.ai/v1"} 3`,
		`tollgate_upstream_state{`+evolink+`tollgate_state="off",tollgate_upstream="https://api.evolink.ai/v1"} 1`,
		`tollgate_upstream_state{`+starmagic+`tollgate_state="ready",tollgate_upstream="https://api.starmagic.ai/v1"} 1`)

	// A state that has passed leaves no series, and neither does an endpoint that is gone.
	states = []UpstreamState{ready()}
	states[0].State, states[0].Pending, states[0].FirstEvent = "open", 0, 0
	wantSamples(t, tel, "tollgate_upstream_",
		`tollgate_upstream_pending{`+starmagic+`tollgate_upstream="https://api.starmagic.ai/v1"} 0`,
		`tollgate_upstream_state{`+starmagic+`tollgate_state="open",tollgate_upstream="https://api.starmagic.ai/v1"} 1`)
}

func TestUpstreamChangesAndRetries(t *testing.T) {
	tel := start(t, DefaultConfig())
	m := tel.Metrics()
	m.UpstreamChanged("starmagic", "gemini-2.5-flash-lite", "open")
	m.UpstreamChanged("starmagic", "gemini-2.5-flash-lite", "open")
	m.UpstreamChanged("starmagic", "", "quarantined")
	m.Retry("gemini-flash", "made")
	m.Retry("gemini-flash", "refused")
	m.Retry("gemini-flash", "refused")
	wantSamples(t, tel, "tollgate_upstream_",
		`tollgate_upstream_changes_total{gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-2.5-flash-lite",tollgate_state="open"} 2`,
		`tollgate_upstream_changes_total{gen_ai_provider_name="starmagic",tollgate_state="quarantined"} 1`)
	wantSamples(t, tel, "tollgate_retries_",
		`tollgate_retries_total{gen_ai_request_model="gemini-flash",tollgate_decision="made"} 1`,
		`tollgate_retries_total{gen_ai_request_model="gemini-flash",tollgate_decision="refused"} 2`)
}

// An alert on an increase sees the first refusal only if the series was there before.
func TestRetriesOfAModelBeginAtZero(t *testing.T) {
	tel := start(t, DefaultConfig())
	m := tel.Metrics()
	wantSamples(t, tel, "tollgate_retries_")
	m.RetriesOf("gemini-flash")
	wantSamples(t, tel, "tollgate_retries_",
		`tollgate_retries_total{gen_ai_request_model="gemini-flash",tollgate_decision="made"} 0`,
		`tollgate_retries_total{gen_ai_request_model="gemini-flash",tollgate_decision="refused"} 0`)
	m.Retry("gemini-flash", "refused")
	m.RetriesOf("gemini-flash") // as after a reload
	wantSamples(t, tel, "tollgate_retries_",
		`tollgate_retries_total{gen_ai_request_model="gemini-flash",tollgate_decision="made"} 0`,
		`tollgate_retries_total{gen_ai_request_model="gemini-flash",tollgate_decision="refused"} 1`)
	(*Metrics)(nil).RetriesOf("gemini-flash")
}

// The first answer whose usage is not believed is told of, too.
func TestRejectionsOfAProviderBeginAtZero(t *testing.T) {
	tel := start(t, DefaultConfig())
	m := tel.Metrics()
	wantSamples(t, tel, "tollgate_usage_")
	m.RejectionsOf("evolink")
	m.RejectionsOf("theturbo")
	wantSamples(t, tel, "tollgate_usage_",
		`tollgate_usage_rejected_total{gen_ai_provider_name="evolink"} 0`,
		`tollgate_usage_rejected_total{gen_ai_provider_name="theturbo"} 0`)
	for _, source := range []string{"rejected", "upstream", "estimated", "partial", "rejected"} {
		m.Request(Access{Method: "POST", Route: "/v1/chat/completions", Status: 200, Provider: "theturbo", Admitted: true, UsageSource: source})
	}
	m.RejectionsOf("theturbo") // as after a reload
	wantSamples(t, tel, "tollgate_usage_",
		`tollgate_usage_rejected_total{gen_ai_provider_name="evolink"} 0`,
		`tollgate_usage_rejected_total{gen_ai_provider_name="theturbo"} 2`)
	(*Metrics)(nil).RejectionsOf("theturbo")
}

func TestReloads(t *testing.T) {
	tel := start(t, DefaultConfig())
	reloads := Reloads{LastOK: true}
	if err := tel.Metrics().ObserveReloads(func() Reloads { return reloads }); err != nil {
		t.Fatal(err)
	}
	wantSamples(t, tel, "tollgate_config_", // the zeros too: an alert sees how they grow
		`tollgate_config_last_reload_success 1`,
		`tollgate_config_reloads_total{tollgate_result="refused"} 0`,
		`tollgate_config_reloads_total{tollgate_result="succeeded"} 0`)
	reloads = Reloads{Succeeded: 4, Refused: 2, LoadedAt: time.UnixMilli(1_767_225_600_500)}
	wantSamples(t, tel, "tollgate_config_",
		`tollgate_config_last_reload_success 0`,
		`tollgate_config_loaded_at_seconds 1.7672256005e+09`,
		`tollgate_config_reloads_total{tollgate_result="refused"} 2`,
		`tollgate_config_reloads_total{tollgate_result="succeeded"} 4`)
}

// Configurations come and go; what they have named adds up to bounded series, of which
// none is lost.
func TestUpstreamSeriesAreBounded(t *testing.T) {
	log, book := newLogBook()
	tel, err := Start(DefaultConfig(), "1.2.3", log)
	if err != nil {
		t.Fatal(err)
	}
	defer tel.Shutdown(t.Context())
	var states []UpstreamState
	if err := tel.Metrics().ObserveUpstreams(func() []UpstreamState { return states }); err != nil {
		t.Fatal(err)
	}
	for i := range 3000 { // 60 providers with 50 models each
		states = append(states, UpstreamState{
			Provider: fmt.Sprintf("p%d", i%60), Model: fmt.Sprintf("m%d", i/60), URL: fmt.Sprintf("https://%d", i%60), Credential: "1", State: "ready",
			Pending: 1, FirstEvent: time.Duration(3000-i) * time.Second,
		})
	}
	text := scrape(t, tel)
	if strings.Count(book.String(), "a bound of the metrics is reached") != 1 {
		t.Errorf("the bound is not told once: %s", book)
	}
	for i := range states { // every name is new
		states[i].Provider, states[i].Model = fmt.Sprintf("other%d", i), fmt.Sprintf("other%d", i)
		states[i].URL, states[i].Credential = fmt.Sprintf("https://other%d", i), fmt.Sprintf("other%d", i)
	}
	names := scrape(t, tel)
	f := func(text, metric string, sum int64, most int) {
		t.Helper()
		var got int64
		series := slices.DeleteFunc(ours(text), func(line string) bool { return !strings.HasPrefix(line, metric+"{") })
		for _, line := range series {
			var n int64
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, '}')+1:], &n); err != nil {
				t.Fatal(line)
			}
			got += n
		}
		if got != sum || len(series) > most {
			t.Errorf("%s: %d in %d series, want %d in at most %d", metric, got, len(series), sum, most)
		}
	}
	f(text, "tollgate_upstream_state", 3000, 2049)
	f(text, "tollgate_upstream_pending", 3000, 2049)
	f(names, "tollgate_upstream_state", 3000, 470)
	f(names, "tollgate_upstream_pending", 3000, 470)
	slowest := `tollgate_upstream_first_event_seconds{gen_ai_provider_name="_OTHER",gen_ai_request_model="_OTHER",tollgate_credential="_OTHER",tollgate_upstream="_OTHER"} 2539` // 461 of the models were still admitted
	if !strings.Contains(names, slowest+"\n") {
		t.Errorf("no %s", slowest)
	}
}
