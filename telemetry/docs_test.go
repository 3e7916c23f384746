package telemetry

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tollgate/telemetry/otlptest"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// page returns the tables of docs/telemetry.md below a heading: rows of cells.
func page(t *testing.T, heading string) [][]string {
	t.Helper()
	text, err := os.ReadFile("../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	_, below, found := strings.Cut(string(text), "\n"+heading+"\n")
	if !found {
		t.Fatalf("docs/telemetry.md: no heading %q", heading)
	}
	below, _, _ = strings.Cut(below, "\n#")
	var rows [][]string
	for line := range strings.Lines(below) {
		if strings.HasPrefix(line, "| `") {
			rows = append(rows, strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|"))
		}
	}
	return rows
}

// quoted are the names between backquotes.
func quoted(cell string) []string {
	var names []string
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			names = append(names, part)
		}
	}
	return names
}

// column are all names in the first cells of a table.
func column(rows [][]string) []string {
	var names []string
	for _, row := range rows {
		names = append(names, quoted(row[0])...)
	}
	return names
}

func same(t *testing.T, what string, documented, real []string) {
	t.Helper()
	slices.Sort(documented)
	slices.Sort(real)
	for _, name := range documented {
		if !slices.Contains(real, name) {
			t.Errorf("docs/telemetry.md: %s has no %s", what, name)
		}
	}
	for _, name := range slices.Compact(real) {
		if !slices.Contains(documented, name) {
			t.Errorf("docs/telemetry.md: %s lacks %s", what, name)
		}
	}
	if len(slices.Compact(slices.Clone(documented))) != len(documented) {
		t.Errorf("docs/telemetry.md: %s names something twice: %v", what, documented)
	}
}

func keysOf(spans ...otlptest.Span) []string {
	var keys []string
	for _, s := range spans {
		for key := range s.Attributes {
			keys = append(keys, key)
		}
	}
	return keys
}

func TestPageNamesEveryAttribute(t *testing.T) {
	receiver := otlptest.Start(t)
	c := DefaultConfig()
	c.OTLP.Endpoint = receiver.GRPCURL()
	tel := start(t, c)
	twoAttempts(tel.Traces())
	tel.Traces().Begin(chatHead()).End(Access{Status: 500, Limit: "tokens", LimitsShadowed: "requests"}) // with an error.type
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := receiver.Await(t, func(s []otlptest.Span) bool { return len(s) == 4 })
	same(t, "the request", column(page(t, "### The request")), keysOf(spans[2], spans[3]))
	same(t, "an attempt", column(page(t, "### An attempt")), keysOf(spans[0], spans[1]))
}

// everything makes every measurement there is.
func everything(t *testing.T, m *Metrics) {
	t.Helper()
	measure(m)
	m.Attempt("theturbo", "m", "timeout", 0)
	m.Request(Access{Method: "POST", Route: "/v1/chat/completions", Status: 502, Provider: "theturbo", Model: "m", Admitted: true, EndReason: "upstream_failed", UsageSource: "none"})
	m.UpstreamChanged("theturbo", "m", "open")
	m.Retry("m", "made")
	m.RejectionsOf("theturbo")
	m.JournalSync(time.Millisecond, nil)
	counts := func() map[string]uint64 { return map[string]uint64{"some": 1} }
	for _, err := range []error{
		m.ObserveInFlight(func() int64 { return 1 }), m.ObserveDrains(func() int64 { return 1 }), m.ObserveStoreUp(func() bool { return true }), m.ObserveKeyLookups(counts), m.ObserveKeyFeedAge(func() time.Duration { return time.Second }), m.observeSpansLost(counts),
		m.ObserveUpstreams(func() []UpstreamState { return []UpstreamState{ready()} }),
		m.ObserveReloads(func() Reloads { return Reloads{LastOK: true, LoadedAt: time.Unix(1, 0)} }),
		m.ObserveSharedLimits(func() SharedLimits { return SharedLimits{Live: 1} }), m.ObserveSlots(func() int64 { return 1 }),
		m.ObserveJournal(func() Journal { return Journal{Ready: true} }),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestPageNamesEveryMetric(t *testing.T) {
	tel := start(t, DefaultConfig())
	everything(t, tel.Metrics())
	text := scrape(t, tel)
	var documented, real []string
	for _, row := range page(t, "## Metrics") {
		name, kind := quoted(row[1])[0], strings.Fields(row[2])[0]
		documented = append(documented, name+" "+kind)
		labels := quoted(row[3])
		for i := range labels {
			labels[i] = strings.ReplaceAll(labels[i], ".", "_")
		}
		same(t, name, labels, labelsOf(text, name))
	}
	for line := range strings.Lines(text) {
		if name, isType := strings.CutPrefix(strings.TrimSpace(line), "# TYPE "); isType {
			if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") && !strings.HasPrefix(name, "target_info") {
				real = append(real, name)
			}
		}
	}
	same(t, "the metrics", documented, real)
}

// labelsOf are the labels that any series of a metric has.
func labelsOf(text, metric string) []string {
	var labels []string
	series := regexp.MustCompile(`(?m)^` + metric + `(?:_sum)?\{(.*)\} `)
	for _, match := range series.FindAllStringSubmatch(text, -1) {
		for _, pair := range regexp.MustCompile(`(\w+)="[^"]*"`).FindAllStringSubmatch(match[1], -1) {
			if !slices.Contains(labels, pair[1]) {
				labels = append(labels, pair[1])
			}
		}
	}
	return labels
}

func TestPageNamesMetricsAsOpenTelemetryDoes(t *testing.T) {
	reader := metric.NewManualReader()
	m, err := NewMetrics(metric.NewMeterProvider(metric.WithReader(reader)))
	if err != nil {
		t.Fatal(err)
	}
	everything(t, m)
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &collected); err != nil {
		t.Fatal(err)
	}
	var real []string
	for _, metric := range collected.ScopeMetrics[0].Metrics {
		real = append(real, metric.Name)
	}
	same(t, "the metrics", column(page(t, "## Metrics")), real)
}

func TestPageNamesEveryLogField(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "names.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var real []string
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			name, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			real = append(real, name)
		}
		return true
	})
	same(t, "the log", column(page(t, "## Logs")), real)
}

func TestPageNamesTheBounds(t *testing.T) {
	text, err := os.ReadFile("../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	prose := strings.Join(strings.Fields(string(text)), " ")
	f := func(bound int, of string) {
		t.Helper()
		if want := fmt.Sprintf("%d %s", bound, of); !strings.Contains(prose, want) {
			t.Errorf("docs/telemetry.md does not say %q", want)
		}
	}
	f(mostProviders, "providers")
	f(mostModels, "models")
	f(mostAddresses, "addresses")
	f(mostCredentials, "credentials")
	f(mostKinds, "other words")
	f(mostCombinations, "combinations")
	f(fewCombinations, "for the limits")
	f(mostSeries, "series")
}

// Every name in a query exists, so that no query on the page stays empty for ever.
func TestPageQueriesWhatExists(t *testing.T) {
	text, err := os.ReadFile("../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	tel := start(t, DefaultConfig())
	everything(t, tel.Metrics())
	series := scrape(t, tel)
	queries := strings.Split(string(text), "```promql\n")[1:]
	if len(queries) < 3 {
		t.Fatalf("%d queries", len(queries))
	}
	for _, query := range queries {
		query, _, _ = strings.Cut(query, "```")
		query = regexp.MustCompile(`"[^"]*"`).ReplaceAllString(query, "")
		for _, name := range regexp.MustCompile(`\b[a-z]+(_[a-z]+)+\b`).FindAllString(query, -1) {
			if name != "histogram_quantile" && !regexp.MustCompile(`(?m)(^|[{,])`+name+`[{= ]`).MatchString(series) {
				t.Errorf("%s is neither a series nor a label, in\n%s", name, query)
			}
		}
	}
}
