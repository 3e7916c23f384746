package telemetry

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted stands wherever a secret would otherwise have been written.
const redacted = "[redacted]"

// Secret is a string that refuses to be written anywhere: printing, formatting,
// logging and encoding it all give "[redacted]". Only Reveal shows it, so a
// search for Reveal lists every place that handles the clear text.
type Secret string

// Reveal returns the clear text. The caller must not log it or put it in an error.
func (s Secret) Reveal() string { return string(s) }

// String implements fmt.Stringer.
func (s Secret) String() string { return redacted }

// GoString implements fmt.GoStringer, for %#v.
func (s Secret) GoString() string { return redacted }

// Format implements fmt.Formatter, so that no verb (%x, %q, ...) gets past String.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements encoding.TextMarshaler, for JSON, YAML and map keys.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
