package sse

import (
	"errors"
	"io"
)

// ErrEventTooLong is wrapped by the error for an event longer than the Framer's maximum.
var ErrEventTooLong = errors.New("the upstream sent an event that is too long")

// A Framer cuts a byte stream into events. It owns the one read buffer of its stream.
type Framer struct{}

// NewFramer returns a Framer that refuses events beyond maxEvent bytes (below 1: 16 MiB).
func NewFramer(maxEvent int) *Framer { return &Framer{} }

// Reset prepares the Framer for another stream.
func (f *Framer) Reset(maxEvent int) {}

// Fill does one Read from src into the buffer and returns what Read returned. Bytes and io.EOF may come together.
// After an event beyond the maximum it reads nothing and returns an error that wraps ErrEventTooLong.
// The caller drains Next before it fills again.
func (f *Framer) Fill(src io.Reader) (int, error) { return 0, io.EOF }

// Next returns the next event in memory, false when more bytes are needed.
func (f *Framer) Next() (Event, bool) { return Event{}, false }

// Err is the error that Fill would return without reading: it wraps ErrEventTooLong, or is nil.
func (f *Framer) Err() error { return nil }

// Rest returns the bytes of the unfinished event.
func (f *Framer) Rest() []byte { return nil }

// Final returns, at the end of the stream, Rest as an event as if its blank line had come (a [DONE] often has none).
func (f *Framer) Final() (Event, bool) { return Event{}, false }
