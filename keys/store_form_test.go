package keys

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

// firstForm is contractRecord(1) as the first release wrote it, without a version.
const firstForm = `{"v":1,"id":"key_000000000001","digest":"9jpx0l-V-DijjztFjCR4vu_-j4tVoIGZJgtnlCPLr6M","scheme":"sha256",` +
	`"last4":"wxyz","tenant":"acme","name":"ci","created_at":"2026-01-01T00:00:01Z"}`

// wantUpgrade wants a record in the first form read as it is, and written in the second by its next change.
func wantUpgrade(t *testing.T, s Records, stored func() string) {
	t.Helper()
	wantStored(t, s, contractRecord(1))
	if r, err := s.ByID(t.Context(), contractRecord(1).Key.ID); err != nil || r.Key.Version != 0 {
		t.Errorf("got version %d, %v, want 0: older than all", r.Key.Version, err)
	}
	if all, err := s.List(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("List: got %d keys, %v", len(all), err)
	}
	if _, err := s.Insert(t.Context(), created(contractRecord(1))); !errors.Is(err, ErrDuplicate) {
		t.Errorf("Insert: got %v, want ErrDuplicate", err)
	}
	if got := stored(); got != firstForm {
		t.Errorf("without a change it became %s", got)
	}
	want := contractRecord(1)
	want.Key.Concurrent = 3
	want.Secrets = []StoredSecret{contractSecret(2), contractSecret(1)}
	got := mustUpdate(t, s, 1, func(r *Record) { r.Key.Concurrent, r.Secrets = 3, want.Secrets })
	wantStored(t, s, want)
	if got.Key.Version == 0 || !strings.Contains(stored(), ` {"v":2,"id":"key_000000000001","secrets":[`) {
		t.Errorf("after a change: version %d, stored as %s", got.Key.Version, stored())
	}
	mustUpdate(t, s, 1, deleted(time.Now()))
	wantNoDigest(t, s, want.Secrets...)
}

func TestFirstFormInRedis(t *testing.T) {
	mini, s := miniRedis(t)
	mini.HSet(redisRecords, "key_000000000001", firstForm)
	mini.HSet(redisDigests, contractSecret(1).Digest.text(), "key_000000000001")
	wantChanges(t, s, 1)
	wantUpgrade(t, s, func() string { return mini.HGet(redisRecords, "key_000000000001") })
	wantChanges(t, s, 1, "-key_000000000001 ci")
}

func TestFirstFormInBolt(t *testing.T) {
	db := openBolt(t, t.TempDir())
	putBolt(t, db, boltKeys, []byte("key_000000000001"), firstForm)
	wantUpgrade(t, newBoltStore(t, db), func() (value string) {
		if err := db.View(func(tx *bolt.Tx) error {
			value = string(tx.Bucket([]byte(boltKeys)).Get([]byte("key_000000000001")))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return value
	})
}

func putBolt(t *testing.T, db *bolt.DB, bucket string, name []byte, value string) {
	t.Helper()
	err := db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(bucket))
		if err != nil {
			return err
		}
		return b.Put(name, []byte(value))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tomorrow is a version that a clock gave which was ahead, and was put right since.
func tomorrow() uint64 { return uint64(time.Now().Add(24 * time.Hour).UnixMicro()) }

// wantOnwards wants versions that go on from what is there, by small steps.
func wantOnwards(t *testing.T, s Records, last uint64) {
	t.Helper()
	r, err := s.Insert(t.Context(), created(contractRecord(1)))
	if err != nil || r.Key.Version <= last || r.Key.Version > last+1000 {
		t.Errorf("Insert: got version %d, %v, want one that follows %d", r.Key.Version, err, last)
	}
	tenant, err := s.UpdateTenant(t.Context(), "acme", setTenant(Limits{Burst: 1}))
	if err != nil || tenant.Version <= r.Key.Version || tenant.Version > r.Key.Version+1000 {
		t.Errorf("UpdateTenant: got version %d, %v, want one that follows %d", tenant.Version, err, r.Key.Version)
	}
	wantAudit(t, s, "tenant.set acme", "key.create key_000000000001")
}

func TestVersionsGrowWhereTheClockGoesBack(t *testing.T) {
	mini, s := miniRedis(t)
	last := tomorrow()
	if err := mini.Set(redisVersion, string(framed(last, nil)[:16])); err != nil {
		t.Fatal(err)
	}
	wantOnwards(t, s, last)
	wantChanges(t, s, 1, "key_000000000001 ci", "acme 0")

	f := func(bucket string, name []byte, value string) {
		t.Helper()
		dir := t.TempDir()
		db := openBolt(t, dir)
		putBolt(t, db, bucket, name, value)
		s := newBoltStore(t, db)
		if bucket == boltAudit { // its line is of a change whose tenant is gone
			err := db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte(boltAudit)).Delete(name) })
			if err != nil {
				t.Fatal(err)
			}
		}
		wantOnwards(t, s, last)
	}
	f(boltKeys, []byte("key_000000000009"), string(framed(last, []byte(strings.ReplaceAll(
		strings.Replace(firstForm, "9jpx0l", "AAAAAA", 1), "key_000000000001", "key_000000000009")))))
	f(boltTenants, []byte("beta"), string(framed(last, []byte(`{"v":2,"name":"beta","updated_at":"2026-01-01T00:00:01Z"}`))))
	f(boltAudit, binary.BigEndian.AppendUint64(nil, last), "")
}

// The embedded store keeps the last lines of the audit, and drops older ones, a few at a time.
func TestBoltStoreTrimsItsAudit(t *testing.T) {
	db := openBolt(t, t.TempDir())
	db.NoSync = true
	s := newBoltStore(t, db)
	s.auditLines = 300
	for n := range 2 * s.auditLines {
		mustInsert(t, s, contractRecord(n))
		entries, err := s.Audit(t.Context(), 0, 1000)
		if most := min(n+1, s.auditLines+8); err != nil || len(entries) > most || len(entries) < min(n+1, s.auditLines) {
			t.Fatalf("after %d changes: %d lines, %v", n+1, len(entries), err)
		}
		if want := contractRecord(n).Key.ID; entries[0].KeyID != want {
			t.Fatalf("the latest line is about %s, want %s", entries[0].KeyID, want)
		}
	}
}

// A tenant that a newer binary wrote is named and never overwritten; the others are listed.
func TestNewerTenantInRedis(t *testing.T) {
	mini, s := miniRedis(t)
	mustTenant(t, s, "acme", setTenant(Limits{Burst: 1}))
	mini.HSet(redisTenants, "beta", `1767225601000000 {"v":4,"name":"beta"}`)
	const want = `key store unavailable: unreadable key record: tenant "beta": record version 4: this binary reads 1 to 3; run the newer one that wrote it`
	all, list := s.Tenants(t.Context())
	_, show := s.Tenant(t.Context(), "beta")
	_, set := s.UpdateTenant(t.Context(), "beta", setTenant(Limits{Burst: 2}))
	for i, err := range []error{list, show, set} {
		if !errors.Is(err, ErrUnreadable) || err.Error() != want {
			t.Errorf("call %d: got %v\nwant %s", i, err, want)
		}
	}
	if len(all) != 1 || all[0].Name != "acme" {
		t.Errorf("Tenants: got %+v", all)
	}
	if got := mini.HGet(redisTenants, "beta"); got != `1767225601000000 {"v":4,"name":"beta"}` {
		t.Errorf("it became %s", got)
	}
}

func FuzzStored(f *testing.F) {
	full, err := encode(fullRecord())
	if err != nil {
		f.Fatal(err)
	}
	tenant, err := encodeTenant(Tenant{Name: "acme", Limits: Limits{Burst: 1}, Budget: Budget{NanoUSD: 1, Per: PerDay}})
	if err != nil {
		f.Fatal(err)
	}
	entry, err := encodeEntry(Entry{At: time.Unix(1, 2), By: "alice", Action: ActionUpdate, Changes: []FieldChange{{Field: "name", From: "a", To: "b"}}})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"", " ", "{}", "1", "1 ", "1 {}", "-1 {}", firstForm, string(framed(7, full)), string(framed(1<<64-1, tenant)), string(framed(1, entry)),
		strings.Replace(string(full), "203.0.113.0/24", "", 1), strings.Replace(string(full), "05.68Z", "05.68+23:59", 1),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if record, err := readRecord("key_000000000001", value); err == nil {
			document, err := encode(record)
			sameAgain(t, record, framed(record.Key.Version, document), err, func(b []byte) (Record, error) { return readRecord("key_000000000001", b) })
		}
		if tenant, err := readTenant("acme", value); err == nil {
			document, err := encodeTenant(tenant)
			sameAgain(t, tenant, framed(tenant.Version, document), err, func(b []byte) (Tenant, error) { return readTenant("acme", b) })
		}
		if entry, err := readEntry(value); err == nil {
			document, err := encodeEntry(entry)
			sameAgain(t, entry, framed(entry.Version, document), err, readEntry)
		}
	})
}

// sameAgain wants what was read, and written again, to be read as the same.
func sameAgain[V any](t *testing.T, first V, written []byte, err error, read func([]byte) (V, error)) {
	t.Helper()
	if err != nil {
		t.Fatalf("what was read cannot be written: %v", err)
	}
	second, err := read(written)
	if err != nil {
		t.Fatalf("what was written cannot be read: %v\n%s", err, written)
	}
	if diff := cmp.Diff(first, second, likeFields()); diff != "" {
		t.Errorf("written as %s, it reads as another (-first +second):\n%s", written, diff)
	}
}
