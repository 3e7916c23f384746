package keys

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// testStore is the contract of every store of records. open returns an empty one; what a
// test stored must still be there in the one that reopen returns.
func testStore(t *testing.T, open func(*testing.T) (s Records, reopen func() Records)) {
	for name, test := range map[string]func(*testing.T, Records, func() Records){
		"what was inserted is found":             storeFinds,
		"a stranger is not found":                storeRefusesStrangers,
		"insert never overwrites":                storeNeverOverwrites,
		"a digest belongs to one key":            storeKeepsDigestsApart,
		"update is seen at once":                 storeUpdates,
		"update of a stranger":                   storeUpdatesNoStranger,
		"update cannot change the id":            storeKeepsID,
		"a change that fails changes nothing":    storeHeedsRefusals,
		"a rotation leaves what it should":       storeRotates,
		"a deleted key is a tombstone":           storeDeletes,
		"tombstones go in the end":               storeEmptiesGraves,
		"the list is ordered by age":             storeLists,
		"records outlive the store":              storeReopens,
		"one insert of a digest wins":            storeInsertsOnce,
		"concurrent updates lose nothing":        storeUpdatesAtomically,
		"a cancelled call changes nothing":       storeHonoursContext,
		"returned keys are never modified":       storeSharesSafely,
		"every field survives a round trip":      storeKeepsEveryField,
		"versions grow":                          storeCounts,
		"each change is one line of the audit":   storeAudits,
		"tenants have a life":                    storeKeepsTenants,
		"concurrent tenant changes lose nothing": storeUpdatesTenantsAtomically,
	} {
		t.Run(name, func(t *testing.T) {
			s, reopen := open(t)
			test(t, s, reopen)
		})
	}
}

// contractRecord is a plain record; n makes its id, digest and age its own.
func contractRecord(n int) Record {
	id := fmt.Sprintf("key_%012d", n)
	return Record{
		Key: &Key{
			ID: id, Tenant: "acme", Name: "ci", Last4: "wxyz",
			CreatedAt: time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC),
		},
		Secrets: []StoredSecret{contractSecret(n)},
	}
}

// contractSecret is the secret of contractRecord(n).
func contractSecret(n int) StoredSecret {
	return StoredSecret{Digest: sha256.Sum256(fmt.Appendf(nil, "key_%012d", n)), Scheme: schemePlain}
}

// contractEntry is the line of the audit that a test's change of a key leaves.
func contractEntry(action Action, k *Key) Entry {
	return Entry{At: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), By: "alice", Action: action, KeyID: k.ID, Tenant: k.Tenant}
}

func created(r Record) Edit { return Edit{Record: r, Entry: contractEntry(ActionCreate, r.Key)} }

// changed is an Update's change that does this to a copy of the record.
func changed(do func(r *Record)) func(Record) (Edit, error) {
	return func(r Record) (Edit, error) {
		key := *r.Key
		r.Key = &key
		do(&r)
		return Edit{Record: r, Entry: contractEntry(ActionUpdate, r.Key)}, nil
	}
}

func mustInsert(t testing.TB, s Registry, records ...Record) {
	t.Helper()
	for _, r := range records {
		if _, err := s.Insert(t.Context(), created(r)); err != nil {
			t.Fatalf("Insert(%s): %v", r.Key.ID, err)
		}
	}
}

func mustUpdate(t testing.TB, s Registry, n int, do func(r *Record)) Record {
	t.Helper()
	r, err := s.Update(t.Context(), contractRecord(n).Key.ID, changed(do))
	if err != nil {
		t.Fatalf("Update(%d): %v", n, err)
	}
	return r
}

// likeStored compares records but for their versions, which the store gives.
func likeStored() cmp.Options {
	return cmp.Options{
		likeFields(),
		cmpopts.IgnoreFields(Key{}, "Version"), cmpopts.IgnoreFields(Tenant{}, "Version"), cmpopts.IgnoreFields(Entry{}, "Version"),
	}
}

// likeFields compares all fields; no list is an empty one.
func likeFields() cmp.Options {
	return cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()}
}

func wantStored(t *testing.T, s Finder, want Record) {
	t.Helper()
	for _, secret := range want.Secrets {
		got, err := s.ByDigest(t.Context(), secret.Digest, netip.Addr{})
		if diff := cmp.Diff(want, got, likeStored()); err != nil || diff != "" {
			t.Errorf("ByDigest(%s): %v (-want +got):\n%s", want.Key.ID, err, diff)
		}
	}
	got, err := s.ByID(t.Context(), want.Key.ID)
	if diff := cmp.Diff(want, got, likeStored()); err != nil || diff != "" {
		t.Errorf("ByID(%s): %v (-want +got):\n%s", want.Key.ID, err, diff)
	}
}

func wantNoDigest(t *testing.T, s Finder, secrets ...StoredSecret) {
	t.Helper()
	for _, secret := range secrets {
		if r, err := s.ByDigest(t.Context(), secret.Digest, netip.Addr{}); !errors.Is(err, ErrNotFound) {
			t.Errorf("ByDigest: got %+v, %v, want ErrNotFound", r.Key, err)
		}
	}
}

func wantNoKey(t *testing.T, s Finder, n int) {
	t.Helper()
	if r, err := s.ByID(t.Context(), contractRecord(n).Key.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("ByID(%d): got %+v, %v, want ErrNotFound", n, r.Key, err)
	}
	wantNoDigest(t, s, contractSecret(n))
}

func storeFinds(t *testing.T, s Records, _ func() Records) {
	mustInsert(t, s, contractRecord(1), contractRecord(2))
	wantStored(t, s, contractRecord(1))
	wantStored(t, s, contractRecord(2))
}

func storeRefusesStrangers(t *testing.T, s Records, _ func() Records) {
	mustInsert(t, s, contractRecord(1))
	for _, id := range []string{"", "key_", "key_000000000002", "key_00000000000", "KEY_000000000001", "key_000000000001\x00", "*"} {
		if _, err := s.ByID(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("ByID(%q): got %v, want ErrNotFound", id, err)
		}
	}
	wantNoDigest(t, s, StoredSecret{}, contractSecret(2))
}

func storeNeverOverwrites(t *testing.T, s Records, _ func() Records) {
	first, sameID, sameDigest := contractRecord(1), contractRecord(2), contractRecord(3)
	sameID.Key.ID = first.Key.ID
	sameDigest.Secrets = first.Secrets
	sameLater := contractRecord(4)
	sameLater.Secrets = []StoredSecret{contractSecret(4), contractSecret(5), first.Secrets[0]}
	mustInsert(t, s, first)
	for _, r := range []Record{first, sameID, sameDigest, sameLater} {
		if _, err := s.Insert(t.Context(), created(r)); !errors.Is(err, ErrDuplicate) {
			t.Errorf("Insert: got %v, want ErrDuplicate", err)
		}
	}
	wantStored(t, s, first)
	wantNoKey(t, s, 3)
	wantNoKey(t, s, 4)
	wantNoDigest(t, s, contractSecret(2), contractSecret(5))
	wantAudit(t, s, "key.create key_000000000001")
}

func storeKeepsDigestsApart(t *testing.T, s Records, _ func() Records) {
	mustInsert(t, s, contractRecord(1), contractRecord(2))
	_, err := s.Update(t.Context(), contractRecord(2).Key.ID, changed(func(r *Record) {
		r.Secrets = []StoredSecret{contractSecret(3), contractSecret(2), contractSecret(1)}
	}))
	if !errors.Is(err, ErrDuplicate) {
		t.Errorf("got %v, want ErrDuplicate", err)
	}
	wantStored(t, s, contractRecord(1))
	wantStored(t, s, contractRecord(2))
	wantNoDigest(t, s, contractSecret(3))
	wantAudit(t, s, "key.create key_000000000002", "key.create key_000000000001")
}

func storeUpdates(t *testing.T, s Records, reopen func() Records) {
	mustInsert(t, s, contractRecord(1), contractRecord(2))
	want := contractRecord(1)
	want.Key.RevokedAt = time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	got := mustUpdate(t, s, 1, func(r *Record) { r.Key.RevokedAt = want.Key.RevokedAt })
	if diff := cmp.Diff(want, got, likeStored()); diff != "" {
		t.Errorf("returned record differs (-want +got):\n%s", diff)
	}
	wantStored(t, s, want)
	wantStored(t, s, contractRecord(2))
	again := reopen()
	wantStored(t, again, want)
	if r, err := again.ByID(t.Context(), want.Key.ID); err != nil || r.Key.Version != got.Key.Version {
		t.Errorf("got version %d, %v, want %d", r.Key.Version, err, got.Key.Version)
	}
}

func storeUpdatesNoStranger(t *testing.T, s Records, _ func() Records) {
	_, err := s.Update(t.Context(), "key_000000000001", changed(func(*Record) { t.Error("change was called without a key") }))
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func storeKeepsID(t *testing.T, s Records, _ func() Records) {
	mustInsert(t, s, contractRecord(1))
	if r := mustUpdate(t, s, 1, func(r *Record) { r.Key.ID = "key_other" }); r.Key.ID != contractRecord(1).Key.ID {
		t.Errorf("got %v", r.Key)
	}
	wantStored(t, s, contractRecord(1))
}

func storeHeedsRefusals(t *testing.T, s Records, _ func() Records) {
	mustInsert(t, s, contractRecord(1))
	stored, err := s.ByID(t.Context(), contractRecord(1).Key.ID)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(reason error) func(Record) (Edit, error) {
		return func(Record) (Edit, error) { return Edit{}, fmt.Errorf("no: %w", reason) }
	}
	if got, err := s.Update(t.Context(), stored.Key.ID, refuse(errUnchanged)); err != nil || got.Key.Version != stored.Key.Version {
		t.Errorf("nothing to change: got version %d, %v, want %d", got.Key.Version, err, stored.Key.Version)
	}
	if _, err := s.Update(t.Context(), stored.Key.ID, refuse(ErrTooManySecrets)); !errors.Is(err, ErrTooManySecrets) {
		t.Errorf("refused: got %v", err)
	}
	tenant, err := s.UpdateTenant(t.Context(), "acme", func(Tenant) (TenantEdit, error) { return TenantEdit{}, errUnchanged })
	if err != nil || tenant != (Tenant{Name: "acme"}) {
		t.Errorf("a tenant that stays away: got %+v, %v", tenant, err)
	}
	if again, err := s.ByID(t.Context(), stored.Key.ID); err != nil || again.Key.Version != stored.Key.Version {
		t.Errorf("got version %d, %v, want %d", again.Key.Version, err, stored.Key.Version)
	}
	wantAudit(t, s, "key.create key_000000000001")
}

func storeLists(t *testing.T, s Records, _ func() Records) {
	ids := func() []string {
		records, err := s.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all := []string{}
		for _, r := range records {
			all = append(all, r.Key.ID)
		}
		return all
	}
	if diff := cmp.Diff([]string{}, ids()); diff != "" {
		t.Errorf("empty store (-want +got):\n%s", diff)
	}
	twin := contractRecord(4)
	twin.Key.CreatedAt = contractRecord(2).Key.CreatedAt
	mustInsert(t, s, twin, contractRecord(3), contractRecord(1), contractRecord(2))
	want := []string{"key_000000000001", "key_000000000002", "key_000000000004", "key_000000000003"}
	if diff := cmp.Diff(want, ids()); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

func storeReopens(t *testing.T, s Records, reopen func() Records) {
	mustInsert(t, s, contractRecord(1), contractRecord(2))
	again := reopen()
	wantStored(t, again, contractRecord(1))
	wantStored(t, again, contractRecord(2))
	if _, err := again.Insert(t.Context(), created(contractRecord(1))); !errors.Is(err, ErrDuplicate) {
		t.Errorf("got %v, want ErrDuplicate", err)
	}
}
