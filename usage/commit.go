package usage

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"
)

const (
	// maxBatch bounds a transaction, so that nobody waits for an endless one.
	maxBatch = 1024
	// maxYields bounds how often the committer lets the others run before it commits. A yield is spent only
	// when the one before it brought records: on one core a single one gathers nearly all who can run, 250
	// records of 256 recorders instead of 5.
	maxYields = 8
	// maxDelay bounds what a commit waits for records that are likely to come.
	maxDelay = time.Millisecond
)

// committer turns the records that wait into batches, as large as they become
// without making anybody wait much. It belongs to one goroutine.
//
// An fsync costs the same for one record as for a thousand, and while it blocks, a
// process with one core does nothing else for as long as the runtime does not take
// the core away from it. So the others are let run first.
type committer struct {
	storage storage
	waiting <-chan *pending
	batch   []*pending
	records []Record
	delay   *time.Timer

	// What the last commit was like: its records, how long it took, and how many waited when it ended.
	last, queued int
	took         time.Duration
}

// run commits until the queue is closed and empty.
func (c *committer) run() {
	c.delay = time.NewTimer(maxDelay)
	c.delay.Stop()
	for first := range c.waiting {
		c.batch = append(c.batch[:0], first)
		if c.gather() {
			c.linger()
		}
		size, began := len(c.batch), time.Now()
		c.commit()
		c.last, c.queued, c.took = size, len(c.waiting), time.Since(began)
	}
}

// gather takes what waits already, and what others bring as soon as they may run.
// It reports whether there may be more: the queue is open, and the batch not full.
func (c *committer) gather() bool {
	more := c.drain()
	for range maxYields {
		size := len(c.batch)
		runtime.Gosched()
		if more = c.drain(); !more || len(c.batch) == size {
			break
		}
	}
	return more
}

// drain takes what waits already, and reports as gather does.
func (c *committer) drain() bool {
	for len(c.batch) < maxBatch {
		select {
		case p, open := <-c.waiting:
			if !open {
				return false
			}
			c.batch = append(c.batch, p)
		default:
			return true
		}
	}
	return false
}

// linger waits for those who are likely to come, as PostgreSQL does with commit_delay
// and commit_siblings: the ones who were answered last time and those who waited
// then. It never waits for longer than the commit that it may save.
//
// Measured in records per commit, without and with it, of recorders that work 50 µs
// between records on two cores: 8 recorders 5.7 and 7.9, 32 recorders 22 and 30; a
// maxDelay of 250 µs gives 27 of these 32. A client that is alone has nobody to wait
// for, and waits for nobody.
func (c *committer) linger() {
	likely := c.last + c.queued
	if c.last <= 1 || len(c.batch) >= likely {
		return
	}
	c.delay.Reset(min(maxDelay, c.took))
	defer c.delay.Stop()
	for len(c.batch) < likely {
		select {
		case p, open := <-c.waiting:
			if !open {
				return
			}
			c.batch = append(c.batch, p)
			if !c.gather() {
				return
			}
		case <-c.delay.C:
			return
		}
	}
}

// commit writes the batch and tells everybody in it. A record that the storage rejects
// must not take the others with it: they are written without it.
func (c *committer) commit() {
	for _, p := range c.batch {
		c.records = append(c.records, p.record)
	}
	for len(c.batch) > 0 {
		// Not the callers' contexts: a client that left must not undo its own bill.
		err := c.storage.write(context.Background(), c.records)
		var rejected *rejection
		if errors.As(err, &rejected) {
			c.batch[rejected.index].committed <- rejected.err
			c.batch = slices.Delete(c.batch, rejected.index, rejected.index+1)
			c.records = slices.Delete(c.records, rejected.index, rejected.index+1)
			continue
		}
		for _, p := range c.batch {
			p.committed <- err
		}
		break
	}
	// Their texts are not kept beyond their commit; the room for them is.
	clear(c.batch)
	clear(c.records)
	c.batch, c.records = c.batch[:0], c.records[:0]
}
