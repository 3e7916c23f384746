package usage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// openFile opens the ledger in a file; both are closed when the test ends.
func openFile(t testing.TB, path string) (*Ledger, *bolt.DB) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := OpenLedger(db)
	if err != nil {
		db.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		db.Close()
	})
	return l, db
}

func TestEmbeddedLedgerKeepsTheContract(t *testing.T) {
	testContract(t, func(t *testing.T) fleet {
		path := filepath.Join(t.TempDir(), "ledger.db")
		var last *bolt.DB
		return func(t *testing.T) *Ledger {
			if last != nil {
				last.Close()
			}
			l, db := openFile(t, path)
			last = db
			return l
		}
	})
}

// Regression titles: "the ledger row is written from a bare goroutine after the
// answer" and "in-memory batch swapped out before the write commits": what was
// acknowledged is in the file, with its totals, even if nobody ever closes it.
func TestAcknowledgedRecordIsInTheFile(t *testing.T) {
	folder := t.TempDir()
	l, _ := openFile(t, filepath.Join(folder, "ledger.db"))
	for n := range 5 {
		mustRecord(t, l, settle(n))
		file, err := os.ReadFile(filepath.Join(folder, "ledger.db"))
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(t.TempDir(), "copy.db")
		if err := os.WriteFile(copied, file, 0o600); err != nil {
			t.Fatal(err)
		}
		after, _ := openFile(t, copied)
		same(t, []Record{settle(n)}, mustFind(t, after, settle(n).RequestID))
		if rows := mustSum(t, after, Query{}); rows[0].Requests != int64(n)+1 {
			t.Fatalf("%d requests, want %d", rows[0].Requests, n+1)
		}
	}
}

func TestOpenLedgerRefusesWhatItCannotKeepSafe(t *testing.T) {
	f := func(prepare func(*bolt.DB) error, want string) {
		t.Helper()
		db, err := bolt.Open(filepath.Join(t.TempDir(), "ledger.db"), 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := prepare(db); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenLedger(db); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f(func(db *bolt.DB) error { db.NoSync = true; return nil }, "open it without NoSync")
	f(func(db *bolt.DB) error {
		return db.Update(func(tx *bolt.Tx) error {
			root, err := tx.CreateBucket([]byte(ledgerBucket))
			if err != nil {
				return err
			}
			return root.Put([]byte(formatKey), []byte("2"))
		})
	}, `format "2" is not known, only "1"`)
	f(func(db *bolt.DB) error { return db.Close() }, "database not open")
}

func TestDamagedFileIsAnErrorAndNotAZero(t *testing.T) {
	l, db := openFile(t, filepath.Join(t.TempDir(), "ledger.db"))
	mustRecord(t, l, settle(1))
	damage := func(bucket string) {
		t.Helper()
		err := db.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket([]byte(ledgerBucket)).Bucket([]byte(bucket))
			key, _ := b.Cursor().First()
			return b.Put(append([]byte(nil), key...), []byte("{"))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	damage(recordsBucket)
	if _, err := l.ByRequest(t.Context(), settle(1).RequestID); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("by request: %v", err)
	}
	damage(totalsBucket)
	if _, err := l.Sum(t.Context(), Query{}); err == nil || !strings.Contains(err.Error(), "are damaged") {
		t.Errorf("sum: %v", err)
	}
	if err := add(t, l, settle(2)); err == nil || !strings.Contains(err.Error(), "are damaged") {
		t.Errorf("record: %v", err)
	}
	if got := mustFind(t, l, settle(2).RequestID); got != nil {
		t.Errorf("a record without its totals was kept")
	}
}

// transactions is the number of write transactions that db has seen.
func transactions(t testing.TB, db *bolt.DB) int {
	t.Helper()
	var id int
	if err := db.View(func(tx *bolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}
