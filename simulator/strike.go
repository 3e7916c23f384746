package simulator

import "sync"

// faults are the injected faults with what each has counted.
type faults struct {
	mu   sync.Mutex
	rows []*faultRow
}

type faultRow struct {
	Fault
	seen, struck int
}

func (f *faults) add(added []Fault) error {
	for i := range added {
		if err := added[i].valid(); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range added {
		f.rows = append(f.rows, &faultRow{Fault: one})
	}
	return nil
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows = nil
}

// strike counts the request with every fault that matches it and returns the
// first that is due; nil for none.
func (f *faults) strike(p Provider, model string) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var due *Fault
	for _, row := range f.rows {
		if row.Provider != "" && row.Provider != p || row.Model != "" && row.Model != model {
			continue
		}
		row.seen++
		if due == nil && row.isDue() {
			row.struck++
			due = &row.Fault
		}
	}
	return due
}

func (r *faultRow) isDue() bool {
	return (r.Nth == 0 || r.seen == r.Nth) &&
		(r.Every == 0 || r.seen%r.Every == 0) &&
		(r.Times == 0 || r.struck < r.Times)
}
