package telemetry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// The standard variables that this package reads itself. The SDK reads the
// headers, the compression, the samplers and the limits of spans.
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
const (
	envDisabled = "OTEL_SDK_DISABLED"
	envExporter = "OTEL_TRACES_EXPORTER"
	envResource = "OTEL_RESOURCE_ATTRIBUTES"

	envSampler    = "OTEL_TRACES_SAMPLER"
	envSamplerArg = "OTEL_TRACES_SAMPLER_ARG"

	envQueueSize     = "OTEL_BSP_MAX_QUEUE_SIZE"
	envBatchSize     = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
	envBatchDelay    = "OTEL_BSP_SCHEDULE_DELAY"
	envExportTimeout = "OTEL_BSP_EXPORT_TIMEOUT"

	envOTLP       = "OTEL_EXPORTER_OTLP_"
	envOTLPTraces = "OTEL_EXPORTER_OTLP_TRACES_"
)

func disabledByEnvironment() bool {
	return strings.EqualFold(variable(envDisabled), "true")
}

func variable(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// otlp returns an option of the exporter, and which variable gave it: the one
// for traces goes before the one for every signal. Both are empty when neither is set.
func otlp(option string) (value, from string) {
	for _, prefix := range []string{envOTLPTraces, envOTLP} {
		if value = variable(prefix + option); value != "" {
			return value, prefix + option
		}
	}
	return "", ""
}

// checkVariables refuses what the SDK would print, secrets included, and then
// ignore. It reads all of them, used or not, and never repeats a value.
func checkVariables() error {
	var errs []error
	check := func(name string, valid func(string) bool, want string) {
		if value := variable(name); value != "" && !valid(value) {
			errs = append(errs, fmt.Errorf("%s: must be %s", name, want))
		}
	}
	for _, prefix := range []string{envOTLP, envOTLPTraces} {
		check(prefix+"ENDPOINT", validEndpoint, "an address such as http://collector:4317; credentials belong into "+envOTLP+"HEADERS")
		check(prefix+"HEADERS", validHeaders, wantPairs)
		check(prefix+"TIMEOUT", validCount, "a number of milliseconds, at least 1")
		check(prefix+"COMPRESSION", oneOf("gzip", "none"), "gzip or none")
		check(prefix+"PROTOCOL", oneOf("grpc", "http/protobuf"), "grpc or http/protobuf; http/json is not supported")
	}
	check(envSampler, validSampler, "one of "+samplerNames)
	check(envSamplerArg, validRatio, "a number between 0 and 1")
	for _, limit := range []string{
		"ATTRIBUTE_VALUE_LENGTH", "ATTRIBUTE_COUNT", "SPAN_ATTRIBUTE_VALUE_LENGTH", "SPAN_ATTRIBUTE_COUNT",
		"SPAN_EVENT_COUNT", "SPAN_LINK_COUNT", "EVENT_ATTRIBUTE_COUNT", "LINK_ATTRIBUTE_COUNT",
	} {
		check("OTEL_"+limit+"_LIMIT", validInteger, "a whole number")
	}
	return errors.Join(errs...)
}

func oneOf(words ...string) func(string) bool {
	return func(value string) bool {
		for _, word := range words {
			if value == word {
				return true
			}
		}
		return false
	}
}

const wantPairs = "name=value pairs with commas between, the values percent-encoded"

func validHeaders(headers string) bool { return validPairs(headers, validHeaderName) }

// validAttributes is for attributes of the process, whose names may be anything.
func validAttributes(attributes string) bool {
	return validPairs(attributes, func(name string) bool { return name != "" })
}

func validPairs(pairs string, validName func(string) bool) bool {
	for pair := range strings.SplitSeq(pairs, ",") {
		name, value, found := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(value); !found || err != nil || !validName(strings.TrimSpace(name)) {
			return false
		}
	}
	return true
}

// validHeaderName reports whether name is a token (RFC 9110, section 5.6.2).
func validHeaderName(name string) bool {
	const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return name != "" && strings.Trim(name, token) == ""
}

func validCount(text string) bool {
	n, err := strconv.ParseUint(text, 10, 31)
	return err == nil && n > 0
}

func validInteger(text string) bool {
	_, err := strconv.Atoi(text)
	return err == nil
}

// exportTimeout is how long one try of an export may take.
func exportTimeout() time.Duration {
	const standard = 10 * time.Second
	text, _ := otlp("TIMEOUT")
	if milliseconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(milliseconds) * time.Millisecond
	}
	return standard
}

// count reads a size or a number of milliseconds. The standard wants a bad
// number ignored with a warning; of 0 and below the SDK makes a spin or a panic.
func count(name string, standard int, log *slog.Logger) int {
	text := variable(name)
	if text == "" {
		return standard
	}
	if !validCount(text) {
		log.Warn("option ignored: it must be a number, at least 1", FieldOption, name)
		return standard
	}
	n, _ := strconv.Atoi(text) // validCount has parsed it
	return n
}

// withoutPath is err without the file it is about: a variable that should hold
// a path may hold a key.
func withoutPath(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err
	}
	return err
}

// tlsConfig returns what the certificate variables ask for, nil when none is
// set. The SDK would ignore a file that it cannot read.
func tlsConfig() (*tls.Config, error) {
	config := new(tls.Config)
	if path, from := otlp("CERTIFICATE"); path != "" {
		pem, err := os.ReadFile(path) //nolint:gosec // the operator names the file
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, withoutPath(err))
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: the file holds no PEM certificate", from)
		}
	}
	certificate, from := otlp("CLIENT_CERTIFICATE")
	key, fromKey := otlp("CLIENT_KEY")
	switch {
	case certificate != "" && key != "":
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", from, fromKey, withoutPath(err))
		}
		config.Certificates = []tls.Certificate{pair}
	case certificate != "" || key != "":
		return nil, fmt.Errorf("%s%s: set both CLIENT_CERTIFICATE and CLIENT_KEY, or neither", from, fromKey)
	}
	if config.RootCAs == nil && config.Certificates == nil {
		return nil, nil
	}
	return config, nil
}
