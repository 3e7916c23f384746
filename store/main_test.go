package store

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"time"

	"tollgate/store/redistest"
)

func TestMain(m *testing.M) {
	SilenceRedisLog()
	redistest.VerifyTestMain(m)
}

// logged is a log whose lines can be read while it is written to.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func newLog() (*slog.Logger, *logged) {
	var l logged
	return slog.New(slog.NewJSONHandler(&l, nil)), &l
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// line is what a test reads of a log's line.
type line struct {
	Level, Msg, Error string
	Duration          *int64 `json:"duration_ms"`
}

func (l *logged) lines(t *testing.T) []line {
	t.Helper()
	var lines []line
	for text := range bytes.Lines([]byte(l.String())) {
		var one line
		if err := json.Unmarshal(text, &one); err != nil {
			t.Fatalf("not JSON: %s", text)
		}
		lines = append(lines, one)
	}
	return lines
}

// patience bounds every wait of a test.
const patience = 2 * time.Minute

// eventually polls until it holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}
