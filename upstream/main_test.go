package upstream

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parse reads a piece of config.yaml as strictly as the gateway does.
func parse(t *testing.T, text string) Config {
	t.Helper()
	var c Config
	if err := yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict()); err != nil {
		t.Fatalf("the test's own configuration is wrong: %v", err)
	}
	return c
}

// build makes a table of a piece of config.yaml.
func build(t *testing.T, text string) *Table {
	t.Helper()
	table, err := NewTable(parse(t, text), TableOptions{})
	if err != nil {
		t.Fatalf("NewTable: %v", err)
	}
	return table
}

// model returns the one model of a table.
func model(t *testing.T, table *Table) *Model {
	t.Helper()
	m, ok := table.Model(table.Names()[0])
	if !ok || len(table.Names()) != 1 {
		t.Fatalf("the table has the models %v, want one", table.Names())
	}
	return m
}

// logged is a log whose lines can be read while it is written to.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.text.String(), "\n"), "\n")
}

// newLog returns a log without times, and what was written to it.
func newLog() (*slog.Logger, *logged) {
	var l logged
	return slog.New(slog.NewTextHandler(&l, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})), &l
}
