package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"tollgate/simulator"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// TestMetrics counts what a few requests of known ends leave behind.
func TestMetrics(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	c := f.call(t, f.issue(t).Secret)
	f.inject(t, simulator.Fault{Kind: simulator.Respond, Status: 500, Provider: simulator.TheTurbo, Times: 1})
	poor := f.call(t, f.issue(t, "--requests-per-minute", "1").Secret)

	var last *answer
	done := func(a *answer) { last = a; f.accessLine(t, a.id()) }
	done(c.plain(t.Context(), ask("gemini-2.5-flash-lite", "One whole answer")))
	done(c.plain(t.Context(), ask("gemini-2.5-flash-lite", "Another one")))
	done(c.stream(t.Context(), ask("in-turn", "A stream by the second provider")))
	last.complete(t)
	done(c.stream(t.Context(), ask("gemini-3-pro-preview", "A stream without usage")))
	last.complete(t)
	f.inject(t, simulator.Fault{Kind: simulator.Cut, AtByte: 2000, Times: 1})
	done(c.stream(t.Context(), ask("gemini-2.0-flash", "A stream that breaks off")))
	last.interrupted(t, "upstream_interrupted")
	done(poor.plain(t.Context(), ask("gemini-2.5-flash-lite", "The one of this minute")))
	done(poor.plain(t.Context(), ask("gemini-2.5-flash-lite", "One too many")))
	done(poor.stream(t.Context(), ask("gemini-2.5-flash-lite", "Two too many")))
	done(f.call(t, unknownSecret()).plain(t.Context(), ask("gemini-2.5-flash-lite", "A stranger's")))
	done(c.plain(t.Context(), ask("gpt-5", "Of another shop")))

	until(t, "the end of every request", patience, func() bool { return f.scrape(t)["http_server_active_requests"] == "0" })
	if diff := cmp.Diff(strings.Split(knownEnds, "\n"), f.counted(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// knownEnds is what TestMetrics leaves behind: every counter, how often every
// histogram was told something, and the tokens that providers reported.
const knownEnds = `gen_ai_client_token_usage_count{gen_ai_operation_name="chat",gen_ai_provider_name="evolink",gen_ai_request_model="gemini-3-pro-preview",gen_ai_token_type="input",tollgate_usage_source="estimated"} 1
gen_ai_client_token_usage_count{gen_ai_operation_name="chat",gen_ai_provider_name="evolink",gen_ai_request_model="gemini-3-pro-preview",gen_ai_token_type="output",tollgate_usage_source="estimated"} 1
gen_ai_client_token_usage_count{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-2.5-flash-lite",gen_ai_token_type="input",tollgate_usage_source="upstream"} 3
gen_ai_client_token_usage_count{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-2.5-flash-lite",gen_ai_token_type="output",tollgate_usage_source="upstream"} 3
gen_ai_client_token_usage_count{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="in-turn",gen_ai_token_type="input",tollgate_usage_source="upstream"} 1
gen_ai_client_token_usage_count{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="in-turn",gen_ai_token_type="output",tollgate_usage_source="upstream"} 1
gen_ai_client_token_usage_count{gen_ai_operation_name="chat",gen_ai_provider_name="theturbo",gen_ai_request_model="gemini-2.0-flash",gen_ai_token_type="input",tollgate_usage_source="partial"} 1
gen_ai_client_token_usage_count{gen_ai_operation_name="chat",gen_ai_provider_name="theturbo",gen_ai_request_model="gemini-2.0-flash",gen_ai_token_type="output",tollgate_usage_source="partial"} 1
gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-2.5-flash-lite",gen_ai_token_type="input",tollgate_usage_source="upstream"} 10
gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-2.5-flash-lite",gen_ai_token_type="output",tollgate_usage_source="upstream"} 72
gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="in-turn",gen_ai_token_type="input",tollgate_usage_source="upstream"} 6
gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="in-turn",gen_ai_token_type="output",tollgate_usage_source="upstream"} 24
gen_ai_server_request_duration_seconds_count{error_type="upstream_interrupted",gen_ai_operation_name="chat",gen_ai_provider_name="theturbo",gen_ai_request_model="gemini-2.0-flash"} 1
gen_ai_server_request_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="evolink",gen_ai_request_model="gemini-3-pro-preview"} 1
gen_ai_server_request_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-2.5-flash-lite"} 3
gen_ai_server_request_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="in-turn"} 1
gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="evolink",gen_ai_request_model="gemini-3-pro-preview"} 1
gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="in-turn"} 1
gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="theturbo",gen_ai_request_model="gemini-2.0-flash"} 1
http_client_request_duration_seconds_count{error_type="server_error",gen_ai_provider_name="theturbo",gen_ai_request_model="gemini-2.0-flash",http_request_method="POST"} 1
http_client_request_duration_seconds_count{gen_ai_provider_name="evolink",gen_ai_request_model="gemini-3-pro-preview",http_request_method="POST"} 1
http_client_request_duration_seconds_count{gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-2.5-flash-lite",http_request_method="POST"} 4
http_client_request_duration_seconds_count{gen_ai_provider_name="theturbo",gen_ai_request_model="gemini-2.0-flash",http_request_method="POST"} 1
http_server_request_duration_seconds_count{error_type="invalid_api_key",http_request_method="POST",http_response_status_code="401",http_route="/v1/chat/completions"} 1
http_server_request_duration_seconds_count{error_type="model_not_found",http_request_method="POST",http_response_status_code="404",http_route="/v1/chat/completions"} 1
http_server_request_duration_seconds_count{error_type="rate_limit_exceeded",http_request_method="POST",http_response_status_code="429",http_route="/v1/chat/completions"} 2
http_server_request_duration_seconds_count{error_type="upstream_interrupted",http_request_method="POST",http_response_status_code="200",http_route="/v1/chat/completions"} 1
http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="200",http_route="/v1/chat/completions"} 5
tollgate_attempts_total{gen_ai_provider_name="evolink",gen_ai_request_model="gemini-3-pro-preview",tollgate_outcome="ok"} 1
tollgate_attempts_total{gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-2.5-flash-lite",tollgate_outcome="ok"} 4
tollgate_attempts_total{gen_ai_provider_name="theturbo",gen_ai_request_model="gemini-2.0-flash",tollgate_outcome="ok"} 1
tollgate_attempts_total{gen_ai_provider_name="theturbo",gen_ai_request_model="gemini-2.0-flash",tollgate_outcome="server_error"} 1
tollgate_config_reloads_total{tollgate_result="refused"} 0
tollgate_config_reloads_total{tollgate_result="succeeded"} 0
tollgate_journal_dropped_total 0
tollgate_journal_recovered_total 0
tollgate_journal_refused_total 0
tollgate_journal_rejected_total 0
tollgate_journal_sync_failures_total 0
tollgate_limit_decisions_total{tollgate_decision="allowed",tollgate_limit="requests"} 6
tollgate_limit_decisions_total{tollgate_decision="refused",tollgate_limit="requests"} 2
tollgate_overhead_duration_seconds_count{http_route="/v1/chat/completions"} 10
tollgate_requests_total{gen_ai_provider_name="evolink",gen_ai_request_model="gemini-3-pro-preview",tollgate_end_reason="completed",tollgate_usage_source="estimated"} 1
tollgate_requests_total{gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-2.5-flash-lite",tollgate_end_reason="completed",tollgate_usage_source="upstream"} 3
tollgate_requests_total{gen_ai_provider_name="starmagic",gen_ai_request_model="in-turn",tollgate_end_reason="completed",tollgate_usage_source="upstream"} 1
tollgate_requests_total{gen_ai_provider_name="theturbo",gen_ai_request_model="gemini-2.0-flash",tollgate_end_reason="upstream_cut",tollgate_usage_source="partial"} 1
tollgate_retries_total{gen_ai_request_model="in-turn",tollgate_decision="made"} 1`

// counted are the series whose values a test can know, and these values, sorted.
func (g *gateway) counted(t *testing.T) []string {
	t.Helper()
	var lines []string
	for series, value := range g.scrape(t) {
		name, _, _ := strings.Cut(series, "{")
		switch {
		case (name == "tollgate_retries_total" || name == "tollgate_usage_rejected_total") && value == "0":
			continue // every model has both of its counts, every provider its own
		case name == "tollgate_journal_sync_duration_seconds_count":
			continue // how many share an fsync is the disk's doing
		}
		reported := name == "gen_ai_client_token_usage_sum" && strings.Contains(series, `tollgate_usage_source="upstream"`)
		if ours(name) && (strings.HasSuffix(name, "_total") || strings.HasSuffix(name, "_count") || reported) {
			lines = append(lines, series+" "+value)
		}
	}
	slices.Sort(lines)
	return lines
}

// ours tells the gateway's own metrics from those of the Go runtime and the process.
func ours(name string) bool {
	return strings.HasPrefix(name, "tollgate_") || strings.HasPrefix(name, "http_") || strings.HasPrefix(name, "gen_ai_")
}

// scrape reads /metrics as Prometheus would: the value of every series, by its
// name and labels as they are written.
func (g *gateway) scrape(t *testing.T) map[string]string {
	t.Helper()
	status, text := g.get(t, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics answers %d %s", status, text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	if _, err := parser.TextToMetricFamilies(strings.NewReader(text)); err != nil {
		t.Fatalf("/metrics is not what Prometheus reads: %v\n%s", err, text)
	}
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		series, value, _ := cutLast(strings.TrimSpace(line), " ")
		if _, twice := values[series]; twice {
			t.Errorf("%s is there twice", series)
		}
		values[series] = value
	}
	return values
}

func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}
