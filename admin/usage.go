package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"tollgate/proxy"
	"tollgate/usage"
)

// UsageRows are totals of what was used.
type UsageRows struct {
	Rows []usage.Row `json:"rows"`
	// Behind is how many records are in the journal and not in the totals yet.
	Behind uint64 `json:"behind,omitempty"`
}

// RequestRecords are the usage records of a request.
type RequestRecords struct {
	Records []usage.Record `json:"records"`
	// Behind is how many records are in the journal, and not among these even if they are of this request.
	Behind uint64 `json:"behind,omitempty"`
}

// sumUsage answers GET /admin/v1/usage.
func (s *Server) sumUsage(r *http.Request) (answer, error) {
	query, err := readQuery(r.URL.Query())
	if err != nil {
		return answer{}, err
	}
	rows, err := s.options.Usage.Sum(r.Context(), query)
	if err != nil {
		return answer{}, err
	}
	if rows == nil {
		rows = []usage.Row{}
	}
	return answer{http.StatusOK, UsageRows{rows, s.options.Usage.Behind()}}, nil
}

// showRequest answers GET /admin/v1/requests/{id}.
func (s *Server) showRequest(r *http.Request) (answer, error) {
	records, err := s.options.Usage.ByRequest(r.Context(), r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	if len(records) == 0 {
		return answer{}, noRecords(s.options.Usage.Behind())
	}
	for i := range records {
		records[i].Trail = proxy.CompleteTrail(records[i])
	}
	return answer{http.StatusOK, RequestRecords{records, s.options.Usage.Behind()}}, nil
}

// noRecords says why there may be none.
func noRecords(behind uint64) *failure {
	f := &failure{status: http.StatusNotFound, kind: kindInvalid, code: "request_not_found", param: "id"}
	if behind > 0 {
		f.message = fmt.Sprintf("no usage record in the ledger has this request id, but %s in the journal and not in the ledger yet: "+
			"try again when the ledger takes them, or look there: tollgate journal inspect --request ID", records(behind))
		return f
	}
	f.message = "no usage record has this request id: it is the x-request-id of an answer, and a request that was refused here has none: " +
		"tollgate explain (POST /admin/v1/explain) says what would become of one, and why"
	return f
}

// records is 1 record is, and 2 records are.
func records(n uint64) string {
	if n == 1 {
		return "1 record is"
	}
	return fmt.Sprintf("%d records are", n)
}

// readQuery reads from, to, by, tenant and key.
func readQuery(values url.Values) (q usage.Query, err error) {
	q = usage.Query{Tenant: values.Get("tenant"), KeyID: values.Get("key")}
	if q.By, err = usage.ParseDimensions(values.Get("by")); err != nil {
		return usage.Query{}, invalid("by", err.Error())
	}
	if q.From, _, err = readTime("from", values.Get("from")); err != nil {
		return usage.Query{}, err
	}
	to, isDay, err := readTime("to", values.Get("to"))
	if err != nil {
		return usage.Query{}, err
	}
	if isDay {
		to = to.AddDate(0, 0, 1) // a last day counts whole; a last moment is not included
	}
	q.To = to
	if !q.From.IsZero() && !to.IsZero() && !to.After(q.From) {
		return usage.Query{}, invalid("to", "to: must be after from")
	}
	return q, nil
}

// readTime reads a UTC day or a moment in RFC 3339; nothing is the zero time.
func readTime(param, text string) (at time.Time, isDay bool, err error) {
	if text == "" {
		return time.Time{}, false, nil
	}
	if at, err = time.Parse(time.DateOnly, text); err == nil {
		return at, true, nil
	}
	if at, err = time.Parse(time.RFC3339, text); err == nil {
		return at, false, nil
	}
	return time.Time{}, false, invalid(param, param+`: must be a UTC day such as "2026-01-31" or a moment such as "2026-01-31T12:00:00Z", got `+quoted(text))
}
