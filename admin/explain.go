package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"tollgate/keys"
	"tollgate/proxy"
)

const (
	// defaultMaxRequestBody is what server.max_request_body is by default.
	defaultMaxRequestBody = 20 << 20
	// maxExplaining bounds the memory of bodies: they are not counted against
	// server.max_body_memory, so that operators get their answer where it is used up.
	maxExplaining = 2
)

// Explainer says what would become of a request with this body under this key.
// *proxy.Gateway is one. It asks no provider and uses up no limit.
type Explainer interface {
	// Explain takes the body as a client would send it, whatever it is. The key may have ended.
	Explain(ctx context.Context, key *keys.Key, body []byte) proxy.Explanation
}

// explain answers POST /admin/v1/explain?key=ID. What is wrong with the request
// that it is about, or with its key, is part of the answer and no error.
func (s *Server) explain(r *http.Request) (answer, error) {
	key, err := s.explainedKey(r)
	if err != nil {
		return answer{}, err
	}
	if r.ContentLength > s.options.MaxRequestBody {
		return answer{}, s.bodyTooLarge() // before any of it is sent, by a caller who waits for our word
	}
	if err := s.explaining.enter(r.Context()); err != nil {
		return answer{}, err
	}
	defer s.explaining.leave()
	body, err := io.ReadAll(r.Body)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return answer{}, s.bodyTooLarge()
	}
	if err != nil {
		return answer{}, unreadable(err)
	}
	return answer{http.StatusOK, s.options.Explainer.Explain(r.Context(), key, body)}, nil
}

// explainedKey is the key that the parameters name, whatever its state.
func (s *Server) explainedKey(r *http.Request) (*keys.Key, error) {
	id := r.URL.Query().Get("key")
	if id == "" {
		return nil, invalid("key", "key: must be the id of the key that the request would come with, such as key_Xy12Zab34Cde: GET /admin/v1/keys lists them")
	}
	key, err := s.options.Keys.Show(r.Context(), id)
	if errors.Is(err, keys.ErrNotFound) {
		missing := failureOf(err)
		missing.param = "key" // which is part of the path elsewhere, by the name of id
		return nil, missing
	}
	return key, err
}

func (s *Server) bodyTooLarge() *failure {
	return &failure{
		status: http.StatusRequestEntityTooLarge, kind: kindInvalid, code: "request_too_large",
		message: fmt.Sprintf("the request body must be at most %s: server.max_request_body holds for clients, too", proxy.Size(s.options.MaxRequestBody)),
	}
}
