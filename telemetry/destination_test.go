package telemetry

import (
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// certificateOf writes a server's certificate to a file.
func certificateOf(t *testing.T, s *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(path, encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCertificateIsTrusted(t *testing.T) {
	var taken atomic.Int64
	collector := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil && r.URL.Path == "/v1/traces" {
			taken.Add(1)
		}
		w.WriteHeader(http.StatusOK)
	}))
	collector.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	collector.StartTLS()
	defer collector.Close()
	f := func(certificate string, want int64) {
		t.Helper()
		t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", certificate)
		c := DefaultConfig()
		c.OTLP = OTLPConfig{Endpoint: collector.URL, Protocol: "http"}
		tel, err := Start(c, "1.2.3", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		twoAttempts(tel.Traces())
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if got := taken.Load(); got != want {
			t.Errorf("with certificate %q: %d exports arrived, want %d", certificate, got, want)
		}
	}
	f("", 0)
	f(certificateOf(t, collector), 1)
}
