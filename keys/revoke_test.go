package keys

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRevokeAtOnce(t *testing.T) {
	d, clock := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	key, secret := create(t, d, Spec{Tenant: "acme", Name: "ci"})
	watch := d.Cuts().Watch(key.ID)
	f := func(urgency Urgency, severed bool, versions int) {
		t.Helper()
		before, err := d.Show(t.Context(), key.ID)
		if err != nil {
			t.Fatal(err)
		}
		clock.at = clock.at.Add(time.Minute)
		revoked, err := d.By("test").Revoke(t.Context(), key.ID, urgency)
		if err != nil {
			t.Fatal(err)
		}
		if revoked.Severed != severed || watch.Severed() != severed {
			t.Errorf("severed: got %v and %v, want %v", revoked.Severed, watch.Severed(), severed)
		}
		if (revoked.Version > before.Version) != (versions == 1) {
			t.Errorf("version %d came after %d", revoked.Version, before.Version)
		}
		if want := time.Date(2026, 3, 1, 12, 1, 0, 123_000_000, time.UTC); !revoked.RevokedAt.Equal(want) {
			t.Errorf("revoked at %s, want %s", revoked.RevokedAt, want)
		}
		wantRefused(t, d, secret, ErrRevoked)
	}
	f(Soon, false, 1)
	f(Soon, false, 0)
	f(AtOnce, true, 1)
	f(AtOnce, true, 0)
	f(Soon, true, 0)
}

func TestDelete(t *testing.T) {
	d, clock := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	key, secret := create(t, d, Spec{Tenant: "acme", Name: "ci", Limits: Limits{RequestsPerMinute: 60}})
	kept, keptSecret := create(t, d, Spec{Tenant: "acme", Name: "kept"})
	clock.at = clock.at.Add(time.Minute)
	deleted, err := d.By("test").Delete(t.Context(), key.ID)
	want := *key
	want.RevokedAt = time.Date(2026, 3, 1, 12, 1, 0, 123_000_000, time.UTC)
	want.UpdatedAt, want.DeletedAt, want.Version = want.RevokedAt, want.RevokedAt, deleted.Version
	if diff := cmp.Diff(&want, deleted); err != nil || diff != "" {
		t.Errorf("Delete: %v (-want +got):\n%s", err, diff)
	}
	if _, err := d.Authenticate(t.Context(), secret, nobody); !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrRevoked) {
		t.Errorf("with its secret: %v", err)
	}
	wantAdmitted(t, d, keptSecret, kept)

	clock.at = clock.at.Add(time.Minute)
	again, err := d.By("test").Delete(t.Context(), key.ID)
	if diff := cmp.Diff(deleted, again); err != nil || diff != "" {
		t.Errorf("second Delete: %v (-want +got):\n%s", err, diff)
	}
	nothing := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: got %v, want ErrNotFound", what, err)
		}
	}
	_, err = d.Show(t.Context(), key.ID)
	nothing("Show", err)
	_, err = d.By("test").Update(t.Context(), key.ID, func(s *Spec) { s.Name = "new" })
	nothing("Update", err)
	_, err = d.By("test").Revoke(t.Context(), key.ID, AtOnce)
	nothing("Revoke", err)
	_, err = d.By("test").Delete(t.Context(), "key_doesnotexist")
	nothing("Delete of a key that never was", err)
	all, _, err := d.List(t.Context(), Filter{})
	if diff := cmp.Diff([]*Key{kept}, all); err != nil || diff != "" {
		t.Errorf("List: %v (-want +got):\n%s", err, diff)
	}
}

// A revoked key can be deleted, and stays revoked since then.
func TestDeleteOfARevokedKey(t *testing.T) {
	d, clock := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	key, _ := create(t, d, Spec{Tenant: "acme", Name: "ci"})
	revoked, err := d.By("test").Revoke(t.Context(), key.ID, AtOnce)
	if err != nil {
		t.Fatal(err)
	}
	clock.at = clock.at.Add(time.Minute)
	deleted, err := d.By("test").Delete(t.Context(), key.ID)
	if err != nil || !deleted.RevokedAt.Equal(revoked.RevokedAt) || !deleted.Severed || deleted.DeletedAt.IsZero() {
		t.Errorf("got %+v, %v", deleted, err)
	}
}
