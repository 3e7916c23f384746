package telemetry

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func scrape(t *testing.T, tel *Telemetry) string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("scrape: %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// ours are the samples that Tollgate itself makes, without buckets.
func ours(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "go_") || strings.HasPrefix(line, "process_") || strings.Contains(line, "_bucket{") {
			continue
		}
		lines = append(lines, line)
	}
	return lines
}

func TestScrape(t *testing.T) {
	tel := start(t, DefaultConfig())
	m := tel.Metrics()
	measure(m)
	m.Attempt("theturbo", "gemini-2.0-flash", "timeout", 3*time.Second)
	m.Limit("requests", "refused")
	m.Request(Access{Method: "GET", Route: "/v1/models", Status: 401, ErrorCode: "invalid_api_key", ErrorType: "invalid_api_key", Duration: time.Millisecond})
	m.Request(Access{
		Method: "POST", Route: "/v1/chat/completions", Status: 502, ErrorCode: "upstream_error", ErrorType: "upstream_error", Model: "gemini-flash",
		Provider: "theturbo", Attempts: 1, Admitted: true, EndReason: "upstream_failed", UsageSource: "none", Duration: 4 * time.Second,
	})
	m.Request(Access{ // a stream that broke off after its 200
		Method: "POST", Route: "/v1/chat/completions", Status: 200, Model: "gemini-flash", Provider: "evolink", Attempts: 1,
		Admitted: true, Stream: true, EndReason: "upstream_cut", UsageSource: "partial", Tokens: Tokens{Prompt: 9},
		Duration: time.Second, FirstByte: time.Millisecond,
	})
	m.Request(Access{ // a stream that was asked for and never came: the error's first byte is no token
		Method: "POST", Route: "/v1/chat/completions", Status: 504, ErrorType: "upstream_timeout", Model: "gemini-flash", Provider: "starmagic",
		Attempts: 1, Admitted: true, Stream: true, EndReason: "upstream_failed", UsageSource: "none", Duration: 8 * time.Second, FirstByte: 8 * time.Second,
	})
	for _, err := range []error{
		m.ObserveInFlight(func() int64 { return 3 }),
		m.ObserveDrains(func() int64 { return 2 }),
		m.ObserveStoreUp(func() bool { return true }),
		m.ObserveKeyLookups(func() map[string]uint64 { return map[string]uint64{"hit": 5, "miss": 2} }),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{
		`gen_ai_client_token_usage_count{gen_ai_operation_name="chat",gen_ai_provider_name="evolink",gen_ai_request_model="gemini-flash",gen_ai_token_type="input",tollgate_usage_source="partial"} 1`,
		`gen_ai_client_token_usage_count{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-flash",gen_ai_token_type="input",tollgate_usage_source="upstream"} 1`,
		`gen_ai_client_token_usage_count{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-flash",gen_ai_token_type="output",tollgate_usage_source="upstream"} 1`,
		`gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="evolink",gen_ai_request_model="gemini-flash",gen_ai_token_type="input",tollgate_usage_source="partial"} 9`,
		`gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-flash",gen_ai_token_type="input",tollgate_usage_source="upstream"} 120`,
		`gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-flash",gen_ai_token_type="output",tollgate_usage_source="upstream"} 480`,
		`gen_ai_server_request_duration_seconds_count{error_type="upstream_cut",gen_ai_operation_name="chat",gen_ai_provider_name="evolink",gen_ai_request_model="gemini-flash"} 1`,
		`gen_ai_server_request_duration_seconds_count{error_type="upstream_error",gen_ai_operation_name="chat",gen_ai_provider_name="theturbo",gen_ai_request_model="gemini-flash"} 1`,
		`gen_ai_server_request_duration_seconds_count{error_type="upstream_timeout",gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-flash"} 1`,
		`gen_ai_server_request_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-flash"} 1`,
		`gen_ai_server_request_duration_seconds_sum{error_type="upstream_cut",gen_ai_operation_name="chat",gen_ai_provider_name="evolink",gen_ai_request_model="gemini-flash"} 1`,
		`gen_ai_server_request_duration_seconds_sum{error_type="upstream_error",gen_ai_operation_name="chat",gen_ai_provider_name="theturbo",gen_ai_request_model="gemini-flash"} 4`,
		`gen_ai_server_request_duration_seconds_sum{error_type="upstream_timeout",gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-flash"} 8`,
		`gen_ai_server_request_duration_seconds_sum{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-flash"} 2`,
		`gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="evolink",gen_ai_request_model="gemini-flash"} 1`,
		`gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-flash"} 1`,
		`gen_ai_server_time_to_first_token_seconds_sum{gen_ai_operation_name="chat",gen_ai_provider_name="evolink",gen_ai_request_model="gemini-flash"} 0.001`,
		`gen_ai_server_time_to_first_token_seconds_sum{gen_ai_operation_name="chat",gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-flash"} 0.09`,
		`http_client_request_duration_seconds_count{error_type="timeout",gen_ai_provider_name="theturbo",gen_ai_request_model="gemini-2.0-flash",http_request_method="POST"} 1`,
		`http_client_request_duration_seconds_count{gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-2.5-flash-lite",http_request_method="POST"} 1`,
		`http_client_request_duration_seconds_sum{error_type="timeout",gen_ai_provider_name="theturbo",gen_ai_request_model="gemini-2.0-flash",http_request_method="POST"} 3`,
		`http_client_request_duration_seconds_sum{gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-2.5-flash-lite",http_request_method="POST"} 0.08`,
		`http_server_active_requests 3`,
		`http_server_request_duration_seconds_count{error_type="invalid_api_key",http_request_method="GET",http_response_status_code="401",http_route="/v1/models"} 1`,
		`http_server_request_duration_seconds_count{error_type="upstream_cut",http_request_method="POST",http_response_status_code="200",http_route="/v1/chat/completions"} 1`,
		`http_server_request_duration_seconds_count{error_type="upstream_error",http_request_method="POST",http_response_status_code="502",http_route="/v1/chat/completions"} 1`,
		`http_server_request_duration_seconds_count{error_type="upstream_timeout",http_request_method="POST",http_response_status_code="504",http_route="/v1/chat/completions"} 1`,
		`http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="200",http_route="/v1/chat/completions"} 1`,
		`http_server_request_duration_seconds_sum{error_type="invalid_api_key",http_request_method="GET",http_response_status_code="401",http_route="/v1/models"} 0.001`,
		`http_server_request_duration_seconds_sum{error_type="upstream_cut",http_request_method="POST",http_response_status_code="200",http_route="/v1/chat/completions"} 1`,
		`http_server_request_duration_seconds_sum{error_type="upstream_error",http_request_method="POST",http_response_status_code="502",http_route="/v1/chat/completions"} 4`,
		`http_server_request_duration_seconds_sum{error_type="upstream_timeout",http_request_method="POST",http_response_status_code="504",http_route="/v1/chat/completions"} 8`,
		`http_server_request_duration_seconds_sum{http_request_method="POST",http_response_status_code="200",http_route="/v1/chat/completions"} 2`,
		`target_info{service_name="tollgate",service_version="1.2.3"} 1`,
		`tollgate_attempts_total{gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-2.5-flash-lite",tollgate_outcome="ok"} 1`,
		`tollgate_attempts_total{gen_ai_provider_name="theturbo",gen_ai_request_model="gemini-2.0-flash",tollgate_outcome="timeout"} 1`,
		`tollgate_drains_active 2`,
		`tollgate_key_lookups_total{tollgate_result="hit"} 5`,
		`tollgate_key_lookups_total{tollgate_result="miss"} 2`,
		`tollgate_limit_decisions_total{tollgate_decision="allowed",tollgate_limit="requests"} 1`,
		`tollgate_limit_decisions_total{tollgate_decision="refused",tollgate_limit="requests"} 1`,
		`tollgate_overhead_duration_seconds_count{http_route="/v1/chat/completions"} 1`,
		`tollgate_overhead_duration_seconds_sum{http_route="/v1/chat/completions"} 0.0003`,
		`tollgate_requests_total{gen_ai_provider_name="evolink",gen_ai_request_model="gemini-flash",tollgate_end_reason="upstream_cut",tollgate_usage_source="partial"} 1`,
		`tollgate_requests_total{gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-flash",tollgate_end_reason="completed",tollgate_usage_source="upstream"} 1`,
		`tollgate_requests_total{gen_ai_provider_name="starmagic",gen_ai_request_model="gemini-flash",tollgate_end_reason="upstream_failed",tollgate_usage_source="none"} 1`,
		`tollgate_requests_total{gen_ai_provider_name="theturbo",gen_ai_request_model="gemini-flash",tollgate_end_reason="upstream_failed",tollgate_usage_source="none"} 1`,
		`tollgate_store_up 1`,
	}
	got := ours(scrape(t, tel))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestBuckets(t *testing.T) {
	tel := start(t, DefaultConfig())
	measure(tel.Metrics())
	text := scrape(t, tel)
	f := func(metric string, bounds ...string) {
		t.Helper()
		var got []string
		for line := range strings.Lines(text) {
			if _, bound, ok := strings.Cut(line, `,le="`); ok && strings.HasPrefix(line, metric+"_bucket{") && !strings.Contains(line, `type="output"`) {
				got = append(got, bound[:strings.IndexByte(bound, '"')])
			}
		}
		if !slices.Equal(got, append(bounds, "+Inf")) {
			t.Errorf("%s: got %q, want %q", metric, got, bounds)
		}
	}
	seconds := []string{"0.01", "0.02", "0.04", "0.08", "0.16", "0.32", "0.64", "1.28", "2.56", "5.12", "10.24", "20.48", "40.96", "81.92"}
	f("http_server_request_duration_seconds", seconds...)
	f("http_client_request_duration_seconds", seconds...)
	f("gen_ai_server_request_duration_seconds", seconds...)
	f("gen_ai_server_time_to_first_token_seconds", "0.001", "0.005", "0.01", "0.02", "0.04", "0.06", "0.08", "0.1", "0.25", "0.5", "0.75", "1", "2.5", "5", "7.5", "10", "30", "60")
	f("gen_ai_client_token_usage", "1", "4", "16", "64", "256", "1024", "4096", "16384", "65536", "262144", "1.048576e+06", "4.194304e+06", "1.6777216e+07", "6.7108864e+07")
	f("tollgate_overhead_duration_seconds", "5e-05", "0.0001", "0.0002", "0.0005", "0.001", "0.002", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "1")
}

func TestOpenMetricsIsNegotiated(t *testing.T) {
	tel := start(t, DefaultConfig())
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	w := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(w, r)
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "application/openmetrics-text") || !strings.HasSuffix(w.Body.String(), "# EOF\n") {
		t.Errorf("got %s", w.Header())
	}
}

// What a client or a provider can vary must not make series.
func TestNobodyOutsideMakesSeries(t *testing.T) {
	tel := start(t, DefaultConfig())
	m := tel.Metrics()
	request := func(i int) Access {
		return Access{Method: fmt.Sprintf("METHOD%d", i), Route: fmt.Sprintf("/v1/%d", i), Status: 600 + i, Duration: time.Second, Overhead: time.Second}
	}
	m.Request(request(0))
	for status := range 500 { // a provider may answer any status
		m.Request(Access{Method: "POST", Route: "/v1/chat/completions", Status: 100 + status, Duration: time.Second})
	}
	before := strings.Count(scrape(t, tel), "\n")
	for i := range 10000 {
		m.Request(request(i))
		m.Request(Access{Method: "POST", Route: "/v1/chat/completions", Status: 100 + i%500, Duration: time.Second})
	}
	if after := strings.Count(scrape(t, tel), "\n"); after != before {
		t.Errorf("%d lines became %d", before, after)
	}
	if got := strings.Count(scrape(t, tel), "http_server_request_duration_seconds_count{"); got > 70 {
		t.Errorf("%d statuses have series of their own", got)
	}
	if !strings.Contains(scrape(t, tel), `http_server_request_duration_seconds_count{error_type="_OTHER",http_request_method="_OTHER",http_route="other"} 10001`) {
		t.Error("the unknown are not counted as such")
	}
}

// What the configuration names is bounded all the same, whoever hands it in.
func TestSeriesAreBounded(t *testing.T) {
	log, book := newLogBook()
	tel, err := Start(DefaultConfig(), "1.2.3", log)
	if err != nil {
		t.Fatal(err)
	}
	defer tel.Shutdown(t.Context())
	m := tel.Metrics()
	flooded := func(want int) {
		t.Helper()
		if got := strings.Count(book.String(), "a bound of the metrics is reached"); got != want {
			t.Errorf("%d warnings, want %d: %s", got, want, book)
		}
	}
	flood := func(from, to int) {
		for i := from; i < to; i++ {
			name := fmt.Sprintf("made-up-%d", i)
			m.Limit(name, name)
			m.Attempt(name, name, name, time.Second)
			m.Request(Access{
				Method: "POST", Route: "/v1/chat/completions", Status: 200, ErrorType: name, Model: name, Provider: name, Admitted: true, Stream: true,
				EndReason: name, UsageSource: name, Tokens: Tokens{Prompt: 1, Completion: 1}, Duration: time.Second, FirstByte: time.Second,
			})
		}
	}
	flood(0, 8) // several kinds each: below every bound
	flooded(0)
	flood(8, 3000)
	before := scrape(t, tel)
	flood(3000, 6000)
	after := scrape(t, tel)
	if b, a := strings.Count(before, "\n"), strings.Count(after, "\n"); a != b {
		t.Errorf("%d lines became %d", b, a)
	}
	f := func(metric string, most int) {
		t.Helper()
		if got := strings.Count(after, metric+"{"); got > most || got < 2 {
			t.Errorf("%s: %d series, want at most %d", metric, got, most)
		}
	}
	f("tollgate_requests_total", 513)
	f("tollgate_attempts_total", 513)
	f("tollgate_limit_decisions_total", 64)
	f("gen_ai_server_request_duration_seconds_count", 513)
	f("gen_ai_client_token_usage_count", 1026)
	var sum int
	for line := range strings.Lines(after) {
		if strings.HasPrefix(line, "tollgate_requests_total{") {
			var n int
			if _, err := fmt.Sscanf(line[strings.LastIndexByte(line, '}')+1:], "%d", &n); err != nil {
				t.Fatal(line)
			}
			sum += n
		}
	}
	flooded(1)
	if sum != 6000 {
		t.Errorf("%d requests are counted, want 6000: a bound must not lose one", sum)
	}
}

func TestConcurrentMeasurementsAreAllCounted(t *testing.T) {
	tel := start(t, DefaultConfig())
	m := tel.Metrics()
	const workers, rounds = 8, 500
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for i := range rounds {
				m.Attempt("starmagic", fmt.Sprintf("model-%d", i%100), "ok", time.Second) // new combinations, met by all at once
				m.Limit("requests", "allowed")
			}
		})
	}
	for range 10 {
		scrape(t, tel)
	}
	wait.Wait()
	text := scrape(t, tel)
	for _, want := range []string{
		`tollgate_limit_decisions_total{tollgate_decision="allowed",tollgate_limit="requests"} 4000`,
		`tollgate_attempts_total{gen_ai_provider_name="starmagic",gen_ai_request_model="model-42",tollgate_outcome="ok"} 40`,
		`http_client_request_duration_seconds_count{gen_ai_provider_name="starmagic",gen_ai_request_model="model-99",http_request_method="POST"} 40`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

func TestNilMetricsDoNothing(t *testing.T) {
	var m *Metrics
	measure(m)
	m.UpstreamChanged("starmagic", "", "open")
	m.Retry("gemini-flash", "made")
	for _, err := range []error{
		m.ObserveInFlight(func() int64 { return 1 }), m.ObserveStoreUp(func() bool { return true }),
		m.ObserveKeyLookups(func() map[string]uint64 { return nil }), m.observeSpansLost(func() map[string]uint64 { return nil }),
		m.ObserveUpstreams(func() []UpstreamState { return nil }), m.ObserveReloads(func() Reloads { return Reloads{} }),
		m.ObserveSharedLimits(func() SharedLimits { return SharedLimits{} }), m.ObserveSlots(func() int64 { return 1 }),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestTwoTelemetriesShareNothing(t *testing.T) {
	one, other := start(t, DefaultConfig()), start(t, DefaultConfig())
	measure(one.Metrics())
	if strings.Contains(scrape(t, other), "tollgate_requests_total") {
		t.Error("one process's figures show in another's")
	}
}
