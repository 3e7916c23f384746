package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// tenantKey is a key as the operators' API answers it.
type tenantKey struct {
	ID            string    `json:"id"`
	Secret        string    `json:"secret"`
	Tenant        string    `json:"tenant"`
	Name          string    `json:"name"`
	Last4         string    `json:"last4"`
	State         string    `json:"state"`
	Models        []string  `json:"models"`
	PreviousUntil time.Time `json:"previous_until"`
	ExpiresAt     time.Time `json:"expires_at"`
	Version       uint64    `json:"version"`
}

// order makes one call of the operators' API, and waits where it is told that there were too many.
func (o operators) order(ctx context.Context, method, path, body string) reply {
	w := wish{method: method, path: "/admin/v1" + path, secret: o.token, body: body}
	r := o.send(ctx, w)
	for ; r.status == http.StatusTooManyRequests && ctx.Err() == nil; r = o.send(ctx, w) {
		time.Sleep(operatorsPause)
	}
	return r
}

// operatorsPause is how long who has asked too often waits: a token is good for 50 requests a second.
const operatorsPause = 20 * time.Millisecond

// obeyed makes a call that must succeed, and reads its answer. It may be used in any goroutine.
func (o operators) obeyed(t *testing.T, method, path, body string, into any) {
	t.Helper()
	r := o.order(t.Context(), method, path, body)
	for deadline := time.Now().Add(patience); r.unknowing() && !proving() && time.Now().Before(deadline); time.Sleep(operatorsPause) {
		r = o.order(t.Context(), method, path, body) // a busy machine may have kept Redis from answering in time
	}
	if r.err != nil || r.status != http.StatusOK && r.status != http.StatusCreated {
		t.Errorf("%s %s is answered %s", method, path, r)
		return
	}
	if err := json.Unmarshal([]byte(r.body), into); err != nil {
		t.Errorf("%s %s is answered %s: %v", method, path, r, err)
	}
}

// create issues a key of tenant acme with these further fields, such as `"name":"ci"`.
func (o operators) create(t *testing.T, fields string) (key tenantKey) {
	t.Helper()
	o.obeyed(t, http.MethodPost, "/keys", `{"tenant":"acme",`+fields+`}`, &key)
	return key
}

// rotate gives the key another secret, and the present one so much time.
func (o operators) rotate(t *testing.T, id, grace string) (key tenantKey) {
	t.Helper()
	o.obeyed(t, http.MethodPost, "/keys/"+id+"/rotate", `{"grace":"`+grace+`"}`, &key)
	return key
}

// revoke ends the key for what comes; answers in progress go on.
func (o operators) revoke(t *testing.T, id string) (key tenantKey) {
	t.Helper()
	o.obeyed(t, http.MethodPost, "/keys/"+id+"/revoke", `{}`, &key)
	return key
}

// remove deletes the key.
func (o operators) remove(t *testing.T, id string) (key tenantKey) {
	t.Helper()
	o.obeyed(t, http.MethodDelete, "/keys/"+id, "", &key)
	return key
}
