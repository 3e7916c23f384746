package certs

import (
	"fmt"
	"strconv"
	"strings"
)

// The options that name the files.
const (
	certOption = "server.tls.cert"
	keyOption  = "server.tls.key"
)

// Error says why a file is of no use, and what to do. Its text never holds what
// is in a file.
type Error struct {
	// Option is server.tls.cert or server.tls.key.
	Option string
	// Trouble is what is wrong with the file named there, and what to do.
	Trouble string
	// Cause is the operating system's or the parser's error, or nil.
	Cause error
}

// Error implements error.
func (e *Error) Error() string { return e.Option + ": " + e.Trouble }

// Unwrap returns the cause, for errors.Is(err, fs.ErrNotExist) and the like.
func (e *Error) Unwrap() error { return e.Cause }

// longestPath is what Linux takes as a path, in bytes.
const longestPath = 4096

// shown returns a path in quotes. What can be no path is not repeated: who puts
// the key itself where its file's name belongs must not find it in a log.
func shown(path string) string {
	const inPEM, inBase64 = "-----BEGIN", "LS0tLS1CRUdJTi" // the same, as in a Kubernetes Secret
	if len(path) > longestPath || strings.ContainsAny(path, "\r\n") || strings.Contains(path, inPEM) || strings.Contains(path, inBase64) {
		return fmt.Sprintf("a value of %d bytes (it is no path: write the name of a file, not what is in it)", len(path))
	}
	return strconv.Quote(path)
}
