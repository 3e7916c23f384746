package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"tollgate/keys"
	"tollgate/telemetry"

	"golang.org/x/time/rate"
)

// NamedToken is what one operator presents, and the name that the audit knows them by.
type NamedToken struct {
	Name  string
	Token telemetry.Secret
}

// How often one operator may ask.
const (
	operatorRate  = 50 // requests a second
	operatorBurst = 100
)

// operator is somebody who has a token.
type operator struct {
	name   string
	digest [sha256.Size]byte // of the token
	pace   *rate.Limiter
}

// newOperators leaves out empty tokens: they would let in whoever presents none.
func newOperators(tokens []NamedToken) []operator {
	var all []operator
	for _, t := range tokens {
		if t.Token != "" {
			all = append(all, operator{t.Name, sha256.Sum256([]byte(t.Token.Reveal())), rate.NewLimiter(operatorRate, operatorBurst)})
		}
	}
	return all
}

// operator is whose token was presented; nil: nobody's.
func (s *Server) operator(presented string) *operator {
	// The digests have one length, and all of them are compared: the time tells nothing about any token, nor which it was.
	got, found := sha256.Sum256([]byte(presented)), -1
	for i := range s.operators {
		same := subtle.ConstantTimeCompare(got[:], s.operators[i].digest[:])
		found = subtle.ConstantTimeSelect(same, i, found)
	}
	if found < 0 {
		return nil
	}
	return &s.operators[found]
}

// guard lets operators through. It stands before the paths, so that without a
// token not even their names can be learned. A right token is let through whatever its address did before.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := s.operator(bearer(r.Header))
		switch {
		case who == nil && !s.strangers.allow(r.RemoteAddr, s.now()):
			s.refuse(w, r, tooMany("too many wrong admin tokens came from this address: wait before the next try"))
		case who == nil:
			w.Header().Set("WWW-Authenticate", `Bearer realm="tollgate admin"`)
			s.refuse(w, r, &failure{
				status: http.StatusUnauthorized, kind: kindInvalid, code: "invalid_admin_token",
				message: `the admin token is missing or wrong: send "Authorization: Bearer ...", ` +
					"or set TOLLGATE_ADMIN_TOKEN for the command line; it is admin.token or one of admin.tokens in config.yaml, or else in data_dir/admin-token",
			})
		case !who.pace.AllowN(s.now(), 1):
			s.refuse(w, r, tooMany("too many requests with this admin token: it may make 50 a second"))
		default:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), operatorKey{}, who.name)))
		}
	})
}

func tooMany(message string) *failure {
	return &failure{status: http.StatusTooManyRequests, kind: kindRateLimit, code: "rate_limited", message: message, retryAfter: time.Second}
}

// operatorKey is what the context of a request that was let through knows the operator's name by.
type operatorKey struct{}

// by is the directory in the hands of the operator who made the request. What changes is logged, and what is as it was is not:
// the log names whoever did it, not whoever did it again.
func (s *Server) by(r *http.Request) keys.Operator {
	return s.options.Keys.By(operatorOf(r)).OnChange(s.logChange)
}

func operatorOf(r *http.Request) string {
	name, _ := r.Context().Value(operatorKey{}).(string)
	return name
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
