package telemetry

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Config is the `telemetry` section of config.yaml.
type Config struct {
	// ServiceName names this service in traces; OTEL_SERVICE_NAME wins.
	ServiceName string `yaml:"service_name"`
	// OTLP says where traces go. Without an address, here or in the standard OTEL_* variables, none are made.
	OTLP OTLPConfig `yaml:"otlp"`
	// SampleRatio is the share of traces kept, 0 to 1, a client's own among them; OTEL_TRACES_SAMPLER wins.
	SampleRatio float64 `yaml:"sample_ratio"`
	// AcceptTraceContext continues the trace of a client that sends a W3C traceparent. Whether it is kept, sample_ratio decides, not the client.
	AcceptTraceContext bool `yaml:"accept_trace_context"`
	// SendTraceContext hands the trace on to providers as a W3C traceparent. A client's tracestate and baggage are never handed on.
	SendTraceContext bool `yaml:"send_trace_context"`
	// LogLevel is the least severe level written: debug, info, warn or error.
	LogLevel string `yaml:"log_level"`
	// LogFormat is auto (text on a terminal, JSON elsewhere), json or text.
	LogFormat string `yaml:"log_format"`
}

// OTLPConfig says where traces go.
type OTLPConfig struct {
	// Endpoint is the collector's address, such as http://collector:4317; https encrypts. Empty: OTEL_EXPORTER_OTLP_ENDPOINT, or none.
	Endpoint string `yaml:"endpoint"`
	// Protocol is grpc (commonly port 4317) or http (commonly port 4318). An OTEL_EXPORTER_OTLP_PROTOCOL applies where endpoint is empty.
	Protocol string `yaml:"protocol"`
}

// DefaultConfig returns the defaults of the `telemetry` section.
func DefaultConfig() Config {
	return Config{
		ServiceName:        "tollgate",
		OTLP:               OTLPConfig{Protocol: "grpc"},
		SampleRatio:        1,
		AcceptTraceContext: true,
		LogLevel:           "info",
		LogFormat:          "auto",
	}
}

// Validate returns one joined error with a line for each bad option.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("telemetry."+format, args...)) }
	if c.ServiceName == "" {
		bad("service_name: must not be empty")
	}
	if !validEndpoint(c.OTLP.Endpoint) {
		bad("otlp.endpoint: must be empty or an address such as http://collector:4317, without user info, query or fragment; "+
			"credentials belong into "+envOTLP+"HEADERS%s", shownEndpoint(c.OTLP.Endpoint))
	}
	switch c.OTLP.Protocol {
	case "grpc", "http":
	default:
		bad("otlp.protocol: must be grpc or http, got %q", c.OTLP.Protocol)
	}
	if !(c.SampleRatio >= 0 && c.SampleRatio <= 1) { // also false for NaN
		bad("sample_ratio: must be between 0 and 1, got %g", c.SampleRatio)
	}
	return errors.Join(append(errs, c.validateLog())...)
}

func (c Config) validateLog() error {
	_, err := c.level()
	switch c.LogFormat {
	case "auto", "json", "text":
		return err
	}
	return errors.Join(err, fmt.Errorf("telemetry.log_format: must be auto, json or text, got %q", c.LogFormat))
}

// What comes before or behind these in an address may be a credential.
const secretMarks = "@?#"

// validEndpoint wants a scheme, which says whether to encrypt, and no place for
// a credential: the address is logged.
func validEndpoint(endpoint string) bool {
	if endpoint == "" {
		return true
	}
	u, err := url.Parse(endpoint)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && !strings.ContainsAny(endpoint, secretMarks)
}

// shownEndpoint ends the message about a refused address: one that may hold a
// credential is not repeated.
func shownEndpoint(endpoint string) string {
	if strings.ContainsAny(endpoint, secretMarks) {
		return ""
	}
	return fmt.Sprintf(", got %q", endpoint)
}
