package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// alone lets a test that only asserts outcomes run beside others. One that
// proves figures runs by itself, or they would be the others' as well.
func alone(t *testing.T) {
	t.Helper()
	if !proving() {
		t.Parallel()
	}
}

// figuresBinary is the gateway that figures are about: built as it is shipped,
// where the other tests run one that looks for data races.
var figuresBinary = sync.OnceValues(func() (string, error) {
	return build(filepath.Dir(binary), "tollgate-figures", "-trimpath")
})

// measured adds to an environment that figures will be taken.
func measured(t *testing.T, env environment) environment {
	t.Helper()
	if !proving() {
		return env
	}
	path, err := figuresBinary()
	if err != nil {
		t.Fatal(err)
	}
	env[binaryVariable] = path
	return env
}

// table is rows of figures. Tests that run side by side may share one.
type table struct {
	mu   sync.Mutex
	rows [][]string
}

// newTable returns one with this head.
func newTable(columns ...any) *table {
	rows := new(table)
	rows.add(columns...)
	return rows
}

func (rows *table) add(columns ...any) {
	var row []string
	for _, c := range columns {
		switch c := c.(type) {
		case time.Duration:
			row = append(row, fmt.Sprintf("%.2f ms", c.Seconds()*1000))
		case float64:
			row = append(row, fmt.Sprintf("%.1f", c))
		default:
			row = append(row, fmt.Sprint(c))
		}
	}
	rows.mu.Lock()
	defer rows.mu.Unlock()
	rows.rows = append(rows.rows, row)
}

// log shows the table where a long form has been run: its figures are the result.
func (rows *table) log(t *testing.T) {
	t.Helper()
	if !proving() {
		return
	}
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows.rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // to memory
	t.Logf("%s\n%s", t.Name(), text.String())
}

// times are durations, to be ordered by whoever looks at them.
type times []time.Duration

// quantile is the duration that a share of all does not exceed; 1 is the longest.
func (all times) quantile(share float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[int(share*float64(len(all)-1))]
}

// complaints are what is wrong with many requests: few of them are shown.
type complaints struct {
	mu    sync.Mutex
	shown []string
	count int
}

func (c *complaints) add(format string, args ...any) {
	const most = 8
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count++; len(c.shown) < most {
		c.shown = append(c.shown, fmt.Sprintf(format, args...))
	}
}

// fail fails the test when there are any.
func (c *complaints) fail(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count > 0 {
		t.Errorf("%d complaints, such as\n%s", c.count, strings.Join(c.shown, "\n"))
	}
}

// memory is what a process has in memory, in bytes.
type memory struct {
	resident  int64 // all of it
	anonymous int64 // without files: the heap, above all
}

const mebibyte = 1 << 20

// memory reads what the kernel says of the process.
func (p *process) memory() (m memory, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		kibibytes, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return m, err
		}
		switch fields[0] {
		case "VmRSS:":
			m.resident = kibibytes << 10
		case "RssAnon:":
			m.anonymous = kibibytes << 10
		}
	}
	if m.resident == 0 || m.anonymous == 0 {
		return m, fmt.Errorf("no memory in the status of process %d:\n%s", p.command.Process.Pid, text)
	}
	return m, nil
}

// watchMemory looks at the process until stop is called, which returns the
// most that it had of each kind.
func (p *process) watchMemory(t *testing.T) (stop func() memory) {
	t.Helper()
	const pace = 20 * time.Millisecond
	var (
		most     memory
		watching sync.WaitGroup
		over     = make(chan struct{})
	)
	watching.Go(func() {
		look := time.NewTicker(pace)
		defer look.Stop()
		for {
			now, err := p.memory()
			if err != nil {
				t.Error(err)
				return
			}
			most.resident, most.anonymous = max(most.resident, now.resident), max(most.anonymous, now.anonymous)
			select {
			case <-over:
				return
			case <-look.C:
			}
		}
	})
	end := sync.OnceFunc(func() { close(over) })
	t.Cleanup(func() { end(); watching.Wait() })
	return func() memory { end(); watching.Wait(); return most }
}

// mebibytes shows an amount of memory.
func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/mebibyte) }
