package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"os"
)

func (c Config) level() (slog.Level, error) {
	switch c.LogLevel {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("telemetry.log_level: must be debug, info, warn or error, got %q", c.LogLevel)
}

// NewLogger returns a logger that writes to w, and the function that ends it.
// With the format auto it writes text when w is a terminal and JSON otherwise.
// The error names a bad log option; the others are not its business.
//
// Unless w is a terminal, lines below WARN wait for company: up to 100 ms, or
// until 4 KiB are full, and then go out in one write. A line of WARN or above
// goes out at once, with everything before it. A process that is killed, or
// dies of a panic, loses at most its last 100 ms of lesser lines.
//
// What w does not take is dropped and counted; the first line that w takes
// again says how much is missing.
//
// Call end when the process ends: it writes what waits. Lines after it are
// written at once.
func NewLogger(w io.Writer, c Config) (log *slog.Logger, end func(), err error) {
	if err := c.validateLog(); err != nil {
		return nil, nil, err
	}
	level, err := c.level()
	if err != nil {
		return nil, nil, err
	}
	terminal := isTerminal(w)
	text := c.LogFormat == "text" || (c.LogFormat == "auto" && terminal)
	format := func(w io.Writer) slog.Handler {
		if text {
			return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
		}
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})
	}
	out := newLogWriter(w, logDelay, format)
	if terminal {
		out.end() // somebody reads along
	}
	handler := &logHandler{Handler: format(out), out: out}
	if !text {
		handler.lines = newLines()
	}
	return slog.New(handler), out.end, nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
