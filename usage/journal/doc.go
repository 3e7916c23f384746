// Package journal answers one question: are these bytes safe?
//
// A Log is a folder of segments, files of one size that are filled with zeros before
// they are used, so that neither an append nor its fsync has to find room on the
// disk. Append writes an entry: it survives the death of the process. Await returns
// when it survives the machine's: one goroutine calls fdatasync for all who wait. A
// file whose fsync has failed is never asked again, since the kernel forgets which of
// its pages were not written: what is not yet known to be durable goes into a new one.
//
// Room is promised ahead. An entry that begins something is refused unless there is
// room, already on the disk, for it and for how everything that has begun will end.
//
// Every entry says how far the journal was durable when it was written. That tells a
// torn end, which a crash leaves and nobody was promised, from damage to what was.
//
// A Log is safe for concurrent use; one process at a time holds its folder. A Reader
// belongs to one goroutine. Verify and Inspect only read, also beside a Log that is open;
// Repair needs the folder for itself.
package journal
