package keys

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testStore is the contract of every Store. open returns an empty one; what a
// test stored must still be there in the one that reopen returns.
func testStore(t *testing.T, open func(*testing.T) (s Store, reopen func() Store)) {
	for name, test := range map[string]func(*testing.T, Store, func() Store){
		"what was inserted is found":        storeFinds,
		"a stranger is not found":           storeRefusesStrangers,
		"insert never overwrites":           storeNeverOverwrites,
		"update is seen at once":            storeUpdates,
		"update of a stranger":              storeUpdatesNoStranger,
		"update cannot change the id":       storeKeepsID,
		"the list is ordered by age":        storeLists,
		"records outlive the store":         storeReopens,
		"one insert of a digest wins":       storeInsertsOnce,
		"concurrent updates lose nothing":   storeUpdatesAtomically,
		"a cancelled call changes nothing":  storeHonoursContext,
		"returned keys are never modified":  storeSharesSafely,
		"every field survives a round trip": storeKeepsEveryField,
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
		Digest: sha256.Sum256([]byte(id)),
		Scheme: schemePlain,
	}
}

func mustInsert(t *testing.T, s Store, records ...Record) {
	t.Helper()
	for _, r := range records {
		if err := s.Insert(t.Context(), r); err != nil {
			t.Fatalf("Insert(%s): %v", r.Key.ID, err)
		}
	}
}

func wantStored(t *testing.T, s Store, want Record) {
	t.Helper()
	byDigest, err := s.ByDigest(t.Context(), want.Digest)
	if err != nil {
		t.Fatalf("ByDigest(%s): %v", want.Key.ID, err)
	}
	byID, err := s.ByID(t.Context(), want.Key.ID)
	if err != nil {
		t.Fatalf("ByID(%s): %v", want.Key.ID, err)
	}
	for _, got := range []Record{byDigest, byID} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("record differs (-want +got):\n%s", diff)
		}
	}
}

func revokedAt(at time.Time) func(Key) Key {
	return func(k Key) Key { k.RevokedAt = at; return k }
}

func storeFinds(t *testing.T, s Store, _ func() Store) {
	mustInsert(t, s, contractRecord(1), contractRecord(2))
	wantStored(t, s, contractRecord(1))
	wantStored(t, s, contractRecord(2))
}

func storeRefusesStrangers(t *testing.T, s Store, _ func() Store) {
	mustInsert(t, s, contractRecord(1))
	for _, id := range []string{"", "key_", "key_000000000002", "key_00000000000", "KEY_000000000001", "key_000000000001\x00", "*"} {
		if _, err := s.ByID(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("ByID(%q): got %v, want ErrNotFound", id, err)
		}
	}
	for _, digest := range []Digest{{}, contractRecord(2).Digest} {
		if _, err := s.ByDigest(t.Context(), digest); !errors.Is(err, ErrNotFound) {
			t.Errorf("ByDigest: got %v, want ErrNotFound", err)
		}
	}
}

func storeNeverOverwrites(t *testing.T, s Store, _ func() Store) {
	first, sameID, sameDigest := contractRecord(1), contractRecord(2), contractRecord(3)
	sameID.Key.ID = first.Key.ID
	sameDigest.Digest = first.Digest
	mustInsert(t, s, first)
	for _, r := range []Record{first, sameID, sameDigest} {
		if err := s.Insert(t.Context(), r); !errors.Is(err, ErrDuplicate) {
			t.Errorf("Insert: got %v, want ErrDuplicate", err)
		}
	}
	wantStored(t, s, first)
	if _, err := s.ByID(t.Context(), contractRecord(3).Key.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a refused record was stored: %v", err)
	}
	if _, err := s.ByDigest(t.Context(), contractRecord(2).Digest); !errors.Is(err, ErrNotFound) {
		t.Errorf("a refused digest was stored: %v", err)
	}
}

func storeUpdates(t *testing.T, s Store, reopen func() Store) {
	mustInsert(t, s, contractRecord(1), contractRecord(2))
	want := contractRecord(1)
	want.Key.RevokedAt = time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	got, err := s.Update(t.Context(), want.Key.ID, revokedAt(want.Key.RevokedAt))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Key, got); diff != "" {
		t.Errorf("returned key differs (-want +got):\n%s", diff)
	}
	wantStored(t, s, want)
	wantStored(t, s, contractRecord(2))
	wantStored(t, reopen(), want)
}

func storeUpdatesNoStranger(t *testing.T, s Store, _ func() Store) {
	_, err := s.Update(t.Context(), "key_000000000001", func(k Key) Key {
		t.Error("change was called without a key")
		return k
	})
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func storeKeepsID(t *testing.T, s Store, _ func() Store) {
	mustInsert(t, s, contractRecord(1))
	key, err := s.Update(t.Context(), contractRecord(1).Key.ID, func(k Key) Key { k.ID = "key_other"; return k })
	if err != nil || key.ID != contractRecord(1).Key.ID {
		t.Errorf("got %v, %v", key, err)
	}
	wantStored(t, s, contractRecord(1))
}

func storeLists(t *testing.T, s Store, _ func() Store) {
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

func storeReopens(t *testing.T, s Store, reopen func() Store) {
	mustInsert(t, s, contractRecord(1), contractRecord(2))
	again := reopen()
	wantStored(t, again, contractRecord(1))
	wantStored(t, again, contractRecord(2))
	if err := again.Insert(t.Context(), contractRecord(1)); !errors.Is(err, ErrDuplicate) {
		t.Errorf("got %v, want ErrDuplicate", err)
	}
}

func storeInsertsOnce(t *testing.T, s Store, _ func() Store) {
	const callers = 8
	won := make(chan int, callers)
	var group sync.WaitGroup
	for n := range callers {
		group.Go(func() {
			r := contractRecord(n)
			r.Digest = contractRecord(99).Digest
			switch err := s.Insert(t.Context(), r); {
			case err == nil:
				won <- n
			case !errors.Is(err, ErrDuplicate):
				t.Errorf("got %v, want ErrDuplicate", err)
			}
		})
	}
	group.Wait()
	if len(won) != 1 {
		t.Fatalf("%d inserts of one digest succeeded, want 1", len(won))
	}
	r := contractRecord(<-won)
	r.Digest = contractRecord(99).Digest
	wantStored(t, s, r)
}

func storeUpdatesAtomically(t *testing.T, s Store, _ func() Store) {
	mustInsert(t, s, contractRecord(1))
	const callers = 8
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			_, err := s.Update(t.Context(), contractRecord(1).Key.ID, func(k Key) Key { k.RequestsPerMinute++; return k })
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	want := contractRecord(1)
	want.Key.RequestsPerMinute = callers
	wantStored(t, s, want)
}

func storeHonoursContext(t *testing.T, s Store, _ func() Store) {
	mustInsert(t, s, contractRecord(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Insert(ctx, contractRecord(2)); !errors.Is(err, context.Canceled) {
		t.Errorf("Insert: got %v, want context.Canceled", err)
	}
	if _, err := s.Update(ctx, contractRecord(1).Key.ID, revokedAt(time.Now())); !errors.Is(err, context.Canceled) {
		t.Errorf("Update: got %v, want context.Canceled", err)
	}
	wantStored(t, s, contractRecord(1))
	if _, err := s.ByID(t.Context(), contractRecord(2).Key.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a cancelled insert was stored: %v", err)
	}
}

func storeSharesSafely(t *testing.T, s Store, _ func() Store) {
	mustInsert(t, s, contractRecord(1))
	before, err := s.ByDigest(t.Context(), contractRecord(1).Digest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(t.Context(), before.Key.ID, revokedAt(time.Now())); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(contractRecord(1), before); diff != "" {
		t.Errorf("a key in use was modified (-want +got):\n%s", diff)
	}
}

func storeKeepsEveryField(t *testing.T, s Store, reopen func() Store) {
	r := contractRecord(1)
	r.Scheme = "hmac-sha256:00112233"
	r.Key.Name = `née "ci" <build> 東京`
	r.Key.Models = []string{"gemini-flash", "gpt-*"}
	r.Key.RequestsPerMinute = 1_000_000_000
	r.Key.CreatedAt = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	r.Key.ExpiresAt = time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	r.Key.RevokedAt = time.Date(2026, 1, 2, 3, 4, 5, 679_000_000, time.UTC)
	mustInsert(t, s, r)
	wantStored(t, s, r)
	wantStored(t, reopen(), r)
}
