package admin

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"tollgate/telemetry"
)

// answer is what an endpoint gives back: a status and a value for the JSON body.
type answer struct {
	status int
	body   any
}

// endpoint answers one request, or says why it cannot.
type endpoint func(*http.Request) (answer, error)

// methods are the endpoints of one path. HEAD is answered like GET.
type methods map[string]endpoint

// Handler returns the whole API: probes and metrics are open, everything under
// /admin/ is behind the token, and nothing else exists.
func (s *Server) Handler() http.Handler {
	open := s.mux(map[string]methods{
		"/healthz": {http.MethodGet: s.healthy},
		"/readyz":  {http.MethodGet: s.ready},
	})
	guarded := s.mux(map[string]methods{
		"/admin/v1/keys":          {http.MethodGet: s.listKeys, http.MethodPost: s.createKey},
		"/admin/v1/keys/{id}":     {http.MethodGet: s.showKey, http.MethodDelete: s.revokeKey},
		"/admin/v1/usage":         {http.MethodGet: s.sumUsage},
		"/admin/v1/requests/{id}": {http.MethodGet: s.showRequest},
		"/admin/v1/upstreams":     {http.MethodGet: s.listUpstreams},
	})
	if s.options.Explainer != nil {
		guarded.Handle("/admin/v1/explain", s.dispatch(methods{http.MethodPost: s.explain}, s.options.MaxRequestBody))
	}
	if s.options.Metrics != nil {
		open.HandleFunc("/metrics", s.metrics)
	}
	open.Handle("/admin/", s.guard(guarded))
	open.HandleFunc("/admin", s.unknownPath) // or it would be redirected to "/admin/"
	return s.recovered(exactPaths(open, s))
}

func (s *Server) mux(routes map[string]methods) *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, m := range routes {
		mux.Handle(pattern, s.dispatch(m, maxBody))
	}
	mux.HandleFunc("/", s.unknownPath)
	return mux
}

// dispatch answers a path by its methods, which read at most maxBytes of a body.
func (s *Server) dispatch(m methods, maxBytes int64) http.Handler {
	allowed := slices.Sorted(maps.Keys(m))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		run, ok := m[method]
		if !ok {
			s.refuseMethod(w, r, strings.Join(allowed, ", "))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBytes)
		a, err := run(r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		s.write(w, a)
	})
}

func (s *Server) refuseMethod(w http.ResponseWriter, r *http.Request, allowed string) {
	w.Header().Set("Allow", allowed)
	s.refuse(w, r, &failure{
		status: http.StatusMethodNotAllowed, kind: kindInvalid, code: "method_not_allowed",
		message: "this path takes " + allowed + " only",
	})
}

// metrics answers /metrics in a form of its own, for scrapers.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.refuseMethod(w, r, http.MethodGet)
		return
	}
	s.options.Metrics.ServeHTTP(w, r)
}

// guard lets operators through. It stands before the paths, so that without the
// token not even their names can be learned.
func (s *Server) guard(next http.Handler) http.Handler {
	token := s.options.Token
	want := sha256.Sum256([]byte(token.Reveal()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The digests are compared: they have one length, so the time tells nothing about the token.
		got := sha256.Sum256([]byte(bearer(r.Header)))
		if token == "" || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="tollgate admin"`)
			s.refuse(w, r, &failure{
				status: http.StatusUnauthorized, kind: kindInvalid, code: "invalid_admin_token",
				message: `the admin token is missing or wrong: send "Authorization: Bearer ...", ` +
					"or set TOLLGATE_ADMIN_TOKEN for the command line; it is admin.token in config.yaml, or else in data_dir/admin-token",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bearer is the token that was presented; of two Authorization headers it is neither.
func bearer(h http.Header) string {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
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
		message: "unknown path: the operators' API is /admin/v1/keys, /usage, /requests/{id}, /upstreams and /explain below it, /healthz, /readyz and /metrics",
	})
}

// recovered answers a panic like any other error, with its stack in the log and nothing of the request.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("admin request panicked", telemetry.FieldError, fmt.Sprint(p), telemetry.FieldStack, string(debug.Stack()))
				s.write(w, failureOf(nil).answer())
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// refuse answers an error, and logs it where the caller is not the one to mend it.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	f := failureOf(err)
	if f.status >= http.StatusInternalServerError {
		s.log.Error("admin request failed", telemetry.FieldMethod, r.Method, telemetry.FieldRoute, r.Pattern, telemetry.FieldError, err)
	}
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.retryAfter.Seconds())))
	}
	s.write(w, f.answer())
}

func (s *Server) write(w http.ResponseWriter, a answer) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(a.body); err != nil {
		s.log.Error("admin answer cannot be encoded", telemetry.FieldError, err)
		a.status, body = http.StatusInternalServerError, bytes.Buffer{}
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("Cache-Control", "no-store") // an answer may hold a secret
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(a.status)
	_, _ = w.Write(body.Bytes()) // a caller who has gone needs no answer
}
