package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tollgate/store"
	"tollgate/store/redistest"
	"tollgate/telemetry"
)

// Neither the file nor anything printable may show a secret or the pepper, in plain or in a common disguise.
func TestNoSecretLeaks(t *testing.T) {
	for _, pepper := range []telemetry.Secret{"", testPepper} {
		dir := t.TempDir()
		db := openBolt(t, dir)
		d, _ := newDirectory(t, newBoltStore(t, db), pepper)
		key, secret, err := d.By("alice").Create(t.Context(), Spec{Tenant: "acme", Name: "ci"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.By("alice").Revoke(t.Context(), key.ID, Soon); err != nil {
			t.Fatal(err)
		}
		var shown bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			fmt.Fprintf(&shown, verb+verb+verb, key, secret, Config{Pepper: pepper})
		}
		for _, presented := range []string{secret.Reveal(), sample, secret.Reveal() + "x", sample[:40] + "?"} {
			_, err := d.Authenticate(t.Context(), []byte(presented), netip.Addr{})
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

// Nor may a dump of a shared store, or what a broken one is reported with.
func TestNoSecretLeaksIntoRedis(t *testing.T) {
	for _, pepper := range []telemetry.Secret{"", testPepper} {
		server := redistest.Start(t)
		c := DefaultConfig()
		c.Pepper = pepper
		s := cached(t, NewRedisStore(openRedis(t, server)), c)
		d := New(s, c)
		var canaries, ids []string
		for range 3 {
			key, secret := create(t, d, Spec{Tenant: "acme", Name: "ci", Models: []string{"gpt-*"}})
			wantAdmitted(t, d, secret, key)
			canaries, ids = append(canaries, string(secret)), append(ids, key.ID)
		}
		if _, err := d.By("alice").Revoke(t.Context(), ids[0], Soon); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, d, []byte(canaries[0]), ErrRevoked)
		wantRefused(t, d, []byte(sample), ErrUnknown)
		stored := server.Everything(t)
		for _, id := range ids {
			if !strings.Contains(stored, id) {
				t.Fatal("the search looks at the wrong server")
			}
		}
		server.Kill()
		forgetful := New(cached(t, NewRedisStore(openRedis(t, server)), c), c)
		_, failure := forgetful.Authenticate(t.Context(), []byte(canaries[1]), netip.Addr{})
		if pepper != "" {
			canaries = append(canaries, pepper.Reveal())
		}
		for _, canary := range append(canaries, sample) {
			wantNoTrace(t, "the store", []byte(stored), canary)
			wantNoTrace(t, "errors", []byte(failure.Error()), canary)
		}
	}
}

// wantNoTrace looks for the canary's middle, in plain, hex, percent signs and the three alignments of both base64 alphabets.
func wantNoTrace(t *testing.T, where string, text []byte, canary string) {
	t.Helper()
	middle := canary[6 : len(canary)-6]
	inHex := hex.EncodeToString([]byte(middle))
	var inPercent strings.Builder
	for _, c := range []byte(middle) {
		fmt.Fprintf(&inPercent, "%%%02x", c)
	}
	disguises := []string{
		middle, strings.ToUpper(middle), url.QueryEscape(middle),
		inHex, strings.ToUpper(inHex), inPercent.String(), strings.ToUpper(inPercent.String()),
	}
	for i := range 3 {
		aligned := []byte(middle[i : len(middle)-len(middle[i:])%3])
		disguises = append(disguises, base64.RawStdEncoding.EncodeToString(aligned), base64.RawURLEncoding.EncodeToString(aligned))
	}
	for _, d := range disguises {
		if bytes.Contains(text, []byte(d)) {
			t.Errorf("%s show the secret as %q", where, d)
		}
	}
}
