package admin

import (
	"net/http"
	"net/url"
	"time"

	"tollgate/proxy"
	"tollgate/usage"
)

type usageRows struct {
	Rows []usage.Row `json:"rows"`
}

type requestRecords struct {
	Records []usage.Record `json:"records"`
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
	return answer{http.StatusOK, usageRows{rows}}, nil
}

// showRequest answers GET /admin/v1/requests/{id}.
func (s *Server) showRequest(r *http.Request) (answer, error) {
	records, err := s.options.Usage.ByRequest(r.Context(), r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	if len(records) == 0 {
		return answer{}, &failure{
			status: http.StatusNotFound, kind: kindInvalid, code: "request_not_found", param: "id",
			message: "no usage record has this request id: it is the x-request-id of an answer, and a request that was refused here has none: " +
				"tollgate explain (POST /admin/v1/explain) says what would become of one, and why",
		}
	}
	for i := range records {
		records[i].Trail = proxy.CompleteTrail(records[i])
	}
	return answer{http.StatusOK, requestRecords{records}}, nil
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
