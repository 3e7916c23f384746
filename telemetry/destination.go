package telemetry

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc/credentials"
)

const (
	protocolGRPC = "grpc"
	protocolHTTP = "http"
)

// destination is where spans go.
type destination struct {
	url      string // with the path, where the protocol has one; it holds no credential, see validEndpoint
	protocol string
	timeout  time.Duration
	tls      *tls.Config // nil: the system's authorities
}

// destinationOf joins the configuration and the environment. It is nil when no
// address is given anywhere, or when traces are off.
func destinationOf(c Config, log *slog.Logger) (*destination, error) {
	switch variable(envExporter) {
	case "none":
		return nil, nil
	case "", "otlp":
	default:
		return nil, fmt.Errorf("%s: must be otlp or none", envExporter)
	}
	d := &destination{url: c.OTLP.Endpoint, protocol: c.OTLP.Protocol}
	from := "telemetry.otlp.endpoint"
	if d.url == "" {
		d.url, from = otlp("ENDPOINT")
		if protocol, _ := otlp("PROTOCOL"); protocol != "" {
			d.protocol = strings.TrimSuffix(protocol, "/protobuf")
		}
	}
	if d.url == "" {
		if variable(envExporter) != "" {
			log.Warn("no traces are sent: give the collector's address, in telemetry.otlp.endpoint or OTEL_EXPORTER_OTLP_ENDPOINT")
		}
		return nil, nil
	}
	if err := checkVariables(); err != nil {
		return nil, err
	}
	if d.protocol == protocolHTTP && from != envOTLPTraces+"ENDPOINT" { // that one is used as it stands
		d.url = tracesURL(d.url)
	}
	var err error
	d.timeout = exportTimeout()
	d.tls, err = tlsConfig()
	return d, err
}

// tracesURL is where a collector takes traces over HTTP.
func tracesURL(base string) string {
	const path = "/v1/traces"
	if strings.HasSuffix(base, path) {
		return base
	}
	return strings.TrimSuffix(base, "/") + path
}

// exporter returns an exporter to d. It connects when there is something to
// send, so a collector that is away does not keep Tollgate from starting.
func (d *destination) exporter() (exporter sdk.SpanExporter, release func(), err error) {
	ctx := context.Background()
	if d.protocol == protocolGRPC {
		options := []otlptracegrpc.Option{otlptracegrpc.WithEndpointURL(d.url), otlptracegrpc.WithTimeout(d.timeout)}
		if d.tls != nil {
			options = append(options, otlptracegrpc.WithTLSCredentials(credentials.NewTLS(d.tls)))
		}
		exporter, err = otlptracegrpc.New(ctx, options...)
		return exporter, func() {}, d.explain(err)
	}
	// The SDK's own client shares a transport that nobody can close.
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     d.tls,
		TLSHandshakeTimeout: d.timeout,
		ForceAttemptHTTP2:   true,
		MaxConnsPerHost:     2, // one export at a time, and its successor
		IdleConnTimeout:     90 * time.Second,
	}
	client := &http.Client{Transport: transport, Timeout: d.timeout}
	exporter, err = otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(d.url), otlptracehttp.WithHTTPClient(client))
	return exporter, transport.CloseIdleConnections, d.explain(err)
}

func (d *destination) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("traces to %s by %s: %w", d.url, d.protocol, err)
}
