package usage

import "time"

// PriceBook knows what tenants pay and what providers charge, by day. It never
// changes and is safe for concurrent use.
type PriceBook struct{}

// NewPriceBook builds the book from a configuration; it refuses what Validate refuses.
func NewPriceBook(c Config) (*PriceBook, error) { panic("stub") }

// Charge is what a tenant pays for t of a public model at that time, with the name of the price entry used.
func (b *PriceBook) Charge(model string, t Tokens, at time.Time) (NanoUSD, string, error) { panic("stub") }

// Cost is what a provider charges for t of its model at that time, with the name of the cost entry used.
func (b *PriceBook) Cost(provider, model string, t Tokens, at time.Time) (NanoUSD, string, error) {
	panic("stub")
}
