package telemetry

import (
	"context"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"
)

// logHandler is one of slog's handlers in front of a logWriter. It lets no line
// of WARN or above wait, and has a short way for the lines that every request
// leaves behind.
type logHandler struct {
	slog.Handler
	out *logWriter
	// lines is memory for the short way; nil: Handler is no JSONHandler without
	// attributes, groups and replacements.
	lines *sync.Pool
}

func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	h.hurry(r.Level)
	return err
}

// WithAttrs gives up the short way, which knows the line's own attributes only.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{Handler: h.Handler.WithAttrs(attrs), out: h.out}
}

// WithGroup gives up the short way.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{Handler: h.Handler.WithGroup(name), out: h.out}
}

func (h *logHandler) hurry(level slog.Level) {
	if level >= slog.LevelWarn {
		h.out.flush()
	}
}

// writePlain writes the line that Handle would write, at a fifth of its cost
// and without an allocation. It reports false, and has written nothing, for a
// line that it leaves to Handle: text that is long or needs escapes, numbers
// that need an exponent, values of other kinds.
func (h *logHandler) writePlain(now time.Time, level slog.Level, msg string, attrs []slog.Attr) bool {
	if h.lines == nil {
		return false
	}
	line := h.lines.Get().(*plainLine)
	defer h.lines.Put(line)
	if !line.build(now, level, msg, attrs) {
		return false
	}
	_, _ = h.out.Write(line.json) // never fails
	h.hurry(level)
	return true
}

func newLines() *sync.Pool {
	return &sync.Pool{New: func() any { return &plainLine{json: make([]byte, 0, 1<<10)} }}
}

// A plainLine is one line of JSON that needs no escapes.
type plainLine struct {
	json []byte
	odd  bool // it is none
}

func (l *plainLine) build(now time.Time, level slog.Level, msg string, attrs []slog.Attr) bool {
	l.odd = false
	l.json = append(l.json[:0], `{"time":"`...)
	l.json = now.AppendFormat(l.json, time.RFC3339Nano)
	l.json = append(l.json, `","level":`...)
	l.text(level.String())
	l.json = append(l.json, `,"msg":`...)
	l.text(msg)
	for _, a := range attrs {
		l.json = append(l.json, ',')
		l.text(a.Key)
		l.json = append(l.json, ':')
		l.value(a.Value)
	}
	l.json = append(l.json, '}', '\n')
	return !l.odd
}

func (l *plainLine) value(v slog.Value) {
	switch v.Kind() {
	case slog.KindString:
		l.text(v.String())
	case slog.KindInt64:
		l.json = strconv.AppendInt(l.json, v.Int64(), 10)
	case slog.KindBool:
		l.json = strconv.AppendBool(l.json, v.Bool())
	case slog.KindFloat64:
		l.float(v.Float64())
	default:
		l.odd = true
	}
}

// maxPlainText keeps what a pool remembers small.
const maxPlainText = 256

func (l *plainLine) text(s string) {
	l.odd = l.odd || len(s) > maxPlainText
	if l.odd {
		return
	}
	for i := range len(s) {
		if b := s[i]; b < ' ' || b >= 0x80 || b == '"' || b == '\\' {
			l.odd = true
			return
		}
	}
	l.json = append(l.json, '"')
	l.json = append(l.json, s...)
	l.json = append(l.json, '"')
}

// float writes the numbers that encoding/json writes without an exponent.
func (l *plainLine) float(f float64) {
	if size := math.Abs(f); size != 0 && !(size >= 1e-6 && size < 1e21) { // NaN is false to both
		l.odd = true
		return
	}
	l.json = strconv.AppendFloat(l.json, f, 'f', -1, 64)
}
