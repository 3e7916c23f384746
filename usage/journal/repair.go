package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// damagedSuffix is what the name of a damaged segment that was replaced ends in.
const damagedSuffix = ".damaged"

// Repair makes a damaged journal one that can be opened: each damaged segment is
// written anew, with every entry that can be read, and one Void in the place of those
// that cannot. The original is kept beside it, its name ending in .damaged. An entry that can be
// read is never given up. The report says what was found before; without Damages
// nothing was changed. Whenever it is interrupted, it may be run again. The error
// wraps ErrLocked where a Log is open.
func Repair(dir string) (r Report, err error) {
	unlock, err := lockFolder(dir)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	r, fixes, err := plan(dir)
	if err != nil || len(fixes) == 0 {
		return r, err
	}
	for _, f := range fixes {
		original, err := f.apply()
		if err != nil {
			return r, fmt.Errorf("journal: %s cannot be repaired: %w", f.segment.Path, err)
		}
		r.Originals = append(r.Originals, original)
	}
	if after, err := Verify(dir); err != nil || len(after.Damages) > 0 {
		return r, errors.Join(err, fmt.Errorf("journal: %d places are still damaged after the repair: run it again", len(after.Damages)))
	}
	return r, nil
}

// fix is a segment to be written anew.
type fix struct {
	segment Segment
	damages []Damage
}

// plan works out what is to be done. The last segment comes first: an earlier damage is
// known as one by what later segments say, and must still be known when only a
// part of the plan was carried out. For the same reason those come after all others that
// say by what stands where their headers were that there is damage at all.
func plan(dir string) (Report, []fix, error) {
	r, err := Verify(dir)
	if err != nil {
		return Report{}, nil, err
	}
	var fixes []fix
	for _, s := range slices.Backward(r.Segments) {
		f := fix{segment: s}
		for _, d := range r.Damages {
			if d.Path == s.Path {
				f.damages = append(f.damages, d)
			}
		}
		if len(f.damages) > 0 {
			fixes = append(fixes, f)
		}
	}
	slices.SortStableFunc(fixes, func(a, b fix) int {
		switch {
		case a.segment.spoiled == b.segment.spoiled:
			return 0
		case b.segment.spoiled:
			return -1
		}
		return 1
	})
	return r, fixes, nil
}

// apply keeps the original under another name, and puts the new segment in its place at
// once: there is no moment without one.
func (f fix) apply() (original string, err error) {
	if f.segment.Base == 0 { // nothing in it can be read
		return f.setAside()
	}
	if err := f.rewrite(); err != nil {
		return "", err
	}
	if original, err = keep(f.segment.Path); err != nil {
		return "", err
	}
	if err := os.Rename(f.segment.Path+newSuffix, f.segment.Path); err != nil {
		return "", err
	}
	return original, syncFolder(filepath.Dir(f.segment.Path))
}

func (f fix) setAside() (original string, err error) {
	if original, err = keep(f.segment.Path); err != nil {
		return "", err
	}
	if err := os.Remove(f.segment.Path); err != nil {
		return "", err
	}
	return original, syncFolder(filepath.Dir(f.segment.Path))
}

// rewrite writes the segment anew beside itself.
func (f fix) rewrite() (err error) {
	from, err := os.Open(f.segment.Path)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(f.segment.Path+newSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, to.Close()); err != nil {
			_ = os.Remove(to.Name()) // the disk may be full
		}
	}()
	if err := f.copy(to, from); err != nil {
		return err
	}
	return to.Sync()
}

// copy writes the header and what is between the damages as it is, and the rest of the
// segment even where it does not count: it may prove that an earlier one is damaged.
func (f fix) copy(to io.Writer, from *os.File) error {
	head := header{number: f.segment.Number, base: f.segment.Base}
	if _, err := to.Write(head.encode()); err != nil {
		return err
	}
	at := f.segment.begin
	for _, d := range f.damages {
		if d.Offset > at {
			if _, err := io.Copy(to, io.NewSectionReader(from, at, d.Offset-at)); err != nil {
				return err
			}
		}
		if d.Lost > 0 {
			if _, err := to.Write(void(d.Sequence, d.Lost)); err != nil {
				return err
			}
		}
		if at = d.resume; at == 0 { // the next segment goes on
			at = d.Offset
		}
	}
	_, err := io.Copy(to, io.NewSectionReader(from, at, max(0, f.segment.Size-at)))
	return err
}

// void is an entry that stands for so many that are lost.
func void(sequence, count uint64) []byte {
	payload := binary.LittleEndian.AppendUint64(nil, count)
	return frame{Entry: Entry{Sequence: sequence, Kind: Void, Payload: payload}}.append(nil)
}

// keep gives a file a second name, one that is not yet taken. If a repair was interrupted
// behind this, the file has it already.
func keep(path string) (kept string, err error) {
	file, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	kept = path + damagedSuffix
	for i := 1; ; i++ {
		there, err := os.Stat(kept)
		if errors.Is(err, fs.ErrNotExist) {
			return kept, os.Link(path, kept)
		}
		if err != nil {
			return "", err
		}
		if os.SameFile(file, there) {
			return kept, nil
		}
		kept = fmt.Sprintf("%s%s.%d", path, damagedSuffix, i)
	}
}
