package otlptest

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// Export implements OTLP/gRPC.
func (r *Receiver) Export(ctx context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	header := make(map[string]string)
	if received, ok := metadata.FromIncomingContext(ctx); ok {
		for name, values := range received {
			header[name] = strings.Join(values, ", ")
		}
	}
	r.take(Export{Protocol: "grpc", Header: header}, spansOf(request))
	return new(collector.ExportTraceServiceResponse), nil
}

// serveHTTP takes OTLP/HTTP in binary protobuf.
func (r *Receiver) serveHTTP(w http.ResponseWriter, request *http.Request) {
	if request.URL.Path != "/v1/traces" || request.Method != http.MethodPost {
		http.Error(w, "traces are taken at POST /v1/traces", http.StatusNotFound)
		return
	}
	decoded, err := decode(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	header := make(map[string]string)
	for name, values := range request.Header {
		header[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	r.take(Export{Protocol: "http", Header: header}, spansOf(decoded))
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func decode(request *http.Request) (*collector.ExportTraceServiceRequest, error) {
	const most = 64 << 20
	body := io.Reader(request.Body)
	if request.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = unzipped
	}
	encoded, err := io.ReadAll(io.LimitReader(body, most))
	if err != nil {
		return nil, err
	}
	decoded := new(collector.ExportTraceServiceRequest)
	return decoded, proto.Unmarshal(encoded, decoded)
}

func spansOf(request *collector.ExportTraceServiceRequest) []Span {
	var spans []Span
	for _, resource := range request.GetResourceSpans() {
		about := attributes(resource.GetResource().GetAttributes())
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				span := spanOf(s)
				span.Resource, span.Scope = about, scope.GetScope().GetName()
				spans = append(spans, span)
			}
		}
	}
	return spans
}

func spanOf(s *trace.Span) Span {
	return Span{
		Name:       s.GetName(),
		Kind:       strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_")),
		TraceID:    hex.EncodeToString(s.GetTraceId()),
		SpanID:     hex.EncodeToString(s.GetSpanId()),
		ParentID:   hex.EncodeToString(s.GetParentSpanId()),
		State:      s.GetTraceState(),
		Attributes: attributes(s.GetAttributes()),
		Status:     strings.ToLower(strings.TrimPrefix(s.GetStatus().GetCode().String(), "STATUS_CODE_")),
		Message:    s.GetStatus().GetMessage(),
		Start:      time.Unix(0, int64(s.GetStartTimeUnixNano())), //nolint:gosec // fits until the year 2262
		End:        time.Unix(0, int64(s.GetEndTimeUnixNano())),   //nolint:gosec // fits until the year 2262
		Events:     len(s.GetEvents()),
	}
}

func attributes(pairs []*common.KeyValue) map[string]any {
	all := make(map[string]any, len(pairs))
	for _, pair := range pairs {
		all[pair.GetKey()] = plain(pair.GetValue())
	}
	return all
}

// plain is a value as a Go value; kinds that no attribute here has are nil.
func plain(v *common.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_BoolValue:
		return v.BoolValue
	case *common.AnyValue_IntValue:
		return v.IntValue
	case *common.AnyValue_DoubleValue:
		return v.DoubleValue
	case *common.AnyValue_ArrayValue:
		all := make([]any, 0, len(v.ArrayValue.GetValues()))
		for _, element := range v.ArrayValue.GetValues() {
			all = append(all, plain(element))
		}
		return all
	}
	return nil
}
