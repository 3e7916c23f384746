package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"

	"tollgate/telemetry"
)

// answer is what an endpoint gives back: a status and a value for the JSON body.
type answer struct {
	status int
	body   any
}

// recovered answers a panic like any other error, with its stack in the log and nothing of the request.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("admin request panicked", telemetry.FieldError, withoutSecrets(fmt.Sprint(p)), telemetry.FieldStack, string(debug.Stack()))
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
		s.log.Error("admin request failed", telemetry.FieldMethod, r.Method, telemetry.FieldRoute, r.Pattern, telemetry.FieldError, withoutSecrets(err.Error()))
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
