package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// noteSources looks at every source file of the module. `go test` keeps results
// until a file that the test itself has looked at changes, and it cannot know
// what another process was built from.
func noteSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != ".." && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case !entry.Type().IsRegular(), strings.HasSuffix(path, "_test.go"):
			return nil
		}
		switch filepath.Ext(path) {
		case ".go", ".yaml", ".json", ".mod":
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
