package ratelimit

import (
	"testing"

	"tollgate/store"
	"tollgate/store/redistest"
)

func TestMain(m *testing.M) {
	store.SilenceRedisLog()
	redistest.VerifyTestMain(m)
}
