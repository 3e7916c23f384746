package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"tollgate/proxy"
	"tollgate/usage"
)

// trails writes, below the table of a request's records, on what way it was answered.
func trails(w io.Writer, records []usage.Record) {
	for _, r := range records {
		if r.Trail == "" {
			continue
		}
		line(w, "")
		var t proxy.Trail
		if err := json.Unmarshal([]byte(r.Trail), &t); err != nil {
			line(w, "its trail is of a version that cannot be shown here: -o json shows it as it is")
			continue
		}
		trail(w, t)
	}
}

func trail(w io.Writer, t proxy.Trail) {
	if len(t.Attempts) == 0 {
		line(w, "no provider was asked")
	} else {
		row(w, "ATTEMPT", "PROVIDER", "MODEL", "URL", "CREDENTIAL", "OUTCOME", "STATUS", "BEGAN", "TOOK", "DROPPED", "ADAPTED")
	}
	for n, a := range t.Attempts {
		row(w, n, a.Provider, a.Model, a.URL, a.Credential, a.Outcome, status(a.Status), "after "+elapsed(a.BeganMS), elapsed(a.TookMS), list(a.Dropped), list(a.Adapted))
	}
	if len(t.Excluded) > 0 {
		line(w, "")
	}
	for _, e := range t.Excluded {
		who := e.Provider
		if e.Model != "" { // else all of the provider is meant
			who += " (" + e.Model + ")"
		}
		for _, part := range []string{e.URL, e.Credential} {
			if part != "" {
				who += " " + part
			}
		}
		line(w, "passed over: "+who+": "+printable(e.Why))
	}
	if t.MoreExcluded > 0 {
		line(w, fmt.Sprintf("passed over: %d more", t.MoreExcluded))
	}
}

// status is what a provider answered; 0: it gave no answer.
func status(code int) any {
	if code == 0 {
		return ""
	}
	return code
}

func elapsed(ms int64) string { return brief(time.Duration(ms) * time.Millisecond) }
