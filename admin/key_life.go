package admin

import (
	"net/http"

	"tollgate/keys"
	"tollgate/telemetry"
)

// createKey answers POST /admin/v1/keys: with a new secret, or for one that exists already.
func (s *Server) createKey(r *http.Request) (answer, error) {
	var asked NewKey
	now := s.now()
	badBody := readObject(r.Body, asked.fields())
	spec, badValues := asked.spec(now)
	existing, badSecret := readSecret(asked.SHA256, asked.Last4)
	var badMinted error
	if asked.Minted && asked.SHA256 == "" {
		badMinted = &keys.FieldError{Field: "minted", Problem: "must come with secret_sha256 and last4, the last four characters of the secret"}
	}
	err := allBad(badBody, badValues, badSecret, badMinted)
	if err == nil && existing != nil {
		existing.Minted = asked.Minted
		return s.importKey(r, spec, *existing)
	}
	if err := allBad(err, spec.Validate(now)); err != nil {
		return answer{}, err
	}
	key, secret, err := s.by(r).Create(r.Context(), spec)
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusCreated, IssuedKey{keyView(key, now), secret}.Reveal()}, nil
}

// importKey issues a key for a secret that exists already. Asked again it answers with the same key.
func (s *Server) importKey(r *http.Request, spec keys.Spec, secret keys.ExistingSecret) (answer, error) {
	key, issued, err := s.by(r).Import(r.Context(), spec, secret)
	if err != nil {
		return answer{}, err
	}
	if !issued {
		return answer{http.StatusOK, keyView(key, s.now())}, nil
	}
	return answer{http.StatusCreated, keyView(key, s.now())}, nil
}

// listKeys answers GET /admin/v1/keys.
func (s *Server) listKeys(r *http.Request) (answer, error) {
	query := r.URL.Query()
	limit, badLimit := readLimit(query.Get("limit"))
	state, badState := readState(query.Get("state"))
	if err := allBad(badState, badLimit); err != nil {
		return answer{}, err
	}
	found, more, err := s.options.Keys.List(r.Context(), keys.Filter{
		Tenant: query.Get("tenant"), Name: query.Get("name"), State: state, After: query.Get("after"), Limit: limit,
	})
	if err != nil {
		return answer{}, err
	}
	now := s.now()
	page := KeyPage{Keys: make([]Key, len(found))}
	for i, key := range found {
		page.Keys[i] = keyView(key, now)
	}
	if more {
		page.Next = found[len(found)-1].ID
	}
	return answer{http.StatusOK, page}, nil
}

// showKey answers GET /admin/v1/keys/{id}.
func (s *Server) showKey(r *http.Request) (answer, error) {
	key, err := s.options.Keys.Show(r.Context(), r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	view := keyView(key, s.now())
	view.Standing = standing(s.options.Limits.Standing(r.Context(), key))
	return answer{http.StatusOK, view}, nil
}

// changeKey answers PATCH /admin/v1/keys/{id}.
func (s *Server) changeKey(r *http.Request) (answer, error) {
	var asked keyChange
	now := s.now()
	badBody := readObject(r.Body, asked.fields())
	change, badValues := asked.change(now)
	if err := allBad(badBody, badValues); err != nil {
		return answer{}, s.allBadOfKey(r, change, err)
	}
	key, err := s.by(r).Update(r.Context(), r.PathValue("id"), change)
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, keyView(key, now)}, nil
}

// allBadOfKey adds to what cannot be read what keys would refuse of the rest.
func (s *Server) allBadOfKey(r *http.Request, change func(*keys.Spec), bad error) error {
	if _, isBad := bad.(badFields); !isBad { //nolint:errorlint // as allBad returned it
		return bad
	}
	key, err := s.options.Keys.Show(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	spec := keys.Spec{Tenant: key.Tenant, Name: key.Name, Models: key.Models, CIDRs: key.CIDRs, Limits: key.Limits, Budget: key.Budget}
	change(&spec)
	return allBad(bad, spec.Validate(s.now()))
}

// deleteKey answers DELETE /admin/v1/keys/{id}.
func (s *Server) deleteKey(r *http.Request) (answer, error) {
	key, err := s.by(r).Delete(r.Context(), r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, keyView(key, s.now())}, nil
}

// rotateKey answers POST /admin/v1/keys/{id}/rotate: with a new secret, or for one that exists already.
func (s *Server) rotateKey(r *http.Request) (answer, error) {
	var asked Rotation
	badBody := readOptionalObject(r.Body, []field{
		{"grace", &asked.Grace, wantText},
		{"secret_sha256", &asked.SHA256, wantText},
		{"last4", &asked.Last4, wantText},
	})
	grace, badGrace := readGrace(asked.Grace)
	existing, badSecret := readSecret(asked.SHA256, asked.Last4)
	if err := allBad(badBody, badGrace, badSecret); err != nil {
		return answer{}, err
	}
	id := r.PathValue("id")
	var key *keys.Key
	var secret telemetry.Secret
	var err error
	if existing != nil {
		key, err = s.by(r).RotateTo(r.Context(), id, grace, *existing)
	} else {
		key, secret, err = s.by(r).Rotate(r.Context(), id, grace)
	}
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, IssuedKey{keyView(key, s.now()), secret}.Reveal()}, nil
}

// revokeKey answers POST /admin/v1/keys/{id}/revoke.
func (s *Server) revokeKey(r *http.Request) (answer, error) {
	var asked Revocation
	if err := readOptionalObject(r.Body, []field{{"now", &asked.Now, wantBool}}); err != nil {
		return answer{}, err
	}
	urgency := keys.Soon
	if asked.Now {
		urgency = keys.AtOnce
	}
	key, err := s.by(r).Revoke(r.Context(), r.PathValue("id"), urgency)
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, keyView(key, s.now())}, nil
}

func readState(text string) (keys.State, error) {
	switch state := keys.State(text); state {
	case "", keys.StateActive, keys.StateDisabled, keys.StateExpired, keys.StateRevoked:
		return state, nil
	}
	return "", &keys.FieldError{Field: "state", Problem: "must be active, disabled, expired or revoked, got " + quoted(text)}
}
