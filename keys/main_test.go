package keys

import (
	"testing"

	"tollgate/store"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	store.SilenceRedisLog()
	goleak.VerifyTestMain(m)
}
