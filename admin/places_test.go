package admin

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// TestPlaces has requests wait for their turn, but not for ever.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(2, "lists are being read")
		for range 2 {
			if err := p.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		f, ok := errors.AsType[*failure](p.enter(t.Context()))
		if !ok || f.status != 503 || f.code != "overloaded" || f.message != "2 lists are being read: try again shortly" || f.retryAfter != time.Second || time.Since(began) != 5*time.Second {
			t.Errorf("after %s: %+v", time.Since(began), f)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if err := p.enter(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller who has left: %v", err)
		}
		go func() {
			time.Sleep(time.Second)
			p.leave()
		}()
		if err := p.enter(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Whoever asks for a list waits while two others are being read, and does not hold up what reads none.
func TestListsAreFew(t *testing.T) {
	h := newHouse(t)
	id, _ := h.issue(`{"tenant":"acme","name":"ci"}`)
	for range 2 {
		if err := h.server.listing.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, one := range h.server.routes() {
		r, err := http.NewRequestWithContext(gone, one.method, one.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.SetPathValue("id", id)
		isList := one.method == http.MethodGet && (one.path == "/admin/v1/keys" || one.path == "/admin/v1/tenants" || one.path == "/admin/v1/audit")
		if one.raw != nil || one.method != http.MethodGet {
			continue
		}
		if !isList {
			r = r.WithContext(t.Context())
		}
		if _, err := one.answer(r); errors.Is(err, context.Canceled) != isList {
			t.Errorf("%s with all places taken: %v", one.path, err)
		}
	}
	h.server.listing.leave()
	h.want(h.send("GET", "/admin/v1/audit?limit=10000", "", "Authorization: x"), 401, unauthorized)
	for _, path := range []string{"/admin/v1/keys?limit=10000", "/admin/v1/tenants", "/admin/v1/audit?limit=10000"} {
		for range 2 { // a place is given back
			if w := h.send("GET", path, ""); w.Code != 200 {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
	}
}
