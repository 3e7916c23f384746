package keys

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func rotate(t testing.TB, d *Directory, id string, grace time.Duration) (*Key, []byte) {
	t.Helper()
	key, secret, err := d.By("test").Rotate(t.Context(), id, grace)
	if err != nil {
		t.Fatal(err)
	}
	return key, []byte(secret.Reveal())
}

func TestRotation(t *testing.T) {
	d, clock := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), testPepper)
	start := clock.at
	key, first := create(t, d, Spec{Tenant: "acme", Name: "ci", Limits: Limits{RequestsPerMinute: 60}})

	clock.at = start.Add(time.Second)
	rotated, second := rotate(t, d, key.ID, 24*time.Hour)
	want := *key
	want.Last4, want.Version = string(second[37:]), rotated.Version
	want.RotatedAt = time.Date(2026, 3, 1, 12, 0, 1, 123_000_000, time.UTC)
	want.UpdatedAt, want.PreviousUntil = want.RotatedAt, want.RotatedAt.Add(24*time.Hour)
	wantAdmitted(t, d, first, &want)
	wantAdmitted(t, d, second, &want)

	// A rotation with a longer grace does not prolong what ends, one with a shorter grace shortens it.
	clock.at = start.Add(2 * time.Second)
	_, third := rotate(t, d, key.ID, 48*time.Hour)
	clock.at = want.PreviousUntil.Add(-1)
	wantIn(t, d, first, second, third)
	clock.at = want.PreviousUntil
	wantRefused(t, d, first, ErrExpired)
	wantIn(t, d, second, third)
	last, fourth := rotate(t, d, key.ID, time.Minute)
	if got, want := last.PreviousUntil, clock.at.Truncate(time.Millisecond).Add(time.Minute); !got.Equal(want) {
		t.Errorf("the grace ends at %s, want %s", got, want)
	}
	clock.at = clock.at.Add(time.Minute)
	wantRefused(t, d, second, ErrExpired)
	wantRefused(t, d, third, ErrExpired)
	wantIn(t, d, fourth)

	// Without a grace the old secret ends at once.
	last, fifth := rotate(t, d, key.ID, 0)
	wantRefused(t, d, fourth, ErrExpired)
	wantIn(t, d, fifth)
	if !last.PreviousUntil.IsZero() {
		t.Errorf("without a grace a secret ends at %s", last.PreviousUntil)
	}
}

func wantIn(t testing.TB, d *Directory, secrets ...[]byte) {
	t.Helper()
	for i, secret := range secrets {
		if _, err := d.Authenticate(t.Context(), secret, nobody); err != nil {
			t.Errorf("secret %d: %v", i, err)
		}
	}
}

// A pipeline that rotates each second never comes to an end of it, and every secret works for its grace.
func TestRotationEverySecond(t *testing.T) {
	db := openBolt(t, t.TempDir())
	db.NoSync = true
	s := newBoltStore(t, db)
	d, clock := newDirectory(t, s, "")
	key, secret := create(t, d, Spec{Tenant: "acme", Name: "ci"})
	secrets := [][]byte{secret}
	for range 200 {
		clock.at = clock.at.Add(time.Second)
		_, secret = rotate(t, d, key.ID, 30*time.Second)
		secrets = append(secrets, secret)
		inGrace := secrets[max(0, len(secrets)-30):]
		wantIn(t, d, inGrace...)
		if ended := len(secrets) - 32; ended >= 0 {
			if _, err := d.Authenticate(t.Context(), secrets[ended], nobody); !errors.Is(err, ErrExpired) {
				t.Fatalf("after its grace: got %v", err)
			}
		}
		if record, err := s.ByID(t.Context(), key.ID); err != nil || len(record.Secrets) > 64 {
			t.Fatalf("%d secrets are stored, %v", len(record.Secrets), err)
		}
	}
	wantRefused(t, d, secrets[0], ErrUnknown)
}

func TestTooManySecretsInGrace(t *testing.T) {
	db := openBolt(t, t.TempDir())
	db.NoSync = true
	d, clock := newDirectory(t, newBoltStore(t, db), "")
	key, first := create(t, d, Spec{Tenant: "acme", Name: "ci"})
	for range 63 {
		key, _ = rotate(t, d, key.ID, time.Hour)
	}
	again, _, err := d.By("test").Rotate(t.Context(), key.ID, time.Hour)
	if again != nil || !errors.Is(err, ErrTooManySecrets) {
		t.Fatalf("got %v, %v; want ErrTooManySecrets", again, err)
	}
	const advice = "too many secrets of the key are in grace: rotate with a shorter grace, which ends them sooner, or wait until one has ended"
	if err.Error() != advice {
		t.Errorf("got %q", err)
	}
	wantAdmitted(t, d, first, key)
	clock.at = clock.at.Add(time.Minute)
	rotate(t, d, key.ID, 0)
	wantRefused(t, d, first, ErrUnknown)
	rotate(t, d, key.ID, time.Hour)
}

// What has ended more than a day ago is dropped at the next rotation.
func TestEndedSecretsAreForgotten(t *testing.T) {
	s := newBoltStore(t, openBolt(t, t.TempDir()))
	d, clock := newDirectory(t, s, "")
	key, first := create(t, d, Spec{Tenant: "acme", Name: "ci"})
	_, second := rotate(t, d, key.ID, time.Hour)
	clock.at = clock.at.Add(26*time.Hour - time.Millisecond)
	rotate(t, d, key.ID, time.Hour)
	wantRefused(t, d, first, ErrExpired)
	clock.at = clock.at.Add(time.Millisecond)
	_, last := rotate(t, d, key.ID, time.Hour)
	wantRefused(t, d, first, ErrUnknown)
	wantIn(t, d, second, last)
}

func TestRotationIsRefused(t *testing.T) {
	d, _ := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	key, secret := create(t, d, Spec{Tenant: "acme", Name: "ci"})
	f := func(grace time.Duration, want string) {
		t.Helper()
		if _, minted, err := d.By("test").Rotate(t.Context(), key.ID, grace); minted != "" || fmt.Sprint(err) != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	f(-1, "grace: must be 0s to 2160h, got -1ns")
	f(90*24*time.Hour+1, "grace: must be 0s to 2160h, got 2160h0m0.000000001s")
	_, err := d.By("test").RotateTo(t.Context(), key.ID, -1, ExistingSecret{Last4: "12345"})
	const all = "grace: must be 0s to 2160h, got -1ns\n" +
		"secret_sha256: must be the SHA-256 of the secret, got that of nothing: was the variable empty?\n" +
		"last4: must be at most the last four characters of the secret, got 5"
	if fmt.Sprint(err) != all {
		t.Errorf("got  %v\nwant %s", err, all)
	}
	if _, _, err := d.By("test").Rotate(t.Context(), "key_doesnotexist", 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	wantAdmitted(t, d, secret, key)
	if _, err := d.By("test").Revoke(t.Context(), key.ID, Soon); err != nil {
		t.Fatal(err)
	}
	f(0, "the key is revoked for good: create another")
	if _, err := d.By("test").Delete(t.Context(), key.ID); err != nil {
		t.Fatal(err)
	}
	f(0, "no such key or tenant")
}

func TestRotateTo(t *testing.T) {
	d, _ := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), testPepper)
	key, minted := create(t, d, Spec{Tenant: "acme", Name: "ci"})
	other, otherSecret := create(t, d, Spec{Tenant: "acme", Name: "other"})
	next, last := foreignSecret(1), NewSecret().Reveal()

	rotated, err := d.By("test").RotateTo(t.Context(), key.ID, time.Hour, existing(next))
	if err != nil || rotated.Last4 != "se-1" {
		t.Fatalf("got %+v, %v", rotated, err)
	}
	wantAdmitted(t, d, []byte(next), rotated)
	wantAdmitted(t, d, minted, rotated)
	again, err := d.By("test").RotateTo(t.Context(), key.ID, 0, existing(next))
	if err != nil || again.Version != rotated.Version {
		t.Errorf("again: got %+v, %v", again, err)
	}
	wantAdmitted(t, d, minted, rotated)

	const had = "key exists already: this or another key has had the secret: rotate to one that is new"
	for _, taken := range []string{string(minted), string(otherSecret)} {
		if _, err := d.By("test").RotateTo(t.Context(), key.ID, 0, existing(taken)); !errors.Is(err, ErrDuplicate) || err.Error() != had {
			t.Errorf("got  %v\nwant %s", err, had)
		}
	}
	wantAdmitted(t, d, minted, rotated)
	wantAdmitted(t, d, otherSecret, other)
	if rotated, err = d.By("test").RotateTo(t.Context(), key.ID, 0, existing(last)); err != nil {
		t.Fatal(err)
	}
	wantAdmitted(t, d, []byte(last), rotated)
	wantRefused(t, d, []byte(next), ErrExpired)
}
