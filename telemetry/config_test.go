package telemetry

import "testing"

func TestEndpointsThatAreRefused(t *testing.T) {
	const must = "telemetry.otlp.endpoint: must be empty or an address such as http://collector:4317, without user info, query or fragment; " +
		"credentials belong into OTEL_EXPORTER_OTLP_HEADERS"
	f := func(endpoint, want string) {
		t.Helper()
		c := DefaultConfig()
		c.OTLP.Endpoint = endpoint
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", endpoint, got, want)
		}
	}
	f("", "")
	f("http://collector:4317", "")
	f("https://collector.example/otlp", "")
	f("collector:4317", must+`, got "collector:4317"`)
	f("ftp://collector", must+`, got "ftp://collector"`)
	f("http://", must+`, got "http://"`)
	// What may hold a credential is not repeated.
	f("http://user:canary@collector:4317", must)
	f("http://canary@collector:4317", must)
	f("user:canary@collector:4317", must)
	f("http://user:canary%zz@collector", must)
	f("https://collector/?token=canary", must)
	f("https://collector/#canary", must)
	f("collector?token=canary", must)
}
