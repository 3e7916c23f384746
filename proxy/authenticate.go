package proxy

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// authenticate finds the key whose secret was sent. It comes before the body is
// taken: a stranger costs one hash, and the 8 KiB that fasthttp reads ahead.
func (x *exchange) authenticate(ctx *fasthttp.RequestCtx) error {
	secret, ok := bearer(ctx.Request.Header.Peek(fasthttp.HeaderAuthorization))
	if !ok {
		return errMissingKey
	}
	key, err := x.gateway.Keys.Authenticate(x.gateway.running, secret, x.from)
	if err != nil {
		return err
	}
	x.key, x.watch = key, x.gateway.Keys.Cuts().Watch(key.ID)
	if !key.MayComeFrom(x.from) {
		return &addressError{client: x.from}
	}
	return nil
}

// bearer returns the secret of an Authorization header. RFC 9110, section
// 11.1: the scheme's name has no case.
func bearer(header []byte) ([]byte, bool) {
	scheme, secret, found := bytes.Cut(header, []byte(" "))
	if !found || !bytes.EqualFold(scheme, []byte("Bearer")) {
		return nil, false
	}
	secret = bytes.Trim(secret, " \t")
	return secret, len(secret) > 0
}

// authorize asks whether the key may use the model, which is also the moment
// the model is found. A model that is not configured and one that the key may
// not use are the same 404: a tenant cannot list what others have.
func (x *exchange) authorize() error {
	model, ok := x.plan.Table.Model(x.document.Model)
	if !ok || !x.key.MayUse(x.document.Model) {
		return errModelNotFound
	}
	x.model = model
	if x.document.Stream && !x.http11 {
		return errOldStream
	}
	return nil
}
