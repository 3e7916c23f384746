package usage

import (
	"testing"
	"time"
)

func TestJournalConfig(t *testing.T) {
	f := func(change func(c *JournalConfig), want string) {
		t.Helper()
		c := DefaultConfig()
		change(&c.Journal)
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%+v\n got %s\nwant %s", c.Journal, got, want)
		}
	}
	f(func(*JournalConfig) {}, "")
	f(func(c *JournalConfig) { c.Sync = SyncRelaxed }, "")
	f(func(c *JournalConfig) { c.Sync = "" }, `usage.sync: must be strict or relaxed, got ""`)
	f(func(c *JournalConfig) { c.Sync = "Strict" }, `usage.sync: must be strict or relaxed, got "Strict"`)

	f(func(c *JournalConfig) { c.MaxJournal = 16 << 20 }, "")
	f(func(c *JournalConfig) { c.MaxJournal = 1 << 40 }, "")
	f(func(c *JournalConfig) { c.MaxJournal = 16<<20 - 1 }, "usage.max_journal: must be between 16MiB and 1024GiB, got 16777215")
	f(func(c *JournalConfig) { c.MaxJournal = 1<<40 + 1 }, "usage.max_journal: must be between 16MiB and 1024GiB, got 1099511627777")

	f(func(c *JournalConfig) { c.KeepShipped = 0 }, "")
	f(func(c *JournalConfig) { c.KeepShipped = 168 * time.Hour }, "")
	f(func(c *JournalConfig) { c.KeepShipped = -time.Second }, "usage.keep_shipped: must be between 0s and 168h0m0s, got -1s")
	f(func(c *JournalConfig) { c.KeepShipped = 169 * time.Hour }, "usage.keep_shipped: must be between 0s and 168h0m0s, got 169h0m0s")

	f(func(c *JournalConfig) { *c = JournalConfig{} },
		"usage.sync: must be strict or relaxed, got \"\"\n"+
			"usage.max_journal: must be between 16MiB and 1024GiB, got 0")
}
