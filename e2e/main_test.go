package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds every single wait of a test; it is used up only when something hangs.
const patience = time.Minute

// proving reports whether the tests may take their time: with TOLLGATE_PROVE=1
// those that last as long as they are told to last longer.
func proving() bool { return os.Getenv("TOLLGATE_PROVE") == "1" }

// binary is the gateway under test. TestMain builds it before any test runs.
var binary string

func TestMain(m *testing.M) { goleak.VerifyTestMain(suite{m}) }

// suite is a run of the tests with the binary they need.
type suite struct{ tests *testing.M }

func (s suite) Run() int {
	folder, err := os.MkdirTemp("", "tollgate-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	if binary, err = build(folder, "tollgate", "-race"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return s.tests.Run()
}

// build compiles cmd/tollgate, with the race detector for most tests: a race ends
// the process with an exit code of its own, which no test accepts.
func build(folder, name string, flags ...string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // nothing may be in the build cache
	defer cancel()
	path := filepath.Join(folder, name)
	command := exec.CommandContext(ctx, "go", append(append([]string{"build"}, flags...), "-o", path, "./cmd/tollgate")...)
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// moduleRoot is the folder of go.mod, at or above the working directory.
func moduleRoot() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errors.New("no go.mod at or above the working directory")
		}
		folder = parent
	}
}

// noteSources looks at every source file of the module, once. `go test` keeps
// results until a file that the test itself has looked at changes, and it
// cannot know what another process was built from.
var noteSources = sync.OnceValue(func() error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), "."):
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
})
