package journal

// Report is what Verify and Repair found.
type Report struct {
	// Segments are all there are, blank ones included, by their numbers.
	Segments []Segment
	// Entries counts the entries by their kind.
	Entries map[Kind]uint64
	// First is the sequence of the oldest entry, 0 where there is none; Last that of the newest.
	First, Last uint64
	// Torn is how many bytes behind the last entry do not count: a crash left them, and nobody was promised them.
	Torn int64
	// Damages are the places where something cannot be read that was safe once, in order.
	Damages []Damage
	// Lost is how many entries are missing there, and Void how many were missing before earlier repairs.
	Lost, Void uint64
	// Originals are the files in which Repair has kept damaged segments as they were.
	Originals []string
}

// Verify reads all that is kept, and goes on behind each damage with the next entry
// that can be read. It changes nothing. An error says that the folder could not be
// read, or was written by a newer Tollgate; that it is damaged is in the report.
func Verify(dir string) (Report, error) {
	return examine(dir, func(*Segment, Entry) error { return nil })
}

// Inspect visits all entries that are kept, in order and past any damage, with the
// segment each is in: its Entries count up to this one. An error of visit ends it.
func Inspect(dir string, visit func(Segment, Entry) error) error {
	_, err := examine(dir, func(s *Segment, e Entry) error { return visit(*s, e) })
	return err
}

// examine walks through everything.
func examine(dir string, visit func(*Segment, Entry) error) (Report, error) {
	found, err := list(dir)
	if err != nil {
		return Report{}, err
	}
	r := Report{Entries: map[Kind]uint64{}}
	w := walk{segments: found.segments}
	w.damaged = func(d Damage) error {
		r.Damages, r.Lost = append(r.Damages, d), r.Lost+d.Lost
		return nil
	}
	w.visit = func(s *Segment, e Entry) error {
		if r.First == 0 {
			r.First = e.Sequence
		}
		r.Entries[e.Kind]++
		if e.Kind == Void {
			r.Void += w.expected - e.Sequence
		}
		return visit(s, e)
	}
	if err := w.run(0); err != nil {
		return Report{}, err
	}
	r.Segments, r.Last, r.Torn = w.segments, w.expected-1, w.torn
	return r, nil
}
