package redistest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// VerifyTestMain is goleak.VerifyTestMain for packages whose tests use Redis. A
// client that has met many refused dials keeps a goroutine, asleep for up to a
// second, after it was closed: goleak alone gives up sooner.
func VerifyTestMain(m *testing.M) {
	code := m.Run()
	deadline := time.Now().Add(patience)
	for code == 0 {
		err := goleak.Find()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			_, _ = fmt.Fprintln(os.Stderr, "goleak:", err)
			code = 1
		}
	}
	os.Exit(code)
}
