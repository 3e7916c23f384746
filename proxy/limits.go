package proxy

import (
	"strconv"

	"tollgate/ratelimit"

	"github.com/valyala/fasthttp"
)

// showLimits tells whoever has sent a valid key what is left of its limits, and of its tenant's where that is less: as
// of the request's admission, or of now where it was not asked for. Clients pace themselves by these figures, so those of
// a limit in shadow, which refuses nobody, are not among them. See
// https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers.
func (x *exchange) showLimits(header *fasthttp.ResponseHeader) {
	if !x.known {
		return
	}
	answer := &x.permit.Answer
	if x.taken {
		if names := shadowed(answer); names != "" {
			header.Set("X-Tollgate-Shadow", names)
		}
	} else {
		x.gateway.Limiter.Peek(answer, x.gateway.spending(x.key, 0))
	}
	if d, ok := answer.Tightest(ratelimit.Requests); ok && !d.Shadow {
		header.Set("X-Ratelimit-Limit-Requests", strconv.FormatInt(d.Limit, 10))
		header.Set("X-Ratelimit-Remaining-Requests", strconv.FormatInt(d.Remaining, 10))
		header.Set("X-Ratelimit-Reset-Requests", d.Reset.String())
	}
	if d, ok := answer.Tightest(ratelimit.Tokens); ok && !d.Shadow {
		header.Set("X-Ratelimit-Limit-Tokens", strconv.FormatInt(d.Limit, 10))
		header.Set("X-Ratelimit-Remaining-Tokens", strconv.FormatInt(d.Remaining, 10))
		header.Set("X-Ratelimit-Reset-Tokens", d.Reset.String())
	}
}
