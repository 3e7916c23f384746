package usage

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// PriceBook knows what tenants pay and what providers charge, by day. It never
// changes: new prices are a new book. It is safe for concurrent use.
type PriceBook struct {
	prices map[priced][]entry
	costs  map[priced][]entry
}

// priced is what an entry is about: a public model, or a provider's own one.
type priced struct{ provider, model string }

// entry is one tariff and the moment it begins.
type entry struct {
	name string
	from time.Time
	tariff
}

// NewPriceBook builds the book from a configuration. It refuses the entries that
// Validate refuses: the two are the same check.
func NewPriceBook(c Config) (*PriceBook, error) {
	b := &PriceBook{prices: map[priced][]entry{}, costs: map[priced][]entry{}}
	var errs []error
	for i, p := range c.Prices {
		l := listed{option: fmt.Sprintf("prices[%d]", i), of: priced{model: p.Model}, from: p.From}
		errs = append(errs, l.addTo(b.prices, p.Input, p.CachedInput, p.Output)...)
	}
	for i, p := range c.Costs {
		l := listed{option: fmt.Sprintf("costs[%d]", i), of: priced{p.Provider, p.Model}, from: p.From}
		if p.Provider == "" {
			errs = append(errs, fmt.Errorf("%s.provider: must name a provider, got \"\"", l.option))
		}
		errs = append(errs, l.addTo(b.costs, p.Input, p.CachedInput, p.Output)...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return b, nil
}

// listed is an entry's place in config.yaml and what it is about.
type listed struct {
	option string
	of     priced
	from   Date
}

// addTo reads the entry into the book, latest first, and returns what is wrong with it.
func (l listed) addTo(book map[priced][]entry, input, cachedInput, output Money) []error {
	var errs []error
	if l.of.model == "" {
		errs = append(errs, fmt.Errorf("%s.model: must name a model, got \"\"", l.option))
	}
	from, err := l.from.Time()
	if err != nil {
		errs = append(errs, fmt.Errorf("%s.from: %w", l.option, err))
	}
	amount := func(name string, m Money) NanoUSD {
		n, err := parsePrice(m)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s.%s: %w", l.option, name, err))
		}
		return n
	}
	t := tariff{input: amount("input", input), output: amount("output", output)}
	t.cachedInput = t.input
	if cachedInput != "" {
		t.cachedInput = amount("cached_input", cachedInput)
	}
	if len(errs) > 0 {
		return errs
	}
	entries := book[l.of]
	at, taken := slices.BinarySearchFunc(entries, from, func(e entry, from time.Time) int { return from.Compare(e.from) })
	if taken {
		return []error{fmt.Errorf("%s: a second entry for %s; give it another date or remove it", l.option, l.name())}
	}
	book[l.of] = slices.Insert(entries, at, entry{name: l.name(), from: from, tariff: t})
	return nil
}

// name is what a record says about the entry: model@2006-01-02, or provider/model@2006-01-02.
func (l listed) name() string {
	name := l.of.model + "@" + string(cmp.Or(l.from, "always"))
	if l.of.provider != "" {
		return l.of.provider + "/" + name
	}
	return name
}

// maxPrice is a dollar per token. It refuses slips of the unit, and it keeps the
// charge of any believable tokens inside NanoUSD.
const maxPrice NanoUSD = 1_000_000 * nanosPerUSD

func parsePrice(m Money) (NanoUSD, error) {
	if m == "" {
		return 0, errors.New(`must be the dollars of a million tokens such as "0.10", got ""`)
	}
	n, err := ParseUSD(string(m))
	if err == nil && (strings.HasPrefix(string(m), "-") || n > maxPrice) {
		err = fmt.Errorf("must be from 0 to %s dollars for a million tokens, got %s", maxPrice, m)
	}
	return n, err
}

// Charge is what a tenant pays for t of a public model, at the prices of the moment
// the request was accepted, and the name of the price entry used, such as
// "gemini-2.5-flash-lite@2026-01-01". Without an entry that has begun the charge is
// 0 and the name empty. The error is an *InsaneError for tokens that cannot be true
// (negative, 2^31 or more, a part above its whole); the amount is never negative.
func (b *PriceBook) Charge(model string, t Tokens, at time.Time) (NanoUSD, string, error) {
	return lookUp(b.prices[priced{model: model}], t, at)
}

// Cost is what a provider charges for t of its model, on the terms of Charge; its
// entries are named "starmagic/gemini-2.5-flash-lite@2026-01-01".
func (b *PriceBook) Cost(provider, model string, t Tokens, at time.Time) (NanoUSD, string, error) {
	return lookUp(b.costs[priced{provider, model}], t, at)
}

func lookUp(latestFirst []entry, t Tokens, at time.Time) (NanoUSD, string, error) {
	for _, e := range latestFirst {
		if !e.from.After(at) {
			n, err := e.amount(t)
			return n, e.name, err
		}
	}
	return 0, "", t.valid()
}
