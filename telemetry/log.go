package telemetry

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
)

// Config is the `telemetry` section of config.yaml.
type Config struct {
	// LogLevel is the least severe level written: debug, info, warn or error.
	LogLevel string `yaml:"log_level"`
	// LogFormat is auto (text on a terminal, JSON elsewhere), json or text.
	LogFormat string `yaml:"log_format"`
}

// DefaultConfig returns the defaults of the `telemetry` section.
func DefaultConfig() Config { return Config{LogLevel: "info", LogFormat: "auto"} }

// Validate returns one joined error with a line for each bad option.
func (c Config) Validate() error {
	var errs []error
	if _, err := c.level(); err != nil {
		errs = append(errs, err)
	}
	switch c.LogFormat {
	case "auto", "json", "text":
	default:
		errs = append(errs, fmt.Errorf("telemetry.log_format: must be auto, json or text, got %q", c.LogFormat))
	}
	return errors.Join(errs...)
}

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
// text when w is a terminal and JSON otherwise. The error is c.Validate's.
func NewLogger(w io.Writer, c Config) (*slog.Logger, error) {
	if err := c.Validate(); err != nil {
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
