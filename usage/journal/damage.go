package journal

import (
	"errors"
	"fmt"
)

// ErrDamaged says that an entry cannot be read any more that was known to be safe.
var ErrDamaged = errors.New("the journal is damaged")

// Damage is one place where what must be there cannot be read.
type Damage struct {
	// Path is the segment, and Offset the byte in it where reading failed; 0: its header.
	Path   string
	Offset int64
	// Sequence is the first entry that is missing, and Lost how many are. Nothing is lost where only
	// a header is damaged, or bytes between two entries.
	Sequence uint64
	Lost     uint64

	resume int64 // where its entries go on; 0: nowhere
}

// DamageError says where the journal is damaged; it is an ErrDamaged.
type DamageError struct {
	// Path is the segment, and Offset the byte in it where reading failed; 0: its header.
	Path   string
	Offset int64
	// Sequence is the first entry that cannot be read.
	Sequence uint64
}

func (e *DamageError) Error() string {
	what := fmt.Sprintf("entry %d was safe on the disk once and cannot be read any more", e.Sequence)
	if e.Offset == 0 {
		what = fmt.Sprintf("its header cannot be read, and entry %d must be in it", e.Sequence)
	}
	return fmt.Sprintf("%v: %s, at byte %d: %s: run `tollgate journal verify -c config.yaml` to see what is lost and `tollgate journal repair -c config.yaml` to go on without it",
		ErrDamaged, e.Path, e.Offset, what)
}

// Unwrap makes a DamageError an ErrDamaged.
func (e *DamageError) Unwrap() error { return ErrDamaged }
