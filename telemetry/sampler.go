package telemetry

import (
	"slices"
	"strconv"
	"strings"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// samplerOf is the configured sampler, or none where the environment names one:
// the SDK reads that itself, and checkVariables refuses what it does not know.
//
// Anybody may send a traceparent, before a key is looked at. Its sampling flag
// must neither fill the queue nor hide a request, so the ratio decides for
// traces that continue a client's as well.
func samplerOf(c Config) []sdk.TracerProviderOption {
	if variable(envSampler) != "" {
		return nil
	}
	ratio := sdk.TraceIDRatioBased(c.SampleRatio)
	return []sdk.TracerProviderOption{sdk.WithSampler(
		sdk.ParentBased(ratio, sdk.WithRemoteParentSampled(ratio), sdk.WithRemoteParentNotSampled(ratio)),
	)}
}

// The samplers that the SDK knows by name, in any case.
const samplerNames = "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio"

func validSampler(name string) bool {
	return slices.Contains(strings.Split(samplerNames, ", "), strings.ToLower(name))
}

func validRatio(text string) bool {
	ratio, err := strconv.ParseFloat(text, 64)
	return err == nil && ratio >= 0 && ratio <= 1 // false for NaN, of which the SDK makes anything
}
