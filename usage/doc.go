// Package usage answers two questions about every answer that leaves Tollgate:
// what did it cost, and is the record of it safe?
//
// ParseTokens reads what a provider reported, Meter and Estimator count what it
// did not report, Decide applies the charging table, PriceBook turns tokens into
// money. Books write down what happens before it happens, so that every request that
// has begun is billed, whatever the process dies of; and Ledger counts each bill once.
//
// Money is an integer number of nano-dollars; no float takes part anywhere. A
// PriceBook, an Estimator, Books and a Ledger are safe for concurrent use; a Meter
// belongs to the goroutine that relays its answer.
package usage
