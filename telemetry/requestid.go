package telemetry

import "github.com/google/uuid"

// NewRequestID returns a new request id: a UUIDv7 (RFC 9562), so that ids sort
// by the time they were made and never come from outside. A provider's own
// response id is data, never a key: two of them document the very same one.
func NewRequestID() string {
	return uuid.Must(uuid.NewV7()).String()
}
