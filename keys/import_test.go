package keys

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"tollgate/telemetry"

	"github.com/google/go-cmp/cmp"
)

func TestImport(t *testing.T) {
	for _, pepper := range []telemetry.Secret{"", testPepper} {
		d, clock := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), pepper)
		spec := Spec{Tenant: "acme", Name: "ci", ExpiresAt: clock.at.Add(time.Hour)}
		for _, text := range []string{foreignSecret(1), NewSecret().Reveal(), strings.Repeat("x", 16), strings.Repeat("~", 256)} {
			secret := existing(text)
			key, issued, err := d.By("test").Import(t.Context(), spec, secret)
			if err != nil || !issued {
				t.Fatal(err)
			}
			if key.Last4 != text[len(text)-4:] || len(key.ID) != 16 {
				t.Errorf("got %+v", key)
			}
			wantAdmitted(t, d, []byte(text), key)

			// The same again is the same key, in any form of the same Spec, and after its end too.
			same := spec
			same.ExpiresAt, same.Models = spec.ExpiresAt.In(time.FixedZone("", 3600)), []string{}
			for _, at := range []time.Time{clock.at, clock.at.Add(2 * time.Hour)} {
				d.now = func() time.Time { return at }
				again, issued, err := d.By("another").Import(t.Context(), same, secret)
				if diff := cmp.Diff(key, again); err != nil || diff != "" || issued {
					t.Errorf("again: %v (-want +got):\n%s", err, diff)
				}
			}
			d.now = clock.now
		}
		if lines, _, err := d.Audit(t.Context(), AuditQuery{}); err != nil || len(lines) != 4 {
			t.Errorf("%d lines in the audit, %v; want 4", len(lines), err)
		}
	}
}

func TestImportIsRefused(t *testing.T) {
	d, clock := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	good := Spec{Tenant: "acme", Name: "ci"}
	f := func(spec Spec, secret ExistingSecret, want ...string) {
		t.Helper()
		if key, issued, err := d.By("test").Import(t.Context(), spec, secret); key != nil || issued || fmt.Sprint(err) != strings.Join(want, "\n") {
			t.Errorf("got  %v\nwant %s", err, strings.Join(want, "\n"))
		}
	}
	const (
		nothing = "secret_sha256: must be the SHA-256 of the secret, got that of nothing: was the variable empty?"
		long    = "last4: must be at most the last four characters of the secret, got "
		hidden  = "last4: must be visible ASCII, as the secret itself"
	)
	hash := Digest(sha256.Sum256([]byte(foreignSecret(1))))
	f(good, ExistingSecret{}, nothing)
	f(good, ExistingSecret{SHA256: sha256.Sum256(nil)}, nothing)
	f(good, ExistingSecret{SHA256: sha256.Sum256([]byte("\n"))}, nothing)
	f(good, ExistingSecret{SHA256: hash, Last4: foreignSecret(1)}, long+"26")
	f(good, ExistingSecret{SHA256: hash, Last4: "12345"}, long+"5")
	f(good, ExistingSecret{SHA256: hash, Last4: "a b"}, hidden)
	f(good, ExistingSecret{SHA256: hash, Last4: "\x7f"}, hidden)
	f(good, ExistingSecret{SHA256: hash, Last4: "123", Minted: true}, "minted: must come with secret_sha256 and last4, the last four characters of the secret")
	f(good, ExistingSecret{SHA256: hash, Last4: "é"}, hidden)
	f(Spec{Tenant: "acme", Limits: Limits{Concurrent: -1}}, ExistingSecret{Last4: "12345"},
		`name: must be 1 to 64 printable characters without a space at either end, got ""`,
		"concurrent: must be 0 (none of its own) to 1000000, got -1", nothing, long+"5")

	one, oneSecret := create(t, d, good)
	imported, _, err := d.By("test").Import(t.Context(), good, ExistingSecret{SHA256: hash})
	if err != nil {
		t.Fatal(err)
	}
	const duplicate = "key exists already: "
	other := Spec{Tenant: "acme", Name: "other"}
	f(good, existing(string(oneSecret)), duplicate+"another key has or had this secret: import one that is new")
	differs := func(spec Spec, secret ExistingSecret, in string) {
		t.Helper()
		f(spec, secret, duplicate+imported.ID+" has this secret, and differs in "+in+": update it, or repeat the import as it was")
	}
	differs(other, ExistingSecret{SHA256: hash}, "name")
	differs(good, existing(foreignSecret(1)), "last4")
	differs(Spec{Tenant: "globex", Name: "ci", ExpiresAt: clock.at.Add(time.Hour), Limits: Limits{Concurrent: 1}, Disabled: true},
		existing(foreignSecret(1)), "tenant, last4, concurrent, disabled, expires")
	wantIn(t, d, oneSecret, []byte(foreignSecret(1)))

	if _, _, err := d.By("test").Rotate(t.Context(), imported.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	f(good, existing(foreignSecret(1)), duplicate+imported.ID+" had this secret before it was rotated: import one that is new")
	rotate(t, d, one.ID, 0)
	f(good, existing(string(oneSecret)), duplicate+"another key has or had this secret: import one that is new")
	if _, err := d.By("test").Revoke(t.Context(), imported.ID, Soon); err != nil {
		t.Fatal(err)
	}
	f(good, existing(foreignSecret(1)), duplicate+imported.ID+" had this secret and is revoked for good: import one that is new")
	if _, err := d.By("test").Delete(t.Context(), imported.ID); err != nil {
		t.Fatal(err)
	}
	f(good, existing(foreignSecret(1)), duplicate+imported.ID+" had this secret and was deleted: import one that is new")
	if _, err := d.Authenticate(t.Context(), []byte(foreignSecret(1)), nobody); err == nil {
		t.Error("a deleted key was brought back")
	}
}

// Of several pipelines that import the same secret at the same time all get the same key.
func TestImportAtTheSameTime(t *testing.T) {
	d, _ := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	type result struct {
		key    *Key
		issued bool
		err    error
	}
	results := make(chan result)
	for range 8 {
		go func() {
			key, issued, err := d.By("test").Import(t.Context(), Spec{Tenant: "acme", Name: "ci"}, existing(foreignSecret(1)))
			results <- result{key, issued, err}
		}()
	}
	first := <-results
	issued := 0
	for i := range 8 {
		next := first
		if i > 0 {
			next = <-results
		}
		if next.issued {
			issued++
		}
		if first.err != nil || next.err != nil || next.key.ID != first.key.ID || next.key.Version != first.key.Version {
			t.Errorf("got %v and %v", first, next)
		}
	}
	if issued != 1 {
		t.Errorf("%d of them are told that they have issued it, want 1", issued)
	}
}

// With the store gone, an import fails as unavailable and is not taken for a duplicate.
func TestImportUnavailable(t *testing.T) {
	d, _ := newDirectory(t, brokenStore{err: ErrUnavailable}, "")
	if _, _, err := d.By("test").Import(t.Context(), Spec{Tenant: "acme", Name: "ci"}, existing(foreignSecret(1))); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrDuplicate) {
		t.Errorf("got %v", err)
	}
}

// A key whose secret its caller has just made is created, whoever made it.
func TestImportOfAMintedSecret(t *testing.T) {
	d, _ := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	secret := existing(NewSecret().Reveal())
	secret.Minted = true
	spec := Spec{Tenant: "acme", Name: "ci"}
	for i := range 2 {
		if _, issued, err := d.By("test").Import(t.Context(), spec, secret); err != nil || issued != (i == 0) {
			t.Errorf("issued=%t, %v", issued, err)
		}
	}
	lines, _, err := d.Audit(t.Context(), AuditQuery{})
	if err != nil || len(lines) != 1 || lines[0].Action != ActionCreate {
		t.Errorf("got %+v, %v", lines, err)
	}
}
