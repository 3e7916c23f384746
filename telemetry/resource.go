package telemetry

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// newIdentity is who this process is: its name and version.
// OTEL_RESOURCE_ATTRIBUTES adds to it, OTEL_SERVICE_NAME wins.
func newIdentity(c Config, version string) (*resource.Resource, error) {
	r, err := resource.New(context.Background(),
		resource.WithAttributes(semconv.ServiceName(c.ServiceName), semconv.ServiceVersion(version)),
		resource.WithFromEnv(),
	)
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: must be key=value pairs with commas between: %w", err)
	}
	return r, nil
}
