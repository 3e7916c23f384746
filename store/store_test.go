package store

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

func mustOpen(t *testing.T, dir string) *bolt.DB {
	t.Helper()
	db, err := OpenBolt(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s: mode %o, want %o", path, got, want)
	}
}

func TestOpenBoltMakesAPrivateStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "data")
	db := mustOpen(t, dir)
	wantMode(t, dir, 0o700)
	wantMode(t, filepath.Join(dir, "tollgate.db"), 0o600)
	err := db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		if err != nil {
			return err
		}
		return b.Put([]byte("k"), []byte("v"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_ = mustOpen(t, dir).View(func(tx *bolt.Tx) error {
		if got := string(tx.Bucket([]byte("b")).Get([]byte("k"))); got != "v" {
			t.Errorf("after reopening: got %q, want \"v\"", got)
		}
		return nil
	})
}

// A backup restored by hand is often readable by all; a mounted volume's folder belongs to its operator.
func TestOpenBoltNarrowsTheFileOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	if err := mustOpen(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(path, 0o644), os.Chmod(dir, 0o770)); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir)
	wantMode(t, path, 0o600)
	wantMode(t, dir, 0o770)
}

func TestOpenBoltRefuses(t *testing.T) {
	f := func(dir string, sentinel error, want string) {
		t.Helper()
		db, err := OpenBolt(dir)
		if err == nil {
			_ = db.Close()
			t.Fatalf("OpenBolt(%q): no error", dir)
		}
		if sentinel != nil && !errors.Is(err, sentinel) {
			t.Errorf("got %v, want %v", err, sentinel)
		}
		if got := strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""); !strings.HasPrefix(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	write := func(content string) string {
		t.Helper()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, FileName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	f("", nil, `data_dir: must name a folder, got ""`)
	f(filepath.Join(write("x"), FileName, "sub"), nil, "data_dir: cannot make the folder: mkdir ")
	f(write("this is not a database"), nil, "data_dir: tollgate.db is damaged or not a Tollgate store: ")
	f(write(strings.Repeat("not a database ", 10_000)), nil, "data_dir: tollgate.db is damaged or not a Tollgate store: ")
}

// The lock is one between processes, so the second process is a real one: this test binary, run again.
func TestSecondProcessIsRefused(t *testing.T) {
	if dir := os.Getenv("TOLLGATE_TEST_SECOND_PROCESS"); dir != "" {
		began := time.Now()
		_, err := OpenBolt(dir)
		if !errors.Is(err, ErrLocked) || time.Since(began) > patience {
			t.Fatalf("got %v after %s", err, time.Since(began))
		}
		const want = "tollgate.db: another process holds it; stop that process, or give this one a data_dir of its own"
		if !strings.HasSuffix(err.Error(), want) {
			t.Fatalf("got %v", err)
		}
		return
	}
	dir := t.TempDir()
	db := mustOpen(t, dir)
	again := func() ([]byte, error) {
		second := exec.Command(os.Args[0], "-test.run=^TestSecondProcessIsRefused$")
		second.Env = append(os.Environ(), "TOLLGATE_TEST_SECOND_PROCESS="+dir)
		return second.CombinedOutput()
	}
	if out, err := again(); err != nil {
		t.Errorf("while the first holds the store: %v\n%s", err, out)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := again(); err == nil {
		t.Error("the store stayed locked after it was closed")
	}
}
