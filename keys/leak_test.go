package keys

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tollgate/store"
	"tollgate/store/redistest"
	"tollgate/telemetry"
)

// canaries are the secrets of a number of keys in every stage of life, all of them once presented.
type canaries struct {
	secrets []string
	ids     []string
	audit   string // all that an operator is told of the changes
}

// sing makes keys with minted and with imported secrets, rotates them, ends some, and has each secret looked up.
func sing(t *testing.T, d *Directory) canaries {
	t.Helper()
	var c canaries
	alice, ctx := d.By("alice"), t.Context()
	foreign := func() (string, ExistingSecret) {
		secret := NewSecret().Reveal()
		secret = "sk-" + secret[3:]
		return secret, ExistingSecret{SHA256: sha256.Sum256([]byte(secret)), Last4: secret[len(secret)-4:]}
	}
	must := func(key *Key, secret string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		c.secrets, c.ids = append(c.secrets, secret), append(c.ids, key.ID)
		return key.ID
	}
	spec := Spec{Tenant: "acme", Name: "ci", Models: []string{"gpt-*"}}
	key, minted, err := alice.Create(ctx, spec)
	kept := must(key, minted.Reveal(), err)
	secret, existing := foreign()
	key, _, err = alice.Import(ctx, spec, existing)
	imported := must(key, secret, err)
	key, _, err = alice.Import(ctx, spec, existing)
	must(key, secret, err)
	key, minted, err = alice.Rotate(ctx, imported, time.Hour)
	must(key, minted.Reveal(), err)
	key, minted, err = alice.Rotate(ctx, kept, 0)
	must(key, minted.Reveal(), err)
	secret, existing = foreign()
	key, err = alice.RotateTo(ctx, kept, time.Hour, existing)
	must(key, secret, err)
	key, minted, err = alice.Create(ctx, spec)
	gone := must(key, minted.Reveal(), err)
	for _, presented := range append(c.secrets, sample) {
		_, _ = d.Authenticate(ctx, []byte(presented), netip.Addr{})
	}
	_, update := alice.Update(ctx, kept, func(s *Spec) { s.Name = "changed" })
	_, revoke := alice.Revoke(ctx, imported, AtOnce)
	_, remove := alice.Delete(ctx, gone)
	_, tenant := alice.SetTenant(ctx, "acme", func(s *TenantSpec) { s.Concurrent = 3 })
	entries, _, audit := d.Audit(ctx, AuditQuery{})
	if err := errors.Join(update, revoke, remove, tenant, audit); err != nil {
		t.Fatal(err)
	}
	c.audit = fmt.Sprintf("%+v", entries)
	if len(entries) < 10 || !strings.Contains(c.audit, "last4") {
		t.Fatalf("the audit has %d lines: %s", len(entries), c.audit)
	}
	return c
}

// wantSilence wants no trace of the canaries, nor of the pepper, nor, where that must keep thieves from searching, of their hashes.
func (c canaries) wantSilence(t *testing.T, where string, text []byte, pepper telemetry.Secret) {
	t.Helper()
	hidden := append([]string{sample}, c.secrets...)
	if pepper != "" {
		for _, secret := range hidden {
			sum := sha256.Sum256([]byte(secret))
			hidden = append(hidden, string(sum[:]))
		}
		hidden = append(hidden, pepper.Reveal())
	}
	for _, canary := range hidden {
		wantNoTrace(t, where, text, canary)
	}
}

// wantNamed makes sure that the search looks at the right thing.
func (c canaries) wantNamed(t *testing.T, text []byte) {
	t.Helper()
	for _, id := range c.ids {
		if !bytes.Contains(text, []byte(id)) {
			t.Fatal("the search looks at the wrong store")
		}
	}
}

// Neither the file nor the audit nor anything printable may show a secret or the pepper, in plain or in a common disguise.
func TestNoSecretLeaks(t *testing.T) {
	for _, pepper := range []telemetry.Secret{"", testPepper} {
		dir := t.TempDir()
		db := openBolt(t, dir)
		d := New(newBoltStore(t, db), Config{Pepper: pepper})
		c := sing(t, d)
		key, secret, err := d.By("alice").Create(t.Context(), Spec{Tenant: "acme", Name: "ci"})
		if err != nil {
			t.Fatal(err)
		}
		c.secrets = append(c.secrets, secret.Reveal())
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
		c.wantNamed(t, stored)
		c.wantSilence(t, "the store", stored, pepper)
		c.wantSilence(t, "the audit", []byte(c.audit), pepper)
		c.wantSilence(t, "printed values", shown.Bytes(), pepper)
	}
}

// Nor may a dump of a shared store, or what a broken one is reported with.
func TestNoSecretLeaksIntoRedis(t *testing.T) {
	for _, pepper := range []telemetry.Secret{"", testPepper} {
		server := redistest.Start(t)
		config := DefaultConfig()
		config.Pepper = pepper
		d := New(cached(t, NewRedisStore(openRedis(t, server)), config), config)
		c := sing(t, d)
		stored := server.Everything(t)
		c.wantNamed(t, []byte(stored))
		c.wantSilence(t, "the store", []byte(stored), pepper)
		c.wantSilence(t, "the audit", []byte(c.audit), pepper)
		server.Kill()
		forgetful := New(cached(t, NewRedisStore(openRedis(t, server)), config), config)
		for _, secret := range c.secrets {
			_, err := forgetful.Authenticate(t.Context(), []byte(secret), netip.Addr{})
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
			c.wantSilence(t, "errors", fmt.Append(nil, err), pepper)
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
