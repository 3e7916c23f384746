package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"tollgate/telemetry"
)

func TestAuthenticateDoesNotAllocate(t *testing.T) {
	d, secret := timedDirectory(t, "")
	f := func(what string, presented []byte) {
		t.Helper()
		ctx := context.Background()
		if n := testing.AllocsPerRun(200, func() { _, _ = d.Authenticate(ctx, presented, netip.Addr{}) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", what, n)
		}
	}
	f("known", secret)
	f("unknown", []byte(sample))
	f("malformed", []byte("tg_garbage"))
}

// timedDirectory holds ten thousand keys, written without waiting for the disk.
func timedDirectory(t testing.TB, pepper telemetry.Secret) (*Directory, []byte) {
	t.Helper()
	db := openBolt(t, t.TempDir())
	db.NoSync = true
	s := newBoltStore(t, db)
	for n := range 10_000 {
		s.remember(contractRecord(n))
	}
	d := New(s, Config{Pepper: pepper})
	_, secret := create(t, d, Spec{Tenant: "acme", Name: "ci"})
	return d, secret
}

// Whoever tries secrets learns nothing from the time that a refusal takes, not even of one whose beginning is right.
func TestTimingTellsNothing(t *testing.T) {
	if os.Getenv("TOLLGATE_PROVE") == "" {
		t.Skip("make prove measures it")
	}
	for _, pepper := range []telemetry.Secret{"", testPepper} {
		d, _ := timedDirectory(t, pepper)
		// Many keys: of one alone, the checksum of its beginning has a time of its own, as that of any other beginning has.
		minted, imported := make([][]byte, 2000), make([][]byte, 2000)
		for i := range minted {
			minted[i], imported[i] = mintSecret(), appendRandom([]byte("sk-"), 40)
			record := contractRecord(10_000 + i)
			record.Secrets = []StoredSecret{d.minted(minted[i]).stored, d.minted(imported[i]).stored}
			d.store.(*BoltStore).remember(record)
		}
		wantSameTiming(t, d, func() []byte { return mintedLike(anyOf(minted)[:secretBody-4]) }, func() []byte { return mintedLike([]byte(secretPrefix)) })
		wantSameTiming(t, d, func() []byte { return importedLike(anyOf(imported)[:39]) }, func() []byte { return importedLike([]byte("sk-")) })
	}
}

func anyOf(secrets [][]byte) []byte { return secrets[rand.IntN(len(secrets))] }

func importedLike(prefix []byte) []byte { return appendRandom(bytes.Clone(prefix), 43-len(prefix)) }

// The same holds at a replica that asks others.
func TestTimingTellsNothingInAFleet(t *testing.T) {
	if os.Getenv("TOLLGATE_PROVE") == "" {
		t.Skip("make prove measures it")
	}
	shared := newFakeShared()
	shared.fed = true
	cache := cached(t, shared, DefaultConfig())
	d := New(cache, DefaultConfig())
	minted := make([][]byte, 2000)
	for i := range minted {
		minted[i] = mintSecret()
		record := contractRecord(10_000 + i)
		record.Secrets = []StoredSecret{d.minted(minted[i]).stored}
		shared.change(record)
		if _, err := cache.ByDigest(t.Context(), record.Secrets[0].Digest, nobody); err != nil {
			t.Fatal(err)
		}
	}
	wantSameTiming(t, d, func() []byte { return mintedLike(anyOf(minted)[:secretBody-4]) }, func() []byte { return mintedLike([]byte(secretPrefix)) })
}

// mintedLike is an unknown secret with a valid checksum that begins with prefix.
func mintedLike(prefix []byte) []byte {
	secret := appendRandom(bytes.Clone(prefix), secretBody-len(prefix))
	sum := checksum(secret)
	return append(secret, sum[:]...)
}

// wantSameTiming refuses 20,000 secrets of each kind in turn, and compares the times by Welch's t-test: beyond 4.5 they
// differ but for once in 100,000 runs. On a noisy machine it takes up to three attempts; a true difference fails them all.
func wantSameTiming(t *testing.T, d *Directory, kinds ...func() []byte) {
	t.Helper()
	const samples, attempts, most = 20_000, 3, 4.5
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for range attempts {
		runtime.GC()
		value := welch(timesOf(t, d, samples, kinds))
		t.Logf("t = %.1f", value)
		if math.Abs(value) < most {
			return
		}
	}
	t.Errorf("the times differ: t beyond %v in each of %d attempts", most, attempts)
}

// timesOf are the times of the refusals of each kind, in nanoseconds.
func timesOf(t *testing.T, d *Directory, samples int, kinds []func() []byte) (times [2][]float64) {
	t.Helper()
	ctx := context.Background()
	order := make([]int, 0, 2*samples)
	secrets := make([][64]byte, 2*samples) // one behind the other: where a secret lies in memory makes a difference
	size := 0
	for range samples {
		first := rand.IntN(2) // who comes first must not tell the kinds apart
		for _, kind := range []int{first, 1 - first} {
			size = copy(secrets[len(order)][:], kinds[kind]())
			order = append(order, kind)
		}
	}
	for i := range secrets {
		began := time.Now()
		_, err := d.Authenticate(ctx, secrets[i][:size], nobody)
		took := time.Since(began)
		if !errors.Is(err, ErrUnknown) {
			t.Fatalf("got %v, want ErrUnknown", err)
		}
		times[order[i]] = append(times[order[i]], float64(took))
	}
	return times
}

// welch is the t value of the times, without the slowest twentieth of all: those were interrupted.
func welch(times [2][]float64) float64 {
	all := slices.Sorted(slices.Values(slices.Concat(times[0], times[1])))
	limit := all[len(all)*19/20]
	var mean, spread [2]float64
	for kind := range times {
		kept := slices.DeleteFunc(slices.Clone(times[kind]), func(ns float64) bool { return ns > limit })
		n := float64(len(kept))
		for _, ns := range kept {
			mean[kind] += ns / n
		}
		for _, ns := range kept {
			spread[kind] += (ns - mean[kind]) * (ns - mean[kind]) / (n - 1) / n
		}
	}
	return (mean[0] - mean[1]) / math.Sqrt(spread[0]+spread[1])
}

func BenchmarkAuthenticate(b *testing.B) {
	for _, pepper := range []telemetry.Secret{"", testPepper} {
		d, secret := timedDirectory(b, pepper)
		for name, presented := range map[string][]byte{"known": secret, "unknown": []byte(sample), "malformed": []byte("tg_garbage")} {
			b.Run(fmt.Sprintf("%s/pepper=%v", name, pepper != ""), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					ctx := context.Background()
					for pb.Next() {
						_, _ = d.Authenticate(ctx, presented, netip.Addr{})
					}
				})
			})
		}
	}
}
