package usage

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"tollgate/size"

	"github.com/goccy/go-yaml"
)

// Config is the part of config.yaml that says how usage is kept and what tokens
// cost: a section and two lists, at the top level of the file.
type Config struct {
	// Journal is how safe usage records are on their way to the ledger.
	Journal JournalConfig `yaml:"usage"`
	// Prices is what tenants pay, by public model name. A model may have several entries with different dates;
	// the latest one that has begun when a request is accepted applies. A model without an entry is free.
	Prices []PriceConfig `yaml:"prices"`
	// Costs is what the providers charge, by provider and its own model name, in the same shape.
	Costs []CostConfig `yaml:"costs"`
}

// Sync says what it takes until a record counts as safe.
type Sync string

const (
	// SyncStrict keeps the end of an answer back until its record survives the loss of power.
	SyncStrict Sync = "strict"
	// SyncRelaxed keeps it back until its record survives the death of the process; what the machine's death takes is 100 ms.
	SyncRelaxed Sync = "relaxed"
)

// JournalConfig is the `usage` section of config.yaml: the journal in data_dir/journal.
type JournalConfig struct {
	// Sync is when the end of an answer is let go. strict: when the disk has confirmed its record, which then survives a power cut. relaxed: when its record is written, which survives the death of the process; a power cut may take the records of the last 100 ms.
	Sync Sync `yaml:"sync"`
	// MaxJournal bounds the journal on the disk. Where neither it nor the disk has room for how all open requests will end, new ones are answered 503 before a provider is asked.
	MaxJournal size.Bytes `yaml:"max_journal"`
	// KeepShipped is how long the journal keeps what the ledger has, so that the ledger could be filled again; less while room is short.
	KeepShipped time.Duration `yaml:"keep_shipped"`
}

const (
	// leastJournal is room for a dozen segments of the smallest size: less would be full after a moment of the ledger's absence.
	leastJournal = 16 << 20
	// maxKeepShipped is a week: what is kept for longer belongs into a backup of the ledger.
	maxKeepShipped = 168 * time.Hour
)

// Validate returns one joined error with a line for each bad option.
func (c JournalConfig) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("usage."+format, args...)) }
	if c.Sync != SyncStrict && c.Sync != SyncRelaxed {
		bad("sync: must be strict or relaxed, got %q", string(c.Sync))
	}
	if c.MaxJournal < leastJournal || c.MaxJournal > size.Most {
		bad("max_journal: must be between %s and %s, got %s", size.Bytes(leastJournal), size.Most, c.MaxJournal)
	}
	if c.KeepShipped < 0 || c.KeepShipped > maxKeepShipped {
		bad("keep_shipped: must be between 0s and %s, got %s", maxKeepShipped, c.KeepShipped)
	}
	return errors.Join(errs...)
}

// PriceConfig is one entry of `prices`: what tenants pay for a model from a day on.
type PriceConfig struct {
	// Model is the public model name, a key of `models`.
	Model string `yaml:"model"`
	// From is the first day of this price, 2006-01-02, from midnight UTC on. Empty: since ever.
	From Date `yaml:"from"`
	// Input is the price of a million prompt tokens, a decimal string in US dollars.
	Input Money `yaml:"input"`
	// CachedInput is the price of a million prompt tokens that the provider read from its cache. Empty: the input price.
	CachedInput Money `yaml:"cached_input"`
	// Output is the price of a million completion tokens, reasoning included.
	Output Money `yaml:"output"`
}

// CostConfig is one entry of `costs`: what a provider charges for a model from a day on.
type CostConfig struct {
	// Provider is the provider's name, a key of `providers`.
	Provider string `yaml:"provider"`
	// Model is the provider's own name of the model.
	Model string `yaml:"model"`
	// From is the first day of this cost, 2006-01-02, from midnight UTC on. Empty: since ever.
	From Date `yaml:"from"`
	// Input is the cost of a million prompt tokens, a decimal string in US dollars.
	Input Money `yaml:"input"`
	// CachedInput is the cost of a million prompt tokens that the provider read from its cache. Empty: the input cost.
	CachedInput Money `yaml:"cached_input"`
	// Output is the cost of a million completion tokens, reasoning included.
	Output Money `yaml:"output"`
}

// Money is an amount of US dollars as written in config.yaml: a decimal string
// such as "0.10", with at most nine digits after the point. It stays text until
// ParseUSD reads it, so that no amount ever passes through a float.
type Money string

// UnmarshalYAML takes the digits as they stand in the file. A YAML library would
// hand an amount without quotes over as a float, rounded in silence.
func (m *Money) UnmarshalYAML(raw []byte) error {
	var value any
	if err := yaml.Unmarshal(raw, &value); err != nil {
		return err
	}
	switch v := value.(type) {
	case nil:
		*m = ""
	case string:
		*m = Money(v)
	case int64, uint64, float64:
		*m = Money(strings.TrimSpace(string(raw)))
	default:
		return errors.New(`an amount is a decimal string in US dollars such as "0.10"`)
	}
	return nil
}

// Date is a calendar day in UTC as written in config.yaml: "2006-01-02".
type Date string

// Time is the day's midnight UTC; an empty Date is the zero time.
func (d Date) Time() (time.Time, error) {
	if d == "" {
		return time.Time{}, nil
	}
	day, err := time.Parse(time.DateOnly, string(d))
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a day: write it as 2026-01-31", string(d))
	}
	return day, nil
}

// DefaultConfig returns the defaults of the `usage` section and no prices: every model is free.
func DefaultConfig() Config {
	return Config{Journal: JournalConfig{Sync: SyncStrict, MaxJournal: 4 << 30, KeepShipped: time.Hour}}
}

// Validate returns one joined error with a line for each bad option and each bad
// entry, which it names by its place in the list, counted from 0: prices[2].input.
func (c Config) Validate() error {
	_, err := NewPriceBook(c)
	return errors.Join(c.Journal.Validate(), err)
}
