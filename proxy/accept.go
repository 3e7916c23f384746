package proxy

import (
	"strings"

	"tollgate/proxy/head"

	"github.com/valyala/fasthttp"
)

// route is one of the paths served. Paths are matched byte for byte on the raw
// request target: a normalised path would let /v1/../admin mean something.
type route uint8

const (
	routeUnknown route = iota
	routeChat
	routeModels
	routeModel
	routeUsage
)

// String returns the route's name for logs: never the client's own path.
func (r route) String() string {
	switch r {
	case routeChat:
		return "/v1/chat/completions"
	case routeModels:
		return "/v1/models"
	case routeModel:
		return "/v1/models/{id}"
	case routeUsage:
		return "/v1/usage"
	}
	return "other"
}

// allows names the methods that the route takes.
func (r route) allows() string {
	if r == routeChat {
		return fasthttp.MethodPost
	}
	return "GET, HEAD"
}

// takes reports whether the route takes the method. HEAD is answered as GET is,
// without the body (RFC 9110, section 9.3.2).
func (r route) takes(method string) bool {
	if r == routeChat {
		return method == fasthttp.MethodPost
	}
	return method == fasthttp.MethodGet || method == fasthttp.MethodHead
}

// routeOf returns the route of a raw request target and what follows its path:
// the model's id for routeModel, the query for the others.
func routeOf(target string) (route, string) {
	path, query, _ := strings.Cut(target, "?")
	switch path {
	case "/v1/chat/completions":
		return routeChat, query
	case "/v1/models":
		return routeModels, query
	case "/v1/usage":
		return routeUsage, query
	}
	if id, ok := strings.CutPrefix(path, "/v1/models/"); ok && id != "" {
		return routeModel, id
	}
	return routeUnknown, query
}

// accept checks the head byte by byte. fasthttp is lenient where a client and
// a proxy in front of it could read two different requests out of the same
// bytes; whatever could be read in two ways is refused here and the connection closed.
func (x *exchange) accept(ctx *fasthttp.RequestCtx) error {
	request := &ctx.Request.Header
	if p := string(request.Protocol()); p != "HTTP/1.1" && p != "HTTP/1.0" {
		return errProtocol
	}
	checked, err := head.Check(request.RawHeaders())
	if err != nil {
		return err
	}
	target := string(request.RequestURI())
	if !strings.HasPrefix(target, "/") {
		return errRequestTarget
	}
	// Nothing was sent after the head: the connection stands at the next request.
	x.bodyRead = !checked.HasBody()
	x.route, x.tail = routeOf(target)
	switch {
	case x.route == routeUnknown:
		return errUnknownPath
	case !x.route.takes(x.method):
		return &methodError{allow: x.route.allows()}
	case keyInQuery(target):
		return errKeyInQuery
	case x.method != fasthttp.MethodPost && !x.bodyRead:
		return errUnwantedBody
	}
	x.framed = checked.Chunked || checked.ContentLength >= 0
	return nil
}

// keyInQuery finds the parameter names under which keys are sent in a query:
// a key there ends up in the logs of everything on the way.
func keyInQuery(target string) bool {
	_, query, found := strings.Cut(target, "?")
	if !found {
		return false
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		switch strings.ToLower(name) {
		case "key", "api_key", "apikey", "api-key", "access_token", "token":
			return true
		}
	}
	return false
}

// methodLabel keeps a client's own words out of the log's method field.
func methodLabel(method string) string {
	switch method {
	case fasthttp.MethodGet, fasthttp.MethodPost, fasthttp.MethodHead, fasthttp.MethodPut,
		fasthttp.MethodDelete, fasthttp.MethodOptions, fasthttp.MethodPatch:
		return method
	}
	return "other"
}
