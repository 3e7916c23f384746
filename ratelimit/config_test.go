package ratelimit

import (
	"fmt"
	"math"
	"testing"
)

func TestConfig(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); fmt.Sprint(err) != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	f(func(*Config) {}, "<nil>")
	f(func(c *Config) { *c = Config{MaxCompletionTokens: 1} }, "<nil>")
	f(func(c *Config) {
		*c = Config{
			Default:             Limits{RequestsPerMinute: 1_000_000_000, Burst: 1_000_000_000, TokensPerMinute: 1_000_000_000_000, Concurrent: 1_000_000},
			MaxCompletionTokens: 1 << 31, MaxKeys: 1_000_000_000, MaxReplicas: 10_000,
		}
	}, "<nil>")
	f(func(c *Config) {
		*c = Config{
			Default:             Limits{RequestsPerMinute: -1, Burst: -2, TokensPerMinute: -3, Concurrent: -4},
			MaxCompletionTokens: -5, MaxKeys: -6, MaxReplicas: -7,
		}
	}, "limits.default.requests_per_minute: must be 0 (no limit) to 1000000000, got -1\n"+
		"limits.default.burst: must be 0 (requests_per_minute) to 1000000000, got -2\n"+
		"limits.default.tokens_per_minute: must be 0 (no limit) to 1000000000000, got -3\n"+
		"limits.default.concurrent: must be 0 (no limit) to 1000000, got -4\n"+
		"limits.max_keys: must be 0 (the default of 100000) to 1000000000, got -6\n"+
		"limits.max_replicas: must be 0 (the default of 10) to 10000, got -7\n"+
		"limits.max_completion_tokens: must be 1 to 2147483648, got -5")
	f(func(c *Config) { c.Default.RequestsPerMinute = 1_000_000_001 }, "limits.default.requests_per_minute: must be 0 (no limit) to 1000000000, got 1000000001")
	f(func(c *Config) { c.Default.Burst = math.MaxInt }, "limits.default.burst: must be 0 (requests_per_minute) to 1000000000, got 9223372036854775807")
	f(func(c *Config) { c.Default.TokensPerMinute = 1_000_000_000_001 }, "limits.default.tokens_per_minute: must be 0 (no limit) to 1000000000000, got 1000000000001")
	f(func(c *Config) { c.Default.Concurrent = 1_000_001 }, "limits.default.concurrent: must be 0 (no limit) to 1000000, got 1000001")
	f(func(c *Config) { c.MaxReplicas = 10_001 }, "limits.max_replicas: must be 0 (the default of 10) to 10000, got 10001")
	f(func(c *Config) { c.Default = Limits{Burst: 7} },
		"limits.default.burst: 7 is of no use without limits.default.requests_per_minute: set that, too")
	f(func(c *Config) { c.MaxCompletionTokens = 0 }, "limits.max_completion_tokens: must be 1 to 2147483648, got 0")
	f(func(c *Config) { c.MaxCompletionTokens = 1<<31 + 1 }, "limits.max_completion_tokens: must be 1 to 2147483648, got 2147483649")
}
