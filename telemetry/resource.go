package telemetry

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// newIdentity is who serves: name and version, for the metric target_info.
// OTEL_RESOURCE_ATTRIBUTES adds to it and wins over the configuration,
// OTEL_SERVICE_NAME wins over both.
func newIdentity(c Config, version string, more ...resource.Option) (*resource.Resource, error) {
	if text := variable(envResource); text != "" && !validAttributes(text) {
		return nil, fmt.Errorf("%s: must be %s", envResource, wantPairs) // the SDK would print the text
	}
	options := append([]resource.Option{
		resource.WithAttributes(semconv.ServiceName(c.ServiceName), semconv.ServiceVersion(version)),
	}, more...)
	r, err := resource.New(context.Background(), append(options, resource.WithFromEnv())...)
	if err != nil {
		return nil, fmt.Errorf("what telemetry says of this process: %w", err)
	}
	return r, nil
}

// newResource is what every span says of this process: its identity, its host
// and its Go version. The command line stays out: it may hold a secret.
func newResource(c Config, version string) (*resource.Resource, error) {
	return newIdentity(c, version,
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcessPID(),
		resource.WithProcessRuntimeName(), resource.WithProcessRuntimeVersion())
}
