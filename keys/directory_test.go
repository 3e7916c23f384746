package keys

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"tollgate/telemetry"

	"github.com/google/go-cmp/cmp"
)

const testPepper telemetry.Secret = "pepper-canary-0123456789"

// clock is a time that only the test moves.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 123_456_789, time.UTC)} }

func (c *clock) now() time.Time { return c.at }

func newDirectory(t testing.TB, s Store, pepper telemetry.Secret) (*Directory, *clock) {
	t.Helper()
	d, c := New(s, Config{Pepper: pepper}), newClock()
	d.now = c.now
	return d, c
}

func create(t testing.TB, d *Directory, spec Spec) (*Key, []byte) {
	t.Helper()
	key, secret, err := d.By("test").Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return key, []byte(secret.Reveal())
}

func wantRefused(t testing.TB, d *Directory, presented []byte, want error) {
	t.Helper()
	key, err := d.Authenticate(t.Context(), presented, netip.Addr{})
	if key != nil || !errors.Is(err, want) {
		t.Errorf("Authenticate: got %v, %v; want %v", key, err, want)
	}
}

func wantAdmitted(t testing.TB, d *Directory, presented []byte, want *Key) {
	t.Helper()
	key, err := d.Authenticate(t.Context(), presented, netip.Addr{})
	if err != nil {
		t.Errorf("Authenticate: %v", err)
	} else if diff := cmp.Diff(want, key); diff != "" {
		t.Errorf("key differs (-want +got):\n%s", diff)
	}
}

func TestLifeOfAKey(t *testing.T) {
	for _, pepper := range []telemetry.Secret{"", testPepper} {
		d, clock := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), pepper)
		models := []string{"gemini-*"}
		key, secret := create(t, d, Spec{
			Tenant: "acme", Name: "ci", Models: models, Limits: Limits{RequestsPerMinute: 60},
			ExpiresAt: clock.at.Add(time.Hour).In(time.FixedZone("", 3600)),
		})
		models[0] = "changed by the caller"
		want := &Key{
			ID: key.ID, Tenant: "acme", Name: "ci", Last4: string(secret[37:]), Models: []string{"gemini-*"}, Limits: Limits{RequestsPerMinute: 60},
			CreatedAt: time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC),
			ExpiresAt: time.Date(2026, 3, 1, 13, 0, 0, 123_456_789, time.UTC),
			Version:   key.Version,
		}
		wantAdmitted(t, d, secret, want)

		other, otherSecret := create(t, d, Spec{Tenant: "globex", Name: "prod"})
		wantAdmitted(t, d, otherSecret, other)

		clock.at = want.ExpiresAt.Add(-1)
		wantAdmitted(t, d, secret, want)
		clock.at = want.ExpiresAt
		wantRefused(t, d, secret, ErrExpired)
		wantAdmitted(t, d, otherSecret, other)

		clock.at = want.ExpiresAt.Add(-time.Minute)
		revoked, err := d.By("test").Revoke(t.Context(), key.ID, Soon)
		want.RevokedAt = time.Date(2026, 3, 1, 12, 59, 0, 123_000_000, time.UTC)
		want.UpdatedAt, want.Version = want.RevokedAt, revoked.Version
		if diff := cmp.Diff(want, revoked); err != nil || diff != "" {
			t.Errorf("Revoke: %v (-want +got):\n%s", err, diff)
		}
		wantRefused(t, d, secret, ErrRevoked)
		wantAdmitted(t, d, otherSecret, other)

		clock.at = want.ExpiresAt.Add(time.Hour)
		again, err := d.By("test").Revoke(t.Context(), key.ID, Soon)
		if diff := cmp.Diff(want, again); err != nil || diff != "" {
			t.Errorf("second Revoke: %v (-want +got):\n%s", err, diff)
		}
		wantRefused(t, d, secret, ErrRevoked)
		shown, err := d.Show(t.Context(), key.ID)
		if diff := cmp.Diff(want, shown); err != nil || diff != "" {
			t.Errorf("Show: %v (-want +got):\n%s", err, diff)
		}
	}
}

func TestUnknownAndMalformed(t *testing.T) {
	d, _ := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	_, secret := create(t, d, Spec{Tenant: "acme", Name: "ci"})
	wantRefused(t, d, []byte(sample), ErrUnknown)
	wantRefused(t, d, nil, ErrMalformed)
	wantRefused(t, d, []byte("sk-0123456789"), ErrMalformed)
	secret[10]++
	wantRefused(t, d, secret, ErrMalformed)
	for _, id := range []string{"", "key_", "key_doesnotexist", sample} {
		if _, err := d.Show(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("Show(%q): got %v, want ErrNotFound", id, err)
		}
		if _, err := d.By("test").Revoke(t.Context(), id, Soon); !errors.Is(err, ErrNotFound) {
			t.Errorf("Revoke(%q): got %v, want ErrNotFound", id, err)
		}
	}
}

// With the store gone a secret is neither known nor unknown; only garbage is still garbage.
func TestUnavailable(t *testing.T) {
	for _, failure := range []error{errors.New("connection refused"), context.DeadlineExceeded} {
		d, _ := newDirectory(t, brokenStore{err: failure}, "")
		wantRefused(t, d, []byte(sample), ErrUnavailable)
		wantRefused(t, d, []byte(sample), failure)
		wantRefused(t, d, []byte("garbage"), ErrMalformed)
		if _, secret, err := d.By("test").Create(t.Context(), Spec{Tenant: "acme", Name: "ci"}); secret != "" || !errors.Is(err, failure) {
			t.Errorf("Create: got %d characters, %v", len(secret), err)
		}
		if _, _, err := d.List(t.Context(), Filter{}); !errors.Is(err, failure) {
			t.Errorf("List: got %v", err)
		}
		if _, err := d.Mispeppered(t.Context()); !errors.Is(err, failure) {
			t.Errorf("Mispeppered: got %v", err)
		}
	}
}

// A store that answers with somebody else's record lets nobody in.
func TestWrongRecordIsRefused(t *testing.T) {
	d, _ := newDirectory(t, brokenStore{record: contractRecord(1)}, "")
	wantRefused(t, d, []byte(sample), ErrUnknown)
}

// brokenStore answers every call alike.
type brokenStore struct {
	Store
	record Record
	err    error
}

func (s brokenStore) ByDigest(context.Context, Digest, netip.Addr) (Record, error) {
	return s.record, s.err
}
func (s brokenStore) ByID(context.Context, string) (Record, error) { return s.record, s.err }
func (s brokenStore) Insert(context.Context, Edit) (Record, error) { return s.record, s.err }
func (s brokenStore) List(context.Context) ([]Record, error)       { return nil, s.err }
func (s brokenStore) Update(context.Context, string, func(Record) (Edit, error)) (Record, error) {
	return s.record, s.err
}

func TestList(t *testing.T) {
	d, clock := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	first, _ := create(t, d, Spec{Tenant: "acme", Name: "one"})
	clock.at = clock.at.Add(time.Second)
	second, _ := create(t, d, Spec{Tenant: "acme", Name: "two"})
	revoked, err := d.By("test").Revoke(t.Context(), first.ID, Soon)
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := d.List(t.Context(), Filter{})
	if diff := cmp.Diff([]*Key{revoked, second}, all); err != nil || diff != "" {
		t.Errorf("List: %v (-want +got):\n%s", err, diff)
	}
}

func TestListFilters(t *testing.T) {
	d, clock := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	named := make(map[string]string) // id -> name here
	f := func(filter Filter, wantMore bool, want ...string) {
		t.Helper()
		page, more, err := d.List(t.Context(), filter)
		got := []string{}
		for _, key := range page {
			got = append(got, named[key.ID])
		}
		if err != nil || more != wantMore || !slices.Equal(got, want) {
			t.Errorf("%+v: got %v, more %v, %v; want %v, more %v", filter, got, more, err, want, wantMore)
		}
	}
	ids := make(map[string]string)
	issue := func(name string, spec Spec) {
		clock.at = clock.at.Add(time.Second)
		key, _ := create(t, d, spec)
		ids[name], named[key.ID] = key.ID, name
	}
	issue("a", Spec{Tenant: "acme", Name: "ci"})
	issue("b", Spec{Tenant: "globex", Name: "ci"})
	issue("c", Spec{Tenant: "acme", Name: "web", Disabled: true})
	issue("d", Spec{Tenant: "acme", Name: "ci", ExpiresAt: clock.at.Add(time.Minute)})
	issue("e", Spec{Tenant: "acme", Name: "ci"})
	issue("f", Spec{Tenant: "acme", Name: "ci"})
	if _, err := d.By("test").Revoke(t.Context(), ids["e"], Soon); err != nil {
		t.Fatal(err)
	}
	clock.at = clock.at.Add(time.Hour)

	f(Filter{}, false, "a", "b", "c", "d", "e", "f")
	f(Filter{Tenant: "acme"}, false, "a", "c", "d", "e", "f")
	f(Filter{Tenant: "acm"}, false)
	f(Filter{Name: "web"}, false, "c")
	f(Filter{State: StateActive}, false, "a", "b", "f")
	f(Filter{State: StateDisabled}, false, "c")
	f(Filter{State: StateExpired}, false, "d")
	f(Filter{State: StateRevoked}, false, "e")
	f(Filter{Tenant: "acme", Name: "ci", State: StateActive}, false, "a", "f")
	f(Filter{Limit: 2}, true, "a", "b")
	f(Filter{Limit: 2, After: ids["b"]}, true, "c", "d")
	f(Filter{Limit: 2, After: ids["d"]}, false, "e", "f")
	f(Filter{After: ids["f"]}, false)
	f(Filter{Limit: 6}, false, "a", "b", "c", "d", "e", "f")
	f(Filter{State: StateActive, Limit: 2}, true, "a", "b")
	f(Filter{State: StateActive, Limit: 2, After: ids["c"]}, false, "f") // which the filter does not admit
	f(Filter{State: StateActive, Limit: 1, After: ids["b"]}, false, "f")

	// Whoever deletes what a page names goes on after it.
	if _, err := d.By("test").Delete(t.Context(), ids["b"]); err != nil {
		t.Fatal(err)
	}
	f(Filter{Limit: 2, After: ids["b"]}, true, "c", "d")
	_, _, err := d.List(t.Context(), Filter{After: "key_doesnotexist"})
	const want = `after: must be the id of a key that was listed: begin the list anew, got "key_doesnotexist"`
	if err == nil || err.Error() != want || len(FieldErrors(err)) != 1 {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// A lost or changed pepper locks every tenant out: an operator must be able to see it at start.
func TestMispeppered(t *testing.T) {
	s := newBoltStore(t, openBolt(t, t.TempDir()))
	plain, _ := newDirectory(t, s, "")
	_, plainSecret := create(t, plain, Spec{Tenant: "acme", Name: "plain"})
	peppered, clock := newDirectory(t, s, testPepper)
	kept, pepperedSecret := create(t, peppered, Spec{Tenant: "acme", Name: "peppered"})
	dead, _ := create(t, peppered, Spec{Tenant: "acme", Name: "dead"})
	if _, err := peppered.By("test").Revoke(t.Context(), dead.ID, Soon); err != nil {
		t.Fatal(err)
	}
	create(t, peppered, Spec{Tenant: "acme", Name: "short", ExpiresAt: clock.at.Add(time.Minute)})
	clock.at = clock.at.Add(time.Hour)

	f := func(d *Directory, want int) {
		t.Helper()
		d.now = clock.now
		if got, err := d.Mispeppered(t.Context()); err != nil || got != want {
			t.Errorf("Mispeppered: got %d, %v; want %d", got, err, want)
		}
	}
	f(plain, 1)
	f(peppered, 1)
	f(New(s, Config{Pepper: testPepper + "x"}), 2)

	wantAdmitted(t, peppered, pepperedSecret, kept)
	wantRefused(t, peppered, plainSecret, ErrUnknown)
	wantRefused(t, plain, pepperedSecret, ErrUnknown)
}

// Once Revoke has returned, nobody gets in any more.
func TestRevokeUnderLoad(t *testing.T) {
	d, _ := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), testPepper)
	key, secret := create(t, d, Spec{Tenant: "acme", Name: "ci"})
	revoked := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				var after bool
				select {
				case <-revoked:
					after = true
				default:
				}
				_, err := d.Authenticate(context.Background(), secret, netip.Addr{})
				if after {
					if !errors.Is(err, ErrRevoked) {
						t.Errorf("after Revoke: got %v", err)
					}
					return
				}
				if err != nil && !errors.Is(err, ErrRevoked) {
					t.Errorf("before Revoke: got %v", err)
					return
				}
			}
		})
	}
	if _, err := d.By("test").Revoke(t.Context(), key.ID, Soon); err != nil {
		t.Error(err)
	}
	close(revoked)
	group.Wait()
}
