package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// operators is a client of the operators' API that keeps its connections, for
// those who have many questions.
type operators struct {
	bare
	token string
}

func (g *gateway) operators(t *testing.T) operators {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(g.dataDir, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	o := operators{g.bare(t), strings.TrimSpace(string(token))}
	o.url = g.admin
	return o
}

// readers are the tokens of operators who do nothing but read, many things at a time: one alone may ask 50 times a
// second. The configuration lets them in.
func readers() (tokens []string) {
	for i := range 12 {
		tokens = append(tokens, fmt.Sprintf("the-token-of-reader-%02d", i))
	}
	return tokens
}

// records returns the records of each of these requests.
func (g *gateway) records(t *testing.T, requestIDs []string) map[string][]record {
	t.Helper()
	var (
		o       = g.operators(t)
		ids     = make(chan string)
		mu      sync.Mutex
		found   = make(map[string][]record, len(requestIDs))
		reading sync.WaitGroup
	)
	for _, token := range readers() {
		o := operators{o.bare, token}
		reading.Go(func() {
			for id := range ids {
				r := o.order(t.Context(), http.MethodGet, "/requests/"+id, "")
				var list recordList
				if r.status != http.StatusNotFound && (r.status != http.StatusOK || json.Unmarshal([]byte(r.body), &list) != nil) {
					t.Errorf("the records of %s: %s", id, r)
				}
				mu.Lock()
				found[id] = list.Records
				mu.Unlock()
			}
		})
	}
	for _, id := range requestIDs {
		ids <- id
	}
	close(ids)
	reading.Wait()
	o.http.CloseIdleConnections() // or the gateway's end waits for those that were never used
	return found
}

// ledger is the sum of all that was ever recorded.
func (g *gateway) ledger(t *testing.T) usageRow {
	t.Helper()
	status, body := g.get(t, "/admin/v1/usage")
	var sum usageRows
	if err := json.Unmarshal([]byte(body), &sum); err != nil || status != http.StatusOK || len(sum.Rows) > 1 {
		t.Fatalf("the sum of everything is %d %s", status, body)
	}
	if len(sum.Rows) == 0 {
		return usageRow{}
	}
	return sum.Rows[0]
}

// accessLines are the lines that requests have left in the log so far.
func (g *gateway) accessLines() []logLine {
	var found []logLine
	for line := range strings.Lines(g.stderr.String()) {
		var l logLine
		if json.Unmarshal([]byte(line), &l) == nil && l.Message == "request" {
			found = append(found, l)
		}
	}
	return found
}

// atRest waits until no completion is in progress.
func (g *gateway) atRest(t *testing.T) {
	t.Helper()
	until(t, "the end of every request", patience, func() bool { return g.scrape(t)["http_server_active_requests"] == "0" })
}
