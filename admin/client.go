package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"tollgate/proxy"
	"tollgate/telemetry"
	"tollgate/usage"

	"golang.org/x/time/rate"
)

const (
	// clientTimeout bounds one call of the command line, answer included.
	clientTimeout = 60 * time.Second
	// maxAnswer is far above the largest answer, 100,000 rows of usage.
	maxAnswer = 256 << 20
	// continueTimeout is how long a large body waits for the API's word that it may be sent.
	continueTimeout = time.Second
)

// Error is a refusal by the operators' API.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Message says what is wrong and what to do; it holds nothing secret.
	Message string
	// Param names the field or parameter at fault; empty: none.
	Param string
	// Code is the stable name of the case, such as "key_not_found".
	Code string
	// RetryAfter is how long the API asks to be left alone before the call is made again; zero: it says nothing.
	RetryAfter time.Duration
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Client calls the operators' API for the command line. It is safe for concurrent
// use and keeps no connection between calls, so there is nothing to close.
//
// Its methods return an *Error where the API refuses, and another error that says
// what to do where nobody answers.
type Client struct {
	base  string
	token telemetry.Secret
	http  *http.Client
	wait  Wait
	pace  *rate.Limiter // nil: as fast as they come
}

// NewClient returns a Client for the API at base, such as "http://127.0.0.1:8081"; a
// bare host:port means http.
func NewClient(base string, token telemetry.Secret) *Client {
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	return &Client{
		base:  strings.TrimRight(base, "/"),
		token: token,
		http: &http.Client{
			Timeout: clientTimeout,
			// No proxy from the environment: over plain HTTP it would be handed the token.
			Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: continueTimeout},
			// The API never redirects: whoever does is somebody else, and must not be given the token.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Usage returns the totals that q asks for.
func (c *Client) Usage(ctx context.Context, q usage.Query) (UsageRows, error) {
	values := url.Values{}
	set := func(name, value string) {
		if value != "" {
			values.Set(name, value)
		}
	}
	by := make([]string, len(q.By))
	for i, d := range q.By {
		by[i] = string(d)
	}
	set("by", strings.Join(by, ","))
	set("from", moment(q.From))
	set("to", moment(q.To))
	set("tenant", q.Tenant)
	set("key", q.KeyID)
	var rows UsageRows
	err := c.call(ctx, http.MethodGet, "/admin/v1/usage?"+values.Encode(), nil, &rows)
	return rows, err
}

// Request returns the usage records of the request with this x-request-id.
func (c *Client) Request(ctx context.Context, id string) (RequestRecords, error) {
	var records RequestRecords
	err := c.call(ctx, http.MethodGet, "/admin/v1/requests/"+url.PathEscape(id), nil, &records)
	return records, err
}

// Upstreams returns the present state of every endpoint.
func (c *Client) Upstreams(ctx context.Context) ([]Endpoint, error) {
	var list endpointList
	err := c.call(ctx, http.MethodGet, "/admin/v1/upstreams", nil, &list)
	return list.Endpoints, err
}

// Explain says what would become of a request with this body, as a client would send
// it, under the key with this id. Nothing is sent on, and nothing used up.
func (c *Client) Explain(ctx context.Context, keyID string, body []byte) (proxy.Explanation, error) {
	var explained proxy.Explanation
	err := c.send(ctx, http.MethodPost, "/admin/v1/explain?"+url.Values{"key": {keyID}}.Encode(), body, &explained)
	return explained, err
}

// moment is the time as a parameter; the zero time is none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// call sends body as JSON, if there is one, and reads the answer into out.
func (c *Client) call(ctx context.Context, method, path string, body, out any) error {
	if body == nil {
		return c.send(ctx, method, path, nil, out)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.send(ctx, method, path, raw, out)
}

// once sends body as it is, and reads the answer into out.
func (c *Client) once(ctx context.Context, method, path string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return &notSentError{fmt.Sprintf("--admin %q is not the address of an admin API: write one such as http://127.0.0.1:8081", c.base)}
	}
	req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	req.Header.Set("Content-Type", "application/json")
	if len(body) > maxBody {
		// A refusal that comes while the body is on its way may be lost with the connection.
		req.Header.Set("Expect", "100-continue")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return unreachable(req.URL, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return unreachable(req.URL, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return refusal(req.URL, resp, raw)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return stranger(req.URL, resp.StatusCode)
	}
	return nil
}

// refusal reads the API's error object.
func refusal(u *url.URL, resp *http.Response, raw []byte) error {
	var body errorBody
	if err := json.Unmarshal(raw, &body); err != nil || body.Error.Message == "" {
		return stranger(u, resp.StatusCode)
	}
	e := &Error{Status: resp.StatusCode, Message: body.Error.Message, Code: body.Error.Code, RetryAfter: retryAfter(resp.Header)}
	if body.Error.Param != nil {
		e.Param = *body.Error.Param
	}
	return e
}

// stranger is the error about an answer that Tollgate would not have given.
func stranger(u *url.URL, status int) error {
	return &Error{Status: status, Message: fmt.Sprintf(
		"%s answered %d, but not as Tollgate's admin API does: does --admin (TOLLGATE_ADMIN_URL) name admin.listen of the gateway?", site(u), status)}
}

// unreachable says what to do when nobody answers.
func unreachable(u *url.URL, err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the method and the URL, which are in the message already
	}
	hint := "is the address right?"
	if errors.Is(err, syscall.ECONNREFUSED) {
		hint = "is tollgate serve running there?"
	}
	return fmt.Errorf("cannot reach the admin API at %s: %w: %s Name another with --admin or TOLLGATE_ADMIN_URL", site(u), err, hint)
}

// site is the part of the address that a person typed, without user info.
func site(u *url.URL) string { return u.Scheme + "://" + u.Host }
