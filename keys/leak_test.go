package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tollgate/store"
	"tollgate/telemetry"
)

// Neither the file nor anything printable may show a secret or the pepper, in plain or in a common disguise.
func TestNoSecretLeaks(t *testing.T) {
	for _, pepper := range []telemetry.Secret{"", testPepper} {
		dir := t.TempDir()
		db := openBolt(t, dir)
		d, _ := newDirectory(t, newBoltStore(t, db), pepper)
		key, secret, err := d.Create(t.Context(), Spec{Tenant: "acme", Name: "ci"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Revoke(t.Context(), key.ID); err != nil {
			t.Fatal(err)
		}
		var shown bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			fmt.Fprintf(&shown, verb+verb+verb, key, secret, Config{Pepper: pepper})
		}
		for _, presented := range []string{secret.Reveal(), sample, secret.Reveal() + "x", sample[:40] + "?"} {
			_, err := d.Authenticate(t.Context(), []byte(presented))
			fmt.Fprintln(&shown, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		stored, err := os.ReadFile(filepath.Join(dir, store.FileName))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(stored, []byte(key.ID)) {
			t.Fatal("the search looks at the wrong file")
		}
		canaries := []string{secret.Reveal(), sample}
		if pepper != "" {
			canaries = append(canaries, pepper.Reveal())
		}
		for _, canary := range canaries {
			wantNoTrace(t, "the store", stored, canary)
			wantNoTrace(t, "printed values", shown.Bytes(), canary)
		}
	}
}

// wantNoTrace looks for the canary's middle, in plain, hex and the three alignments of base64.
func wantNoTrace(t *testing.T, where string, text []byte, canary string) {
	t.Helper()
	middle := canary[6 : len(canary)-6]
	disguises := []string{middle, strings.ToUpper(middle), hex.EncodeToString([]byte(middle))}
	for i := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(middle[i : len(middle)-len(middle[i:])%3]))
		disguises = append(disguises, encoded)
	}
	for _, d := range disguises {
		if bytes.Contains(text, []byte(d)) {
			t.Errorf("%s show the secret as %q", where, d)
		}
	}
}
