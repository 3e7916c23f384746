package telemetry

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"tollgate/telemetry/otlptest"
)

// environment sets variables until the test ends.
func environment(t *testing.T, variables map[string]string) {
	t.Helper()
	for name, value := range variables {
		t.Setenv(name, value)
	}
}

// sentBy makes a few spans with the environment as it stands, and returns how
// they arrived.
func sentBy(t *testing.T, c Config, receiver *otlptest.Receiver) ([]otlptest.Span, otlptest.Export) {
	t.Helper()
	tel := start(t, c)
	twoAttempts(tel.Traces())
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return receiver.Await(t, threeSpans), receiver.Exports()[0]
}

func TestStandardVariablesChooseTheWay(t *testing.T) {
	f := func(protocol string, variables func(*otlptest.Receiver) map[string]string) {
		t.Helper()
		t.Run("", func(t *testing.T) {
			receiver := otlptest.Start(t)
			environment(t, variables(receiver))
			if _, export := sentBy(t, DefaultConfig(), receiver); export.Protocol != protocol {
				t.Errorf("sent by %s, want %s", export.Protocol, protocol)
			}
		})
	}
	f("grpc", func(r *otlptest.Receiver) map[string]string {
		return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": r.GRPCURL()}
	})
	f("http", func(r *otlptest.Receiver) map[string]string {
		return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": r.HTTPURL(), "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
	})
	f("http", func(r *otlptest.Receiver) map[string]string { // the variables for traces win, and their address is used as it stands
		return map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
			"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": r.HTTPURL() + "/v1/traces", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
			"OTEL_TRACES_EXPORTER": "otlp",
		}
	})
}

func TestTheConfiguredAddressWins(t *testing.T) {
	receiver := otlptest.Start(t)
	environment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"})
	c := DefaultConfig()
	c.OTLP.Endpoint = receiver.GRPCURL()
	if _, export := sentBy(t, c, receiver); export.Protocol != "grpc" {
		t.Errorf("sent by %s, want grpc", export.Protocol)
	}
}

func TestHeadersAndCompression(t *testing.T) {
	f := func(address func(*otlptest.Receiver) string, protocol, encoding string) {
		t.Helper()
		t.Run(protocol, func(t *testing.T) {
			receiver := otlptest.Start(t)
			environment(t, map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": address(receiver), "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
				"OTEL_EXPORTER_OTLP_HEADERS": "x-token=s%20ecret, x-team=blue", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
			})
			_, export := sentBy(t, DefaultConfig(), receiver)
			if export.Header["x-token"] != "s ecret" || export.Header["x-team"] != "blue" {
				t.Errorf("headers %v", export.Header)
			}
			if encoding != "" && export.Header["content-encoding"] != encoding {
				t.Errorf("content-encoding %q, want %q", export.Header["content-encoding"], encoding)
			}
		})
	}
	f((*otlptest.Receiver).HTTPURL, "http/protobuf", "gzip")
	f((*otlptest.Receiver).GRPCURL, "grpc", "") // gRPC keeps its encoding to itself
}

func TestResourceFromEnvironment(t *testing.T) {
	f := func(variables map[string]string, name, region string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			receiver := otlptest.Start(t)
			environment(t, variables)
			c := DefaultConfig()
			c.ServiceName = "configured"
			c.OTLP.Endpoint = receiver.GRPCURL()
			spans, _ := sentBy(t, c, receiver)
			about := spans[0].Resource
			if about["service.name"] != name || region != "" && about["region"] != region || about["service.version"] != "1.2.3" {
				t.Errorf("got %v, want %s in %s", about, name, region)
			}
		})
	}
	f(nil, "configured", "")
	f(map[string]string{"OTEL_SERVICE_NAME": "named"}, "named", "")
	f(map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "region=eu,service.name=attributed"}, "attributed", "eu")
	f(map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "region=eu,service.name=attributed", "OTEL_SERVICE_NAME": "named"}, "named", "eu")
}

func TestSampling(t *testing.T) {
	const sampled, unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	f := func(ratio float64, sampler, argument, traceparent string, want bool) {
		t.Helper()
		t.Run("", func(t *testing.T) {
			environment(t, map[string]string{"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument})
			c := DefaultConfig()
			c.SampleRatio = ratio
			c.OTLP.Endpoint = otlptest.Start(t).GRPCURL()
			head := chatHead()
			head.Traceparent = traceparent
			span := start(t, c).Traces().Begin(head)
			if span.Recording() != want {
				t.Errorf("ratio %g, sampler %q, argument %q, traceparent %q: recording %v", ratio, sampler, argument, traceparent, !want)
			}
			if len(span.TraceID()) != 32 {
				t.Errorf("trace id %q", span.TraceID())
			}
			span.End(Access{})
		})
	}
	f(1, "", "", "", true)
	f(0, "", "", "", false)
	f(0, "", "", sampled, false) // whoever sends a flag has shown no key yet
	f(1, "", "", unsampled, true)
	f(0.6, "", "", unsampled, true) // this trace's id is kept from 0.517 on, whatever the flag
	f(0.6, "", "", sampled, true)
	f(0.5, "", "", sampled, false)
	f(0.5, "", "", unsampled, false)
	f(0, "always_on", "", unsampled, true)
	f(1, "always_off", "", sampled, false)
	f(1, "traceidratio", "0", "", false)
	f(1, "parentbased_traceidratio", "0", sampled, true)
	f(1, "parentbased_always_off", "", "", false)
	f(0, "parentbased_always_on", "", "", true)
	f(1, "parentbased_always_on", "", unsampled, false) // by name the standard's meaning holds
	f(0, "ALWAYS_ON", "", "", true)
	f(1, "ParentBased_TraceIDRatio", "0", "", false)
}

func TestSpanLimits(t *testing.T) {
	receiver := otlptest.Start(t)
	environment(t, map[string]string{"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "6", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "3"})
	c := DefaultConfig()
	c.OTLP.Endpoint = receiver.GRPCURL()
	spans, _ := sentBy(t, c, receiver)
	if got := spans[2].Attributes; len(got) != 3 || got["http.route"] != "/v1/ch" {
		t.Errorf("got %v, want 3 attributes of at most 6 characters", got)
	}
}

func TestTracesOff(t *testing.T) {
	f := func(variables map[string]string) {
		t.Helper()
		t.Run("", func(t *testing.T) {
			environment(t, variables)
			log, _ := newLogBook()
			c := DefaultConfig()
			c.OTLP.Endpoint = otlptest.Start(t).GRPCURL()
			tel, err := Start(c, "1.2.3", log)
			if err != nil {
				t.Fatal(err)
			}
			defer tel.Shutdown(t.Context())
			if tel.Traces() != nil {
				t.Errorf("%v: traces are made", variables)
			}
		})
	}
	f(map[string]string{"OTEL_TRACES_EXPORTER": "none"})
	f(map[string]string{"OTEL_SDK_DISABLED": "true"})
	f(map[string]string{"OTEL_SDK_DISABLED": " TRUE "})
}

func TestSDKDisabledLeavesTheProcessMetrics(t *testing.T) {
	t.Setenv("OTEL_SDK_DISABLED", "true")
	log, book := newLogBook()
	tel, err := Start(DefaultConfig(), "1.2.3", log)
	if err != nil {
		t.Fatal(err)
	}
	defer tel.Shutdown(t.Context())
	measure(tel.Metrics())
	if text := scrape(t, tel); strings.Contains(text, "tollgate_") || !strings.Contains(text, "go_goroutines ") {
		t.Errorf("got %s", text)
	}
	if want := "level=WARN msg=\"no traces and no metrics of requests: the environment turns them off\" option=OTEL_SDK_DISABLED\n"; book.String() != want {
		t.Errorf("logged %s, want %s", book, want)
	}
}

func TestBadVariablesAreRefused(t *testing.T) {
	f := func(name, value, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv(name, value)
			tel, err := Start(DefaultConfig(), "1.2.3", slog.New(slog.DiscardHandler))
			if err == nil {
				_ = tel.Shutdown(t.Context())
				t.Fatalf("%s=%s was taken", name, value)
			}
			if err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	const address = ": must be an address such as http://collector:4317; credentials belong into OTEL_EXPORTER_OTLP_HEADERS"
	f("OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER: must be otlp or none")
	f("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "OTEL_EXPORTER_OTLP_PROTOCOL: must be grpc or http/protobuf; http/json is not supported")
	f("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: must be grpc or http/protobuf; http/json is not supported")
	f("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "OTEL_EXPORTER_OTLP_ENDPOINT"+address)
	f("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://user:secret@collector:4317", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"+address)
	f("OTEL_EXPORTER_OTLP_HEADERS", "authorization: Bearer secret", "OTEL_EXPORTER_OTLP_HEADERS: must be name=value pairs with commas between, the values percent-encoded")
	f("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=b,c d=secret", "OTEL_EXPORTER_OTLP_TRACES_HEADERS: must be name=value pairs with commas between, the values percent-encoded")
	f("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "OTEL_EXPORTER_OTLP_TIMEOUT: must be a number of milliseconds, at least 1")
	f("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "OTEL_EXPORTER_OTLP_COMPRESSION: must be gzip or none")
	f("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem", "OTEL_EXPORTER_OTLP_CERTIFICATE: no such file or directory")
	f("OTEL_EXPORTER_OTLP_CERTIFICATE", "/dev/null", "OTEL_EXPORTER_OTLP_CERTIFICATE: the file holds no PEM certificate")
	f("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/nowhere/key.pem", "OTEL_EXPORTER_OTLP_CLIENT_KEY: set both CLIENT_CERTIFICATE and CLIENT_KEY, or neither")
	const pairs = "OTEL_RESOURCE_ATTRIBUTES: must be name=value pairs with commas between, the values percent-encoded"
	f("OTEL_RESOURCE_ATTRIBUTES", "secret", pairs)
	f("OTEL_RESOURCE_ATTRIBUTES", "region=eu,=secret", pairs)
	f("OTEL_RESOURCE_ATTRIBUTES", "region=%secret", pairs)
	const samplers = "OTEL_TRACES_SAMPLER: must be one of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio"
	f("OTEL_TRACES_SAMPLER", "secret", samplers)
	f("OTEL_TRACES_SAMPLER", "jaeger_remote", samplers)
	f("OTEL_TRACES_SAMPLER_ARG", "secret", "OTEL_TRACES_SAMPLER_ARG: must be a number between 0 and 1")
	f("OTEL_TRACES_SAMPLER_ARG", "1.5", "OTEL_TRACES_SAMPLER_ARG: must be a number between 0 and 1")
	f("OTEL_TRACES_SAMPLER_ARG", "NaN", "OTEL_TRACES_SAMPLER_ARG: must be a number between 0 and 1")
	f("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "secret", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: must be a whole number")
	f("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "1e3", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: must be a whole number")
}

// Whoever puts a key itself where its file should be named must not read it in the log.
func TestKeysInPlaceOfFilesAreNotShown(t *testing.T) {
	const key = "-----BEGIN PRIVATE KEY-----canary"
	environment(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": key, "OTEL_EXPORTER_OTLP_CLIENT_KEY": key,
	})
	_, err := Start(DefaultConfig(), "1.2.3", slog.New(slog.DiscardHandler))
	if want := "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestSenselessQueueSizesAreIgnored(t *testing.T) {
	environment(t, map[string]string{
		"OTEL_BSP_MAX_QUEUE_SIZE": "-1", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "many", "OTEL_BSP_SCHEDULE_DELAY": "0", "OTEL_BSP_EXPORT_TIMEOUT": "250",
	})
	log, book := newLogBook()
	if got, want := queueOptionsOf(log), (queueOptions{size: 2048, batch: 512, delay: 5 * time.Second, timeout: 250 * time.Millisecond}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	const want = `level=WARN msg="option ignored: it must be a number, at least 1" option=OTEL_BSP_MAX_QUEUE_SIZE
level=WARN msg="option ignored: it must be a number, at least 1" option=OTEL_BSP_MAX_EXPORT_BATCH_SIZE
level=WARN msg="option ignored: it must be a number, at least 1" option=OTEL_BSP_SCHEDULE_DELAY
`
	if book.String() != want {
		t.Errorf("logged %s", book)
	}
	environment(t, map[string]string{"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "200", "OTEL_BSP_SCHEDULE_DELAY": "1000", "OTEL_BSP_EXPORT_TIMEOUT": ""})
	if got, want := queueOptionsOf(log), (queueOptions{size: 100, batch: 100, delay: time.Second, timeout: 30 * time.Second}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAnExporterWithoutAnAddressIsMentioned(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	log, book := newLogBook()
	if to, err := destinationOf(DefaultConfig(), log); to != nil || err != nil {
		t.Errorf("got %v, %v", to, err)
	}
	if !strings.Contains(book.String(), "no traces are sent: give the collector's address") {
		t.Errorf("logged %q", book)
	}
}
