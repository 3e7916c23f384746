package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestServeBadCertificate starts gateways whose certificate is of no use: that is
// a mistake in the configuration, though only serve opens the files.
func TestServeBadCertificate(t *testing.T) {
	folder := t.TempDir()
	half := filepath.Join(folder, "half.pem")
	if err := os.WriteFile(half, []byte("half a certif"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(cert string) {
		t.Helper()
		path := writeFile(t, "server: {listen: '127.0.0.1:0', tls: {cert: '"+cert+"', key: '"+cert+"'}}\n"+
			"admin: {listen: '127.0.0.1:0'}\ndata_dir: '"+t.TempDir()+"'\n")
		if got := tollgate(t, "config", "check", "-c", path); got.code != exitDone {
			t.Errorf("%s: config check opens it: exit code %d: %s", cert, got.code, got.stderr)
		}
		got := tollgate(t, "serve", "-c", path)
		if got.code != exitUsage || !strings.Contains(got.stderr, "tollgate: server.tls.cert: ") {
			t.Errorf("%s: exit code %d, want 2: %s", cert, got.code, got.stderr)
		}
	}
	f(filepath.Join(folder, "missing.pem"))
	f(half)
}
