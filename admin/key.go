package admin

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"tollgate/keys"
	"tollgate/telemetry"
)

// Key is a tenant key as the API shows it: everything but its secret.
type Key struct {
	ID     string `json:"id"`
	Tenant string `json:"tenant"`
	Name   string `json:"name"`
	// Last4 are the last four characters of the secret.
	Last4 string `json:"last4"`
	// State is active, revoked or expired, at the moment of the answer.
	State keys.State `json:"state"`
	// Models are exact names or "prefix*"; none means every model.
	Models []string `json:"models"`
	// RequestsPerMinute is 0 where the configured default holds.
	RequestsPerMinute int       `json:"requests_per_minute"`
	CreatedAt         time.Time `json:"created_at"`
	// ExpiresAt is left out where the key never expires, RevokedAt where it was not revoked.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// IssuedKey is a new key with its secret, which is never shown again.
type IssuedKey struct {
	Key
	Secret telemetry.Secret `json:"secret"`
}

// RevealedKey is an IssuedKey that encodes with its secret in clear text.
type RevealedKey struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
	Key
}

// Reveal returns the key in the form that shows the secret: for the one answer and
// the one command that issue it.
func (k IssuedKey) Reveal() RevealedKey {
	return RevealedKey{ID: k.ID, Secret: k.Secret.Reveal(), Key: k.Key}
}

// NewKey is what an operator asks for.
type NewKey struct {
	Tenant            string   `json:"tenant"`
	Name              string   `json:"name"`
	Models            []string `json:"models,omitempty"`
	RequestsPerMinute int      `json:"requests_per_minute,omitempty"`
	// Expires is a moment in RFC 3339 or a duration from now such as "720h"; empty: never.
	Expires string `json:"expires,omitempty"`
}

// spec is the key asked for. Only expires has a form of its own; keys judges the rest.
func (k NewKey) spec(now time.Time) (keys.Spec, error) {
	spec := keys.Spec{Tenant: k.Tenant, Name: k.Name, Models: k.Models, Limits: keys.Limits{RequestsPerMinute: k.RequestsPerMinute}}
	if k.Expires == "" {
		return spec, nil
	}
	if at, err := time.Parse(time.RFC3339, k.Expires); err == nil {
		spec.ExpiresAt = at
		return spec, nil
	}
	d, err := time.ParseDuration(k.Expires)
	if err != nil {
		return spec, &keys.FieldError{
			Field:   "expires",
			Problem: `must be a duration such as "720h" or a moment such as "2027-01-31T00:00:00Z", got ` + quoted(k.Expires),
		}
	}
	spec.ExpiresAt = now.Add(d)
	return spec, nil
}

// keyView is the key as the API shows it.
func keyView(k *keys.Key, now time.Time) Key {
	view := Key{
		ID: k.ID, Tenant: k.Tenant, Name: k.Name, Last4: k.Last4, State: k.State(now),
		Models: k.Models, RequestsPerMinute: k.RequestsPerMinute,
		CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt,
	}
	if view.Models == nil {
		view.Models = []string{}
	}
	return view
}

func (s *Server) createKey(r *http.Request) (answer, error) {
	var asked NewKey
	err := readObject(r.Body, []field{
		{"tenant", &asked.Tenant, "a string"},
		{"name", &asked.Name, "a string"},
		{"models", &asked.Models, "a list of strings"},
		{"requests_per_minute", &asked.RequestsPerMinute, "a whole number"},
		{"expires", &asked.Expires, "a string"},
	})
	if err != nil {
		return answer{}, err
	}
	now := s.now()
	spec, err := asked.spec(now)
	if err != nil {
		return answer{}, errors.Join(spec.Validate(now), err) // all bad fields at once
	}
	key, secret, err := s.options.Keys.By("admin").Create(r.Context(), spec)
	if err != nil {
		return answer{}, err
	}
	s.log.Info("key created", telemetry.FieldKeyID, key.ID, telemetry.FieldTenant, key.Tenant)
	return answer{http.StatusCreated, IssuedKey{keyView(key, now), secret}.Reveal()}, nil
}

func (s *Server) listKeys(r *http.Request) (answer, error) {
	all, _, err := s.options.Keys.List(r.Context(), keys.Filter{})
	if err != nil {
		return answer{}, err
	}
	now := s.now()
	views := make([]Key, len(all))
	for i, k := range all {
		views[i] = keyView(k, now)
	}
	return answer{http.StatusOK, keyList{views}}, nil
}

func (s *Server) showKey(r *http.Request) (answer, error) {
	key, err := s.options.Keys.Show(r.Context(), r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, keyView(key, s.now())}, nil
}

func (s *Server) revokeKey(r *http.Request) (answer, error) {
	key, err := s.options.Keys.By("admin").Revoke(r.Context(), r.PathValue("id"), keys.Soon)
	if err != nil {
		return answer{}, err
	}
	s.log.Info("key revoked", telemetry.FieldKeyID, key.ID, telemetry.FieldTenant, key.Tenant)
	return answer{http.StatusOK, keyView(key, s.now())}, nil
}

type keyList struct {
	Keys []Key `json:"keys"`
}

// quoted shows what was given, short and with its control characters escaped.
func quoted(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.QuoteToASCII(s)
}
