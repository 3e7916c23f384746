package charts

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// alerts are the rules of a release by their names.
func (r release) alerts(name string) map[string]any {
	r.t.Helper()
	rules, _ := at(r.object("PrometheusRule/"+name), "spec.groups.0.rules").([]any)
	found := make(map[string]any)
	for _, rule := range rules {
		alert, _ := at(rule, "alert").(string)
		found[alert] = rule
	}
	return found
}

// documented are the queries of docs/telemetry.md by the name of their alert.
func documented(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page, _ := strings.Cut(string(text), "\n### Alerts\n")
	page, _, _ = strings.Cut(page, "\n#")
	queries := make(map[string]string)
	for _, part := range strings.Split(page, "\n`Tollgate")[1:] {
		name, rest, _ := strings.Cut(part, "`")
		_, query, _ := strings.Cut(rest, "```promql\n")
		query, _, _ = strings.Cut(query, "\n```")
		queries["Tollgate"+name] = query
	}
	return queries
}

// ourSeries finds the names of series; the labels of ours that begin so are none.
var ourSeries = regexp.MustCompile(`\b(tollgate_\w+(_state|_total|_success|_seconds|_slots|_active|_ready|_bucket)|http_server_active_requests)\b`)

// TestAlertsAreDocumented: the page says what the chart alarms on, in the same words but
// for the selector of the release.
func TestAlertsAreDocumented(t *testing.T) {
	f := func(values, name, selector string) {
		t.Helper()
		rules := render(t, values).alerts(name)
		page := documented(t)
		names := []string{
			"TollgateJournalLags", "TollgateJournalRefuses", "TollgateJournalSlow",
			"TollgateKeyChangesUnheard", "TollgateLimitsByShare", "TollgateProviderUnavailable", "TollgateReloadRefused", "TollgateRetriesRefused",
			"TollgateSlotsHeld", "TollgateUpstreamQuarantined", "TollgateUsageEstimated", "TollgateUsageRejected",
		}
		if got := slices.Sorted(maps.Keys(rules)); !slices.Equal(got, names) {
			t.Errorf("%s: the alerts are %v", values, got)
		}
		if got := slices.Sorted(maps.Keys(page)); !slices.Equal(got, names) {
			t.Errorf("docs/telemetry.md: the alerts are %v", got)
		}
		for alert, rule := range rules {
			expr, _ := at(rule, "expr").(string)
			series := len(ourSeries.FindAllString(expr, -1))
			if got := strings.Count(expr, "{"+selector); got != series || series == 0 {
				t.Errorf("%s: %d of %d series are this release's in\n%s", alert, got, series, expr)
			}
			expr = strings.NewReplacer("{"+selector+",", "{", "{"+selector+"}", "").Replace(expr)
			if expr != page[alert] {
				t.Errorf("%s: the chart asks\n%s\nand docs/telemetry.md\n%s", alert, expr, page[alert])
			}
		}
	}
	f("prometheusRule: {enabled: true}", "tollgate", `namespace="llm",job="tollgate-admin"`)
	f("{prometheusRule: {enabled: true}, fullnameOverride: gw}", "gw", `namespace="llm",job="gw-admin"`)
	f(valuesFile(t, "everything"), "llm-gate", `cluster=~"eu-.*",job="llm-gate"`)
}

func TestAlerts(t *testing.T) {
	r := render(t, "prometheusRule: {enabled: true, labels: {release: prometheus}}")
	const rules = "spec.groups.0.rules"
	r.want("PrometheusRule/tollgate", "spec.groups.0.name", "llm-tollgate")
	r.want("PrometheusRule/tollgate", "metadata.labels.release", "prometheus")
	r.want("PrometheusRule/tollgate", rules+".0.for", "2m") // what is forbidden reads so too, until the next answer
	r.want("PrometheusRule/tollgate", rules+".0.labels", "{severity: warning}")
	r.want("PrometheusRule/tollgate", rules+".0.annotations", `
summary: '{{ $labels.gen_ai_provider_name }} refuses a credential'
description: >-
  {{ $labels.tollgate_upstream }} has refused the credential {{ $labels.tollgate_credential }}, which is no longer used.
  Renew it at the provider and in the configuration; until then the other credentials and providers serve alone.`)
	r.want("PrometheusRule/tollgate", rules+".1.for", "5m")
	r.want("PrometheusRule/tollgate", rules+".1.labels", "{severity: critical}")
	r.want("PrometheusRule/tollgate", rules+".1.annotations.summary", "'{{ $labels.gen_ai_provider_name }} has not been usable for 5 minutes'")
	r.want("PrometheusRule/tollgate", rules+".3.for", "15m") // replicas that a rollout has not replaced yet refuse its configuration
	r.want("PrometheusRule/tollgate", rules+".4.for", "1m")
	r.want("PrometheusRule/tollgate", rules+".4.labels", "{severity: critical}")
	r.want("PrometheusRule/tollgate", rules+".5.for", "5m")
	r.want("PrometheusRule/tollgate", rules+".5.labels", "{severity: warning}")
	r.want("PrometheusRule/tollgate", rules+".6.for", "15m")
	r.want("PrometheusRule/tollgate", rules+".6.labels", "{severity: warning}")

	r.want("PrometheusRule/tollgate", rules+".7.for", "1m")
	r.want("PrometheusRule/tollgate", rules+".7.labels", "{severity: critical}")
	r.want("PrometheusRule/tollgate", rules+".7.annotations", `
summary: The journal takes no new requests
description: >-
  {{ $value }} replica(s) answer new requests 503, because their journal is full or its disk fails.
  "/readyz" of the admin listener says which; where it is full, give the volume room, or look why the ledger does not take what is in it.`)
	r.want("PrometheusRule/tollgate", rules+".8.labels", "{severity: warning}")
	r.want("PrometheusRule/tollgate", rules+".9.for", "10m")
	r.want("PrometheusRule/tollgate", rules+".10.for", "15m")
	r.want("PrometheusRule/tollgate", rules+".10.annotations.summary", "'{{ $labels.gen_ai_provider_name }} leaves out the usage of its answers'")
	r.want("PrometheusRule/tollgate", rules+".11.annotations.summary", "'{{ $labels.gen_ai_provider_name }} sends usage that cannot be true'")

	r = render(t, valuesFile(t, "everything"))
	r.want("PrometheusRule/llm-gate", rules+".1.labels", "{severity: page, team: platform}")
	r.want("PrometheusRule/llm-gate", rules+".3.labels", "{severity: page, team: platform}")

	r = render(t, "prometheusRule: {enabled: true, estimatedShare: 1}")
	if expr, _ := at(r.object("PrometheusRule/tollgate"), rules+".10.expr").(string); !strings.HasSuffix(expr, "\n> 1") {
		t.Errorf("estimatedShare: 1 does not say when answers without usage are told of:\n%s", expr)
	}
	if expr, _ := at(r.object("PrometheusRule/tollgate"), rules+".10.expr").(string); !strings.Contains(expr, `tollgate_usage_source="estimated",gen_ai_provider_name!~"theturbo|evolink"}[1h]`) {
		t.Errorf("providers that document no usage of streams are told of:\n%s", expr)
	}
	r = render(t, "prometheusRule: {enabled: true, uncounted: []}")
	if expr, _ := at(r.object("PrometheusRule/tollgate"), rules+".10.expr").(string); !strings.Contains(expr, `tollgate_usage_source="estimated"}[1h]`) {
		t.Errorf("all providers are told of where none is left out:\n%s", expr)
	}
	for _, share := range []string{"-0.1", "1.1", "'0.5 %'"} {
		if _, complaint, err := template(t, "prometheusRule: {enabled: true, estimatedShare: "+share+"}"); err == nil || !strings.Contains(complaint, "/prometheusRule/estimatedShare") {
			t.Errorf("%s: got %v: %s", share, err, complaint)
		}
	}

	if rules := render(t, "").ofKind("PrometheusRule"); len(rules) != 0 {
		t.Errorf("nobody asked for %v", rules)
	}
	for _, selector := range []string{`'{job="tollgate"}'`, `'job="tollgate",'`} {
		if _, complaint, err := template(t, "prometheusRule: {enabled: true, selector: "+selector+"}"); err == nil || !strings.Contains(complaint, "/prometheusRule/selector") {
			t.Errorf("%s: got %v: %s", selector, err, complaint)
		}
	}
}
