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

// NewLogger returns a logger that writes to w. With the format auto it writes
// text when w is a terminal and JSON otherwise. The error names a bad log
// option; the others are not its business.
func NewLogger(w io.Writer, c Config) (*slog.Logger, error) {
	if err := c.validateLog(); err != nil {
		return nil, err
	}
	level, err := c.level()
	if err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "text" || (c.LogFormat == "auto" && isTerminal(w)) {
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return slog.New(slog.NewJSONHandler(w, options)), nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
