package admin

import (
	"net/http"
	"path"
	"slices"
	"strings"
)

// endpoint answers one request, or says why it cannot.
type endpoint func(*http.Request) (answer, error)

// route is one thing that can be asked for.
type route struct {
	method, path string
	answer       endpoint
	raw          http.Handler // answers in place of answer, in a form of its own
	parameters   []string     // that the query may have
	longest      int64        // of the body, in bytes; 0: maxBody
	open         bool         // to those who have no token
}

// routes are the whole API, which admin/openapi.json describes: what is not here does not exist.
func (s *Server) routes() []route {
	all := []route{
		{method: http.MethodGet, path: "/healthz", answer: s.healthy, open: true},
		{method: http.MethodGet, path: "/readyz", answer: s.ready, open: true},
		{method: http.MethodGet, path: "/admin/v1/keys", answer: s.listing.within(s.listKeys), parameters: []string{"tenant", "name", "state", "limit", "after"}},
		{method: http.MethodPost, path: "/admin/v1/keys", answer: s.createKey},
		{method: http.MethodGet, path: "/admin/v1/keys/{id}", answer: s.showKey},
		{method: http.MethodPatch, path: "/admin/v1/keys/{id}", answer: s.changeKey},
		{method: http.MethodDelete, path: "/admin/v1/keys/{id}", answer: s.deleteKey},
		{method: http.MethodPost, path: "/admin/v1/keys/{id}/rotate", answer: s.rotateKey},
		{method: http.MethodPost, path: "/admin/v1/keys/{id}/revoke", answer: s.revokeKey},
		{method: http.MethodGet, path: "/admin/v1/tenants", answer: s.listing.within(s.listTenants)},
		{method: http.MethodGet, path: "/admin/v1/tenants/{name}", answer: s.showTenant},
		{method: http.MethodPut, path: "/admin/v1/tenants/{name}", answer: s.putTenant},
		{method: http.MethodPatch, path: "/admin/v1/tenants/{name}", answer: s.patchTenant},
		{method: http.MethodDelete, path: "/admin/v1/tenants/{name}", answer: s.deleteTenant},
		{method: http.MethodGet, path: "/admin/v1/audit", answer: s.listing.within(s.listChanges), parameters: []string{"key", "tenant", "by", "limit", "before"}},
		{method: http.MethodGet, path: "/admin/v1/usage", answer: s.sumUsage, parameters: []string{"from", "to", "by", "tenant", "key"}},
		{method: http.MethodGet, path: "/admin/v1/requests/{id}", answer: s.showRequest},
		{method: http.MethodGet, path: "/admin/v1/upstreams", answer: s.listUpstreams},
		{method: http.MethodGet, path: "/admin/v1/openapi.json", answer: s.showDocument},
	}
	if s.options.Explainer != nil {
		all = append(all, route{
			method: http.MethodPost, path: "/admin/v1/explain", answer: s.explain, parameters: []string{"key"}, longest: s.options.MaxRequestBody,
		})
	}
	if s.options.Metrics != nil {
		all = append(all, route{method: http.MethodGet, path: "/metrics", raw: s.options.Metrics, open: true})
	}
	return all
}

// Handler returns the whole API: probes and metrics are open, everything under
// /admin/ is behind the tokens, and nothing else exists.
func (s *Server) Handler() http.Handler {
	open, guarded := http.NewServeMux(), http.NewServeMux()
	for _, one := range byPath(s.routes()) {
		mux := guarded
		if one[0].open {
			mux = open
		}
		mux.Handle(one[0].path, s.dispatch(one))
	}
	guarded.HandleFunc("/", s.unknownPath)
	open.HandleFunc("/", s.unknownPath)
	open.HandleFunc("/admin", s.unknownPath) // or it would be redirected to "/admin/"
	open.Handle("/admin/", s.guard(guarded))
	return s.recovered(exactPaths(open, s))
}

// byPath groups the routes of one path, by method.
func byPath(routes []route) [][]route {
	sorted := slices.SortedFunc(slices.Values(routes), func(a, b route) int {
		if byPath := strings.Compare(a.path, b.path); byPath != 0 {
			return byPath
		}
		return strings.Compare(a.method, b.method)
	})
	var groups [][]route
	for begin, i := 0, 1; begin < len(sorted); i++ {
		if i == len(sorted) || sorted[i].path != sorted[begin].path {
			groups = append(groups, sorted[begin:i])
			begin = i
		}
	}
	return groups
}

// dispatch answers a path by its methods. HEAD is answered like GET.
func (s *Server) dispatch(methods []route) http.Handler {
	allowed := make([]string, len(methods))
	for i, one := range methods {
		allowed[i] = one.method
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		i := slices.Index(allowed, method)
		if i < 0 {
			s.refuseMethod(w, r, strings.Join(allowed, ", "))
			return
		}
		if raw := methods[i].raw; raw != nil {
			raw.ServeHTTP(w, r)
			return
		}
		a, err := methods[i].run(w, r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		s.write(w, a)
	})
}

// run answers a request with this method for this path. Probes may send what they like in the query.
func (one route) run(w http.ResponseWriter, r *http.Request) (answer, error) {
	if !one.open {
		if err := checkParameters(r.URL.RawQuery, one.parameters); err != nil {
			return answer{}, err
		}
	}
	longest := one.longest
	if longest == 0 {
		longest = maxBody
	}
	r.Body = http.MaxBytesReader(w, r.Body, longest)
	return one.answer(r)
}

func (s *Server) refuseMethod(w http.ResponseWriter, r *http.Request, allowed string) {
	w.Header().Set("Allow", allowed)
	s.refuse(w, r, &failure{
		status: http.StatusMethodNotAllowed, kind: kindInvalid, code: "method_not_allowed",
		message: "this path takes " + allowed + " only",
	})
}

// exactPaths refuses what http.ServeMux would clean and redirect: "//admin", "/x/../admin", "/healthz/".
func exactPaths(next http.Handler, s *Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Clean(r.URL.Path) != r.URL.Path {
			s.unknownPath(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) unknownPath(w http.ResponseWriter, r *http.Request) {
	s.refuse(w, r, &failure{
		status: http.StatusNotFound, kind: kindInvalid, code: "unknown_path",
		message: "unknown path: GET /admin/v1/openapi.json describes the operators' API; beside it there are /healthz, /readyz and /metrics",
	})
}
