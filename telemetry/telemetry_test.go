package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSecretIsNeverWritten(t *testing.T) {
	const clear = "tg_canary0000"
	s := Secret(clear)

	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %s %q %x %X %#v %+v %d ", s, s, s, s, s, s, s, s)
	fmt.Fprint(&out, s, []Secret{s}, map[string]Secret{"k": s}, struct{ S Secret }{s})
	fmt.Fprint(&out, fmt.Errorf("wrapped: %w %v", io.EOF, s))
	if err := json.NewEncoder(&out).Encode(map[string]any{"s": s, "p": &s, "l": []Secret{s}}); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"json", "text"} {
		log, end, err := NewLogger(&out, Config{LogLevel: "debug", LogFormat: format})
		if err != nil {
			t.Fatal(err)
		}
		log.Info("line", slog.Any("s", s), slog.Any("nested", struct{ S Secret }{s}), slog.Any("p", &s))
		end()
	}
	for _, form := range []string{clear, fmt.Sprintf("%x", clear), fmt.Sprintf("%X", clear)} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the secret was written:\n%s", out.String())
		}
	}
	if s.Reveal() != clear {
		t.Errorf("Reveal() = %q, want the clear text", s.Reveal())
	}
}

func TestAccessLine(t *testing.T) {
	f := func(a Access, want string) {
		t.Helper()
		var out bytes.Buffer
		log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		LogAccess(t.Context(), log, a)
		if got := strings.TrimSpace(out.String()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f(Access{RequestID: "r1", Method: "GET", Route: "/v1/models", Status: 401, ErrorCode: "invalid_api_key", Duration: 120 * time.Microsecond},
		`{"level":"INFO","msg":"request","request_id":"r1","method":"GET","route":"/v1/models","status":401,"error_code":"invalid_api_key","duration_ms":0.12}`)
	f(Access{
		RequestID: "r2", Method: "POST", Route: "/v1/chat/completions", Status: 502, ErrorCode: "upstream_error",
		Tenant: "acme", KeyID: "key_1", Model: "m", Provider: "p", Attempts: 3, Stream: true,
		EndReason: "upstream_failed", UsageSource: "none", Duration: time.Second, FirstByte: 5 * time.Millisecond,
	},
		`{"level":"ERROR","msg":"request","request_id":"r2","method":"POST","route":"/v1/chat/completions","status":502,"error_code":"upstream_error",`+
			`"tenant":"acme","key_id":"key_1","model":"m","provider":"p","attempts":3,"stream":true,"end_reason":"upstream_failed","usage_source":"none","first_byte_ms":5,"duration_ms":1000}`)
	f(Access{RequestID: "r3", Status: 429, ErrorCode: "rate_limit_exceeded", Limit: "tenant_tokens", LimitsShadowed: "requests, concurrent", Tenant: "acme", KeyID: "key_1"},
		`{"level":"INFO","msg":"request","request_id":"r3","status":429,"error_code":"rate_limit_exceeded","limit":"tenant_tokens","limits_shadowed":"requests, concurrent",`+
			`"tenant":"acme","key_id":"key_1","duration_ms":0}`)
}

func TestConfigRefusesUnknownWords(t *testing.T) {
	f := func(c Config, want string) {
		t.Helper()
		if _, _, err := NewLogger(io.Discard, c); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f(Config{LogLevel: "loud", LogFormat: "auto"}, `telemetry.log_level: must be debug, info, warn or error, got "loud"`)
	f(Config{LogLevel: "info", LogFormat: "xml"}, `telemetry.log_format: must be auto, json or text, got "xml"`)
}

func TestLogLevelHoldsBackLesserLines(t *testing.T) {
	var out bytes.Buffer
	log, end, err := NewLogger(&out, Config{LogLevel: "warn", LogFormat: "json"})
	if err != nil {
		t.Fatal(err)
	}
	log.Info("quiet")
	log.Warn("heard")
	end()
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, "heard") {
		t.Errorf("got %s", got)
	}
}

func TestRequestIDsSortByTime(t *testing.T) {
	var ids []string
	for range 1000 {
		ids = append(ids, NewRequestID())
	}
	if !slices.IsSorted(ids) {
		t.Error("ids made one after the other do not sort in that order")
	}
	if unique := slices.Compact(slices.Clone(ids)); len(unique) != len(ids) {
		t.Errorf("%d of %d ids are unique", len(unique), len(ids))
	}
	if len(ids[0]) != 36 || ids[0][14] != '7' {
		t.Errorf("%q is not a UUIDv7", ids[0])
	}
}
