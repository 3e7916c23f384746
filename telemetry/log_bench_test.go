package telemetry

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// access is the Access of one streamed request that went well.
func access() Access {
	return Access{
		RequestID: "0192f0c1-2345-7abc-8def-0123456789ab", TraceID: "4bf92f3577b34da6a3ce929d0e0e4736",
		Method: "POST", Route: "/v1/chat/completions", Status: 200, Tenant: "acme", KeyID: "key_0192f0c1",
		Model: "gemini-flash", Provider: "starmagic", Attempts: 1, Admitted: true, Stream: true,
		EndReason: "completed", UsageSource: "upstream", Tokens: Tokens{Prompt: 120, Completion: 480},
		Duration: 2*time.Second + 17*time.Microsecond, FirstByte: 90123 * time.Microsecond, Overhead: 312 * time.Microsecond,
	}
}

func BenchmarkAccessLine(b *testing.B) {
	run := func(name string, w io.Writer) {
		b.Run(name, func(b *testing.B) {
			log, end, err := NewLogger(w, Config{LogLevel: "info", LogFormat: "json"})
			if err != nil {
				b.Fatal(err)
			}
			defer end()
			a := access()
			b.ReportAllocs()
			for b.Loop() {
				LogAccess(b.Context(), log, a)
			}
		})
	}
	run("discard", io.Discard)
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	run("file", f)
}
