package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReport(t *testing.T) {
	cpu := row{what: "plain", unit: "CPU us/request", digits: 1, goal: goal{most: 4, of: theRatio}}
	rate := row{what: "plain", unit: "requests/s"}
	added := row{what: "added time to first byte", unit: "ms", digits: 2, goal: goal{most: 0.5}}
	found := func(inUse, others float64, values ...float64) figures {
		return figures{values: values, inUse: inUse, others: others}
	}
	results := []*result{
		{
			scenario: &scenario{name: "plain-300", rows: []row{cpu, rate}},
			nginx:    []figures{found(.9, .01, 10, 1000), found(.8, .5, 20, 500), found(.91, .02, 11, 900)},
			tollgate: []figures{found(1, 0, 45, 200), found(1, 0, 60, 100), found(1, 0, 55, 180)},
			recorded: 40,
		},
		{
			scenario: &scenario{name: "ttfb", rows: []row{added}},
			nginx:    []figures{found(0, 0, .2), found(0, 0, -.01), found(0, 0, .1)},
			tollgate: []figures{found(0, 0, .4), found(0, 0, .3), found(0, 0, .3)},
			recorded: 2,
		},
	}
	var out strings.Builder
	m := machine{cpu: "a CPU", processors: 2, kernel: "Linux", date: time.Unix(0, 0).UTC(), nginx: "1.2", tollgate: "v1"}
	m.disk.write = [2]time.Duration{4 * time.Microsecond, 28 * time.Microsecond}
	m.disk.sync = [2]time.Duration{180 * time.Microsecond, 4100 * time.Microsecond}
	if err := printReport(&out, m, options{rounds: 3, duration: time.Second, scale: full()}, results); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\nDisk: 1 KiB appended to a file filled beforehand takes 0.004 ms (p50), 0.028 (p99), its fdatasync 0.18, 4.10.\n") {
		t.Errorf("the disk is not in the report: %s", out.String())
	}
	_, got, _ := strings.Cut(out.String(), "same round.\n\n")
	want := `| scenario                 | unit           | nginx | Tollgate |  ratio (min..max) |   goal | met |
| ------------------------ | -------------- | ----: | -------: | ----------------: | -----: | --: |
| plain                    | CPU us/request |  11.0 |     55.0 | 4.50 (3.00..5.00) | <= 4 x |  NO |
| plain                    | requests/s     |   900 |      180 | 0.20 (0.20..0.20) |        |     |
| added time to first byte | ms             |  0.10 |     0.30 | 2.00 (2.00..3.00) | <= 0.5 | yes |

Of one core the gateways used, nginx / Tollgate, in percent: plain-300 90 / 100. Others used 2 (median), 50 (most).
Ledger: Tollgate served 42 requests and has as many records.
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, r := range results {
		for n := range r.nginx {
			r.nginx[n].others = .3
		}
	}
	if text := busy(results); !strings.Contains(text, "NOT QUIET") {
		t.Errorf("a busy machine passes for a quiet one: %s", text)
	}
}

// The journal's figures stand in a table of their own, beside those it is compared with.
func TestJournalReport(t *testing.T) {
	rounds := func(values ...[]float64) (found []figures) {
		for _, v := range values {
			found = append(found, figures{values: v})
		}
		return found
	}
	r := &result{
		scenario: &scenario{name: "journal", relaxed: true, rows: []row{
			{what: "end", unit: "ms, p50", digits: 2, goal: goal{most: 6, of: overNginx}},
			{what: "end", unit: "ms, max", digits: 2, worst: true},
			{what: "first byte", unit: "ms, p50", digits: 3, goal: goal{most: 0.2, of: overBefore}},
		}},
		nginx:    rounds([]float64{0.01, 1, 0.4}, []float64{0.02, 9, 0.6}, []float64{0.03, 2, 0.5}),
		relaxed:  rounds([]float64{0.1, 5, 0.7}, []float64{0.2, 4, 0.9}, []float64{0.3, 6, 0.8}),
		tollgate: rounds([]float64{7, 30, 0.8}, []float64{6, 20, 0.8}, []float64{8, 10, 1.2}),
		recorded: 7,
	}
	f := func(m machine, want string) {
		t.Helper()
		var out strings.Builder
		if err := printReport(&out, m, options{rounds: 3, duration: time.Second, scale: full()}, []*result{r}); err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(out.String(), "same round.\n\n")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	f(machine{}, `The journal, at 500 requests/s by the clock, every other one a stream; times count from when a request was due.
Relaxed and strict are usage.sync: strict over relaxed is the price of waiting for the disk. Writing the entries is in both.
What it adds in all shows beside a Tollgate that has none: -before COMMIT.

| journal    | unit    | nginx | relaxed | strict | over nginx (min..max) | over relaxed (min..max) |               goal | met |
| ---------- | ------- | ----: | ------: | -----: | --------------------: | ----------------------: | -----------------: | --: |
| end        | ms, p50 |  0.02 |    0.20 |   7.00 |     6.99 (5.98..7.97) |       6.90 (5.80..7.70) |    <= 6 over nginx |  NO |
| end        | ms, max |  9.00 |    6.00 |  30.00 |                     - |                       - |                    |     |
| first byte | ms, p50 | 0.500 |   0.800 |  0.800 |  0.400 (0.200..0.700) |   0.100 (-0.100..0.400) | <= 0.2 over before |   - |

Ledger: Tollgate served 7 requests and has as many records.
`)
	r.before = rounds([]float64{3, 3, 0.75}, []float64{3, 3, 0.75}, []float64{3, 3, 0.75})
	f(machine{before: "v0"}, `The journal, at 500 requests/s by the clock, every other one a stream; times count from when a request was due.
Relaxed and strict are usage.sync: strict over relaxed is the price of waiting for the disk. Writing the entries is in both.
Before is Tollgate v0: strict over before is all that came since.

| journal    | unit    | nginx | before | relaxed | strict | over nginx (min..max) | over before (min..max) | over relaxed (min..max) |               goal | met |
| ---------- | ------- | ----: | -----: | ------: | -----: | --------------------: | ---------------------: | ----------------------: | -----------------: | --: |
| end        | ms, p50 |  0.02 |   3.00 |    0.20 |   7.00 |     6.99 (5.98..7.97) |      4.00 (3.00..5.00) |       6.90 (5.80..7.70) |    <= 6 over nginx |  NO |
| end        | ms, max |  9.00 |   3.00 |    6.00 |  30.00 |                     - |                      - |                       - |                    |     |
| first byte | ms, p50 | 0.500 |  0.750 |   0.800 |  0.800 |  0.400 (0.200..0.700) |   0.050 (0.050..0.450) |   0.100 (-0.100..0.400) | <= 0.2 over before | yes |

Ledger: Tollgate served 7 requests and has as many records.
`)
}

func TestQuantile(t *testing.T) {
	f := func(percent, want int, values ...int) {
		t.Helper()
		if got := quantileOf(values, percent); got != want {
			t.Errorf("%d %% of %v: %d, want %d", percent, values, got, want)
		}
	}
	f(99, 0)
	f(99, 7, 7)
	f(0, 1, 3, 1, 2)
	f(99, 3, 3, 1, 2)
	f(50, 2, 3, 1, 2)
	hundred := make([]int, 100)
	for n := range hundred {
		hundred[n] = 100 - n
	}
	f(50, 50, hundred...)
	f(99, 99, hundred...)
	f(100, 100, hundred...)
}

func TestMedian(t *testing.T) {
	f := func(want int, values ...int) {
		t.Helper()
		if got := medianOf(values); got != want {
			t.Errorf("median of %v: %d, want %d", values, got, want)
		}
	}
	f(0)
	f(7, 7)
	f(1, 2, 1)
	f(2, 3, 1, 2)
	f(2, 9, 1, 2, 3)
}
