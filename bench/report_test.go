package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReport(t *testing.T) {
	cpu := row{what: "plain", unit: "CPU us/request", digits: 1, goal: goal{most: 4, ratio: true}}
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
	m := machine{cpu: "a CPU", processors: 2, kernel: "Linux", date: time.Unix(0, 0).UTC(), nginx: "1.2", tollgate: "v1", sync: time.Millisecond}
	if err := printReport(&out, m, options{rounds: 3, duration: time.Second, scale: full()}, results); err != nil {
		t.Fatal(err)
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
