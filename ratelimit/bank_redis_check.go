package ratelimit

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// slotTTL is how long the bank takes a replica's word for the slots it holds: those of one that has crashed are free
	// after it. Who holds slots renews them every third of it.
	slotTTL = 30 * time.Second
	// beatTTL is how long a replica counts as alive after it last said so.
	beatTTL = 15 * time.Second
	// bucketGrace is how long a bucket is remembered after it is full again, and with it what was posted to it: an order
	// that is sent again after so long is no longer known to have been carried out.
	bucketGrace = 10 * time.Minute
	// postingsKept is of how many replicas a bucket remembers the last posting. When it is one too many, those of half of
	// them are forgotten, the oldest first.
	postingsKept = 256

	// maxNumber bounds what Lua counts exactly.
	maxNumber = 1<<53 - 1
	// maxParts is how many bits Lacking has.
	maxParts = 8
)

// ErrBadOrder is why an order is not sent: something is wrong in the program that made it.
var ErrBadOrder = errors.New("limits: no bank may be asked such a thing")

// check tells why a bank must not be asked such a thing, before the call.
func (o *Order) check() error {
	if err := o.fault(); err != nil {
		return fmt.Errorf("%w: %w", ErrBadOrder, err)
	}
	return nil
}

func (o *Order) fault() error {
	switch {
	case o.Tenant == "" || strings.ContainsAny(o.Tenant, "{}"): // it could be no hash tag
		return fmt.Errorf("the order is of tenant %q: must be a name without braces", o.Tenant)
	case o.Replica == "":
		return errors.New("the order names no replica")
	case o.Number > maxNumber:
		return fmt.Errorf("the order has number %d: must be below 2^53", o.Number)
	case len(o.Lines) == 0:
		return errors.New("the order has no lines")
	}
	for i := range o.Lines {
		if err := o.Lines[i].check(); err != nil {
			return fmt.Errorf("line %d of the order: %w", i, err)
		}
	}
	for i := range o.Claims {
		if err := o.Claims[i].check(len(o.Lines)); err != nil {
			return fmt.Errorf("claim %d of the order: %w", i, err)
		}
	}
	return nil
}

func (l *Line) check() error {
	switch {
	case int(l.Limit) >= LimitCount:
		return fmt.Errorf("no limit is %v", l.Limit)
	case l.Limit.OfTenant() != (l.Account == ""):
		return fmt.Errorf("%v is not a limit of account %q", l.Limit, l.Account)
	case l.Capacity < 1 || l.Capacity > maxSpan:
		return fmt.Errorf("capacity: must be 1 to %d, got %d", maxSpan, l.Capacity)
	case l.Least < 0 || l.Least > l.Most || l.Most > maxSpan:
		return fmt.Errorf("drawn: must be 0 to %d, the least first, got %d to %d", maxSpan, l.Least, l.Most)
	}
	if l.Limit.Dimension() == Concurrent {
		switch {
		case l.Owed != 0:
			return fmt.Errorf("owed: slots are held, not owed, got %d", l.Owed)
		case l.Held < 0 || l.Held > maxSpan:
			return fmt.Errorf("held: must be 0 to %d, got %d", maxSpan, l.Held)
		}
		return nil
	}
	switch {
	case l.Held != 0:
		return fmt.Errorf("held: nobody holds a bucket, got %d", l.Held)
	case l.Owed < -l.Capacity || l.Owed > l.Capacity:
		return fmt.Errorf("owed: must be %d to %d, got %d", -l.Capacity, l.Capacity, l.Owed)
	case l.Posting > maxNumber:
		return fmt.Errorf("posting: must be below 2^53, got %d", l.Posting)
	}
	return nil
}

func (c *Claim) check(lines int) error {
	if len(c.Parts) > maxParts {
		return fmt.Errorf("must have %d parts at most, got %d", maxParts, len(c.Parts))
	}
	for i, p := range c.Parts {
		switch {
		case p.Line < 0 || p.Line >= lines:
			return fmt.Errorf("part %d: must be at line 0 to %d, got %d", i, lines-1, p.Line)
		case p.Cost < 0 || p.Cost > maxSpan:
			return fmt.Errorf("part %d: cost: must be 0 to %d, got %d", i, maxSpan, p.Cost)
		}
		for _, earlier := range c.Parts[:i] {
			if earlier.Line == p.Line {
				return fmt.Errorf("part %d: line %d has a part already", i, p.Line)
			}
		}
	}
	return nil
}
