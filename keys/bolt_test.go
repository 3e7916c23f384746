package keys

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tollgate/store"

	bolt "go.etcd.io/bbolt"
)

func openBolt(t testing.TB, dir string) *bolt.DB {
	t.Helper()
	db, err := store.OpenBolt(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func newBoltStore(t testing.TB, db *bolt.DB) *BoltStore {
	t.Helper()
	s, err := NewBoltStore(db)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// With the file gone, what is known keeps working and what must be durable is refused.
func TestBoltStoreWithoutItsFile(t *testing.T) {
	db := openBolt(t, t.TempDir())
	s := newBoltStore(t, db)
	mustInsert(t, s, contractRecord(1))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	wantStored(t, s, contractRecord(1))
	if _, err := s.Insert(t.Context(), created(contractRecord(2))); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Insert: got %v, want ErrUnavailable", err)
	}
	if _, err := s.Update(t.Context(), contractRecord(1).Key.ID, changed(func(*Record) {})); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Update: got %v, want ErrUnavailable", err)
	}
	if _, err := s.ByID(t.Context(), contractRecord(2).Key.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a key that is not durable was handed out: %v", err)
	}
}

// What is deleted is remembered in order, so that no change walks all keys in search of the oldest, also in a file that was opened again.
func TestBoltStoreKnowsItsGravesInOrder(t *testing.T) {
	db := openBolt(t, t.TempDir())
	s := newBoltStore(t, db)
	mustInsert(t, s, contractRecord(1), contractRecord(2), contractRecord(3))
	mustUpdate(t, s, 3, deleted(time.Now().Add(-graveTime+time.Hour)))
	mustUpdate(t, s, 1, deleted(time.Now()))
	want := []string{contractRecord(3).Key.ID, contractRecord(1).Key.ID}
	for _, s := range []*BoltStore{s, newBoltStore(t, db)} {
		if !slices.Equal(s.buried, want) {
			t.Errorf("got %q, want %q", s.buried, want)
		}
	}
	mustUpdate(t, s, 3, deleted(time.Now().Add(-graveTime-time.Hour)))
	mustUpdate(t, s, 2, func(r *Record) { r.Key.Name = "any change" })
	if _, err := s.ByID(t.Context(), want[0]); !errors.Is(err, ErrNotFound) || !slices.Equal(s.buried, want[1:]) {
		t.Errorf("a week later: got %v and %q, want ErrNotFound and %q", err, s.buried, want[1:])
	}
}

func TestNewBoltStoreRefusesWhatItCannotRead(t *testing.T) {
	f := func(id, raw, want string) {
		t.Helper()
		dir := t.TempDir()
		db := openBolt(t, dir)
		err := db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte(boltKeys))
			if err != nil {
				return err
			}
			return b.Put([]byte(id), []byte(raw))
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = NewBoltStore(db)
		want = "cannot read the keys in " + filepath.Join(dir, store.FileName) + ": unreadable key record: " + want
		if !errors.Is(err, ErrUnreadable) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	const digest = `"digest":"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"`
	f("key_1", `{`, `key "key_1": not a key record: unexpected end of JSON input`)
	f("key_1", `{}`, `key "key_1": record version 0: this binary reads 1 to 3; run the newer one that wrote it`)
	f("key_1", `{"v":4}`, `key "key_1": record version 4: this binary reads 1 to 3; run the newer one that wrote it`)
	f("key_1", `{"v":1,"id":"key_1","digest":"AAAA"}`, `key "key_1": not a key record: its digest is damaged`)
	f("key_1", `{"v":1,"id":"key_2",`+digest+`}`, `key "key_1": it is filed under another id`)
}

// The stored form is a promise to every later binary: both texts must be readable for ever, and mean the same.
func TestStoredForm(t *testing.T) {
	const first = `{"v":1,"id":"key_000000000001","digest":"QoDdlhcimMXd_5_6EWLjQAvWRe6ZDrq2TnG9mQ7AHsM","scheme":"sha256",` +
		`"last4":"wxyz","tenant":"acme","name":"ci","models":["gpt-*"],"requests_per_minute":60,` +
		`"created_at":"2026-01-01T00:00:01Z","expires_at":"2027-01-01T00:00:00Z"}`
	const second = `{"v":2,"id":"key_000000000001","secrets":[{"digest":"QoDdlhcimMXd_5_6EWLjQAvWRe6ZDrq2TnG9mQ7AHsM","scheme":"sha256"}],` +
		`"last4":"wxyz","tenant":"acme","name":"ci","models":["gpt-*"],` +
		`"created_at":"2026-01-01T00:00:01Z","expires_at":"2027-01-01T00:00:00Z","requests_per_minute":60}`
	for _, stored := range []string{first, second, "1767225601000000 " + second} {
		r, err := readRecord("key_000000000001", []byte(stored))
		if err != nil {
			t.Fatal(err)
		}
		got, err := encode(r)
		if err != nil || string(got) != second {
			t.Errorf("got  %s, %v\nwant %s", got, err, second)
		}
	}
}

// So is that of a record with a value in every field, of a tenant and of a line of the audit.
func TestStoredFormOfEveryField(t *testing.T) {
	const record = `{"v":3,"id":"key_000000000001","secrets":[{"digest":"9jpx0l-V-DijjztFjCR4vu_-j4tVoIGZJgtnlCPLr6M","scheme":"hmac-sha256-2:00112233"},` +
		`{"digest":"asbJkum7VOaLJQsrzoTSYo1omJMROSlKqyJbg6E2rZ0","scheme":"sha256","until":"2026-01-02T03:04:05.683Z"},` +
		`{"digest":"TW1C63Xtn-pxF7Ma57WHVrSIH54Doz23wclEr33jRPU","scheme":"sha256","until":"2026-01-02T03:04:05.684Z"}],` +
		`"last4":"\"\\\u003c\u003e","tenant":"acme","name":"née \"ci\" \u003cbuild\u003e 東京","models":["gemini-flash","gpt-*"],` +
		`"cidrs":["203.0.113.0/24","2001:db8::/32"],"created_at":"2026-01-02T03:04:05.678Z","updated_at":"2026-01-02T03:04:05.679Z",` +
		`"rotated_at":"2026-01-02T03:04:05.68Z","previous_until":"2026-01-02T03:04:05.681Z","expires_at":"9999-12-31T23:59:59.999999999Z",` +
		`"revoked_at":"2026-01-02T03:04:05.682Z","severed":true,"disabled":true,"requests_per_minute":1000000000,"burst":7,` +
		`"tokens_per_minute":1000000000000,"concurrent":1000000,"shadow":true,"budget_nano_usd":9223372036854775807,"budget_per":"month"}`
	f := func(got []byte, err error, want string) {
		t.Helper()
		if err != nil || string(got) != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got, err := encode(fullRecord())
	f(got, err, record)
	got, err = encodeTenant(Tenant{Name: "acme", Limits: Limits{Concurrent: 3}, UpdatedAt: at})
	f(got, err, `{"v":2,"name":"acme","updated_at":"2026-01-02T03:04:05Z","concurrent":3}`)
	got, err = encodeTenant(Tenant{Name: "acme", Limits: Limits{Concurrent: 3, Shadow: true}, UpdatedAt: at})
	f(got, err, `{"v":3,"name":"acme","updated_at":"2026-01-02T03:04:05Z","concurrent":3,"shadow":true}`)
	got, err = encodeEntry(Entry{At: at, By: "alice", Action: ActionUpdate, KeyID: "key_1", Tenant: "acme", Changes: []FieldChange{{Field: "burst", To: "3"}}})
	f(got, err, `{"at":"2026-01-02T03:04:05Z","by":"alice","action":"key.update","key_id":"key_1","tenant":"acme","changes":[{"field":"burst","to":"3"}]}`)
}
