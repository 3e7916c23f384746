package keys

import (
	"errors"
	"path/filepath"
	"testing"

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
	if err := s.Insert(t.Context(), contractRecord(2)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Insert: got %v, want ErrUnavailable", err)
	}
	if _, err := s.Update(t.Context(), contractRecord(1).Key.ID, func(k Key) Key { return k }); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Update: got %v, want ErrUnavailable", err)
	}
	if _, err := s.ByID(t.Context(), contractRecord(2).Key.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a key that is not durable was handed out: %v", err)
	}
}

func TestNewBoltStoreRefusesWhatItCannotRead(t *testing.T) {
	f := func(id, raw, want string) {
		t.Helper()
		dir := t.TempDir()
		db := openBolt(t, dir)
		err := db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte(bucketName))
			if err != nil {
				return err
			}
			return b.Put([]byte(id), []byte(raw))
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = NewBoltStore(db)
		want = "cannot read the keys in " + filepath.Join(dir, store.FileName) + ": " + want
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	const digest = `"digest":"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"`
	f("key_1", `{`, `key "key_1": not a key record: unexpected end of JSON input`)
	f("key_1", `{}`, `key "key_1": record version 0: this binary reads 1 to 1; run the newer one that wrote it`)
	f("key_1", `{"v":2}`, `key "key_1": record version 2: this binary reads 1 to 1; run the newer one that wrote it`)
	f("key_1", `{"v":1,"id":"key_1","digest":"AAAA"}`, `key "key_1": not a key record: its digest is damaged`)
	f("key_1", `{"v":1,"id":"key_2",`+digest+`}`, `key "key_1": it is filed under another id`)
}

// The stored form is a promise to every later binary: this text must be readable for ever.
func TestStoredForm(t *testing.T) {
	const want = `{"v":1,"id":"key_000000000001","digest":"QoDdlhcimMXd_5_6EWLjQAvWRe6ZDrq2TnG9mQ7AHsM","scheme":"sha256",` +
		`"last4":"wxyz","tenant":"acme","name":"ci","models":["gpt-*"],"requests_per_minute":60,` +
		`"created_at":"2026-01-01T00:00:01Z","expires_at":"2027-01-01T00:00:00Z"}`
	r, err := decode([]byte(want))
	if err != nil {
		t.Fatal(err)
	}
	got, err := encode(r)
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}
