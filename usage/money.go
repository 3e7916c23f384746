package usage

import "errors"

// NanoUSD is an amount of money in billionths of a US dollar. It encodes in JSON
// as an integer.
type NanoUSD int64

// USD is NanoUSD where people read it: it encodes as a decimal string in dollars.
type USD NanoUSD

// ErrOverflow says that an amount does not fit into the nano-dollars of an int64
// (about 9.2 billion dollars). Nothing ever wraps.
var ErrOverflow = errors.New("amount is beyond 9.2 billion US dollars")

// ParseUSD reads a decimal string in US dollars, such as "25.00".
func ParseUSD(s string) (NanoUSD, error) { panic("stub") }

// String renders the amount in dollars, exactly: "0.000567", "25.00".
func (n NanoUSD) String() string { panic("stub") }

// Add returns n + m, or ErrOverflow.
func (n NanoUSD) Add(m NanoUSD) (NanoUSD, error) { panic("stub") }
