package keys

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"
)

// aSecret is a secret that was minted or imported, and whose it is.
type aSecret struct {
	text  string
	key   *aKey
	until time.Time // zero: the present one
}

// aKey is a key as an operator would describe it.
type aKey struct {
	id      string
	spec    Spec
	state   State // active unless it was revoked
	severed bool
	deleted bool
	version uint64
}

// life is a Directory, and what it must be by all that was done to it. It is shorter than afterlife, so that nothing is forgotten.
type life struct {
	db      *bolt.DB
	d       *Directory
	keys    []*aKey
	secrets []*aSecret
	dead    []string // secrets of deleted keys
	tenants map[string]TenantSpec
	done    []string // the audit, oldest first
	version uint64   // of the last change
}

func foreignSecret(n int) string { return fmt.Sprintf("sk-made-by-somebody-else-%d", n) }

func existing(secret string) ExistingSecret {
	return ExistingSecret{SHA256: sha256.Sum256([]byte(secret)), Last4: secret[len(secret)-4:]}
}

// Whatever operators do, and in whatever order: who gets in, what is shown, and what the audit says follow from it.
func TestLifeCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The wrapping hides the real deadline, which means nothing to the bubble's clock.
		rapid.Check(struct{ testing.TB }{t}, func(rt *rapid.T) {
			db := openBolt(t, t.TempDir())
			defer db.Close()
			db.NoSync = true
			l := &life{db: db, tenants: make(map[string]TenantSpec)}
			l.restart(rt)
			rt.Repeat(map[string]func(*rapid.T){
				"":              l.check,
				"create":        l.create,
				"import":        l.importOne,
				"update":        l.update,
				"rotate":        l.rotate,
				"rotate to":     l.rotateTo,
				"revoke":        l.revoke,
				"delete":        l.delete,
				"set tenant":    l.setTenant,
				"delete tenant": l.deleteTenant,
				"restart":       l.restart,
				"wait": func(rt *rapid.T) {
					time.Sleep(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Minute, 9 * time.Minute, 20 * time.Minute}).Draw(rt, "wait"))
				},
			})
		})
	})
}

func (l *life) restart(rt *rapid.T) {
	s, err := NewBoltStore(l.db)
	if err != nil {
		rt.Fatal(err)
	}
	l.d = New(s, Config{Pepper: testPepper})
}

// who is an operator; the choice is written down by changed.
func who(rt *rapid.T) string { return rapid.SampledFrom([]string{"alice", "ci"}).Draw(rt, "by") }

func drawSpec(rt *rapid.T) Spec {
	s := Spec{Tenant: rapid.SampledFrom([]string{"acme", "globex"}).Draw(rt, "tenant"), Name: rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "name")}
	s.Disabled = rapid.IntRange(0, 3).Draw(rt, "disabled") == 0
	s.RequestsPerMinute = rapid.SampledFrom([]int{0, 60, 60, -1}).Draw(rt, "rate")
	s.Models = rapid.SampledFrom([][]string{nil, {}, {"gpt-*"}}).Draw(rt, "models")
	s.Budget = rapid.SampledFrom([]Budget{{}, {NanoUSD: 5e9, Per: PerDay}}).Draw(rt, "budget")
	if lasts := rapid.SampledFrom([]time.Duration{0, 0, 10 * time.Minute, time.Hour}).Draw(rt, "lasts"); lasts > 0 {
		s.ExpiresAt = time.Now().Truncate(time.Hour).Add(time.Hour + lasts)
	}
	return s
}

func (l *life) pick(rt *rapid.T) *aKey {
	if len(l.keys) == 0 {
		rt.Skip("no key yet")
	}
	return rapid.SampledFrom(l.keys).Draw(rt, "key")
}

// changed checks that one more change was made, and writes it down.
func (l *life) changed(rt *rapid.T, version uint64, line ...string) {
	if version <= l.version {
		rt.Fatalf("version %d is not above %d", version, l.version)
	}
	l.version = version
	l.done = append(l.done, strings.Join(line, " "))
}

// taken tells whether no key can be imported for the secret: a key has it or had it, or was once imported for it.
func (l *life) taken(text string) bool {
	id := derivedID(l.d.digester.digest([]byte(text)))
	return l.owner(text) != nil || slices.ContainsFunc(l.keys, func(k *aKey) bool { return k.id == id })
}

// owner is the secret with this text that a key has or has had; a deleted key has none.
func (l *life) owner(text string) *aSecret {
	i := slices.IndexFunc(l.secrets, func(s *aSecret) bool { return s.text == text })
	if i < 0 {
		return nil
	}
	return l.secrets[i]
}

func wantError(rt *rapid.T, err, want error) {
	if !errors.Is(err, want) {
		rt.Fatalf("got %v, want %v", err, want)
	}
}

func (l *life) issued(rt *rapid.T, key *Key, secret string, spec Spec, by string, action Action) {
	k := &aKey{id: key.ID, spec: normal(spec), state: StateActive, version: key.Version}
	l.keys = append(l.keys, k)
	l.secrets = append(l.secrets, &aSecret{text: secret, key: k})
	l.changed(rt, key.Version, by, string(action), k.id, spec.Tenant)
}

func (l *life) create(rt *rapid.T) {
	spec, by := drawSpec(rt), who(rt)
	key, secret, err := l.d.By(by).Create(context.Background(), spec)
	if spec.RequestsPerMinute < 0 {
		wantFields(rt, err, "requests_per_minute")
		return
	}
	wantError(rt, err, nil)
	l.issued(rt, key, secret.Reveal(), spec, by, ActionCreate)
}

func wantFields(rt *rapid.T, err error, want ...string) {
	got := []string{}
	for _, e := range FieldErrors(err) {
		got = append(got, e.Field)
	}
	if !slices.Equal(got, want) {
		rt.Fatalf("got %v, want errors about %v", err, want)
	}
}

func (l *life) importOne(rt *rapid.T) {
	spec, by := drawSpec(rt), who(rt)
	text := foreignSecret(rapid.IntRange(0, 3).Draw(rt, "secret"))
	known := l.owner(text)
	if known != nil && rapid.Bool().Draw(rt, "again") {
		spec = known.key.spec
	}
	key, issued, err := l.d.By(by).Import(context.Background(), spec, existing(text))
	switch {
	case spec.RequestsPerMinute < 0:
		wantFields(rt, err, "requests_per_minute")
	case !l.taken(text):
		if wantError(rt, err, nil); !issued {
			rt.Fatalf("%q was not imported", text)
		}
		l.issued(rt, key, text, spec, by, ActionImport)
	case err == nil: // the same again
		if issued || known == nil || key.ID != known.key.id || key.Version != known.key.version || !l.mayRepeat(known) || !reflect.DeepEqual(known.key.spec, normal(spec)) {
			rt.Fatalf("%q was imported again", text)
		}
	case known != nil && l.mayRepeat(known) && reflect.DeepEqual(known.key.spec, normal(spec)) && known.key.id == derivedID(l.d.digester.digest([]byte(text))):
		rt.Fatalf("the same import: %v", err)
	case len(FieldErrors(err)) > 0: // the other's expiry is over
		wantFields(rt, err, "expires")
	default:
		wantError(rt, err, ErrDuplicate)
	}
}

// mayRepeat tells whether the secret is the present one of a key that lives.
func (l *life) mayRepeat(s *aSecret) bool {
	return s.until.IsZero() && s.key.state == StateActive
}

// closed tells why the key cannot be changed any more.
func (k *aKey) closed() error {
	switch {
	case k.deleted:
		return ErrNotFound
	case k.state == StateRevoked:
		return ErrRevokedForGood
	default:
		return nil
	}
}

func (l *life) update(rt *rapid.T) {
	k, spec, by := l.pick(rt), drawSpec(rt), who(rt)
	if rapid.Bool().Draw(rt, "nothing") {
		spec = k.spec
	}
	key, err := l.d.By(by).Update(context.Background(), k.id, func(s *Spec) { *s = spec })
	switch same := reflect.DeepEqual(normal(spec), k.spec); {
	case k.closed() != nil:
		wantError(rt, err, k.closed())
	case spec.Tenant != k.spec.Tenant && spec.RequestsPerMinute < 0:
		wantFields(rt, err, "tenant", "requests_per_minute")
	case spec.Tenant != k.spec.Tenant:
		wantFields(rt, err, "tenant")
	case spec.RequestsPerMinute < 0:
		wantFields(rt, err, "requests_per_minute")
	case same:
		wantError(rt, err, nil)
		if key.Version != k.version {
			rt.Fatal("an update that changes nothing made a version")
		}
	default:
		wantError(rt, err, nil)
		k.spec, k.version = normal(spec), key.Version
		l.changed(rt, key.Version, by, string(ActionUpdate), k.id, k.spec.Tenant)
	}
}

func (l *life) rotate(rt *rapid.T) {
	k, by, grace := l.pick(rt), who(rt), drawGrace(rt)
	key, secret, err := l.d.By(by).Rotate(context.Background(), k.id, grace)
	if wantError(rt, err, k.closed()); err == nil {
		l.rotated(rt, k, key, secret.Reveal(), grace, by)
	}
}

func drawGrace(rt *rapid.T) time.Duration {
	return rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour}).Draw(rt, "grace")
}

func (l *life) rotated(rt *rapid.T, k *aKey, key *Key, secret string, grace time.Duration, by string) {
	end := time.Now().UTC().Add(grace)
	for _, s := range l.secrets {
		if s.key == k && (s.until.IsZero() || s.until.After(end)) {
			s.until = end
		}
	}
	l.secrets = append(l.secrets, &aSecret{text: secret, key: k})
	k.version = key.Version
	l.changed(rt, key.Version, by, string(ActionRotate), k.id, k.spec.Tenant)
}

func (l *life) rotateTo(rt *rapid.T) {
	k, by, grace := l.pick(rt), who(rt), drawGrace(rt)
	text := foreignSecret(rapid.IntRange(0, 3).Draw(rt, "secret"))
	key, err := l.d.By(by).RotateTo(context.Background(), k.id, grace, existing(text))
	known := l.owner(text)
	switch {
	case k.closed() != nil:
		wantError(rt, err, k.closed())
	case known == nil:
		wantError(rt, err, nil)
		l.rotated(rt, k, key, text, grace, by)
	case known.key == k && known.until.IsZero():
		wantError(rt, err, nil)
		if key.Version != k.version {
			rt.Fatal("a rotation to the same secret made a version")
		}
	default:
		wantError(rt, err, ErrDuplicate)
	}
}

func (l *life) revoke(rt *rapid.T) {
	k, by, urgency := l.pick(rt), who(rt), rapid.SampledFrom([]Urgency{Soon, AtOnce}).Draw(rt, "urgency")
	key, err := l.d.By(by).Revoke(context.Background(), k.id, urgency)
	switch {
	case k.deleted:
		wantError(rt, err, ErrNotFound)
	case k.state == StateRevoked && (k.severed || urgency == Soon):
		wantError(rt, err, nil)
		if key.Version != k.version {
			rt.Fatal("a revocation of a revoked key made a version")
		}
	default:
		wantError(rt, err, nil)
		k.state, k.severed, k.version = StateRevoked, urgency == AtOnce, key.Version
		l.changed(rt, key.Version, by, string(ActionRevoke), k.id, k.spec.Tenant)
	}
}

func (l *life) delete(rt *rapid.T) {
	k, by := l.pick(rt), who(rt)
	key, err := l.d.By(by).Delete(context.Background(), k.id)
	wantError(rt, err, nil)
	if k.deleted {
		if key.Version != k.version {
			rt.Fatal("a deletion of a deleted key made a version")
		}
		return
	}
	k.deleted, k.version = true, key.Version
	l.secrets = slices.DeleteFunc(l.secrets, func(s *aSecret) bool {
		if s.key == k {
			l.dead = append(l.dead, s.text)
		}
		return s.key == k
	})
	l.changed(rt, key.Version, by, string(ActionDelete), k.id, k.spec.Tenant)
}

func (l *life) setTenant(rt *rapid.T) {
	name, by := rapid.SampledFrom([]string{"acme", "globex"}).Draw(rt, "tenant"), who(rt)
	spec := TenantSpec{Limits: Limits{RequestsPerMinute: rapid.SampledFrom([]int{0, 60, 600, -1}).Draw(rt, "rate")}}
	before, exists := l.tenants[name]
	tenant, err := l.d.By(by).SetTenant(context.Background(), name, func(s *TenantSpec) { *s = spec })
	switch {
	case spec.RequestsPerMinute < 0:
		wantFields(rt, err, "requests_per_minute")
	case exists && before == spec:
		wantError(rt, err, nil)
		if tenant.Version > l.version {
			rt.Fatal("the same limits made a version")
		}
	default:
		wantError(rt, err, nil)
		l.tenants[name] = spec
		l.changed(rt, tenant.Version, by, string(ActionSetTenant), "-", name)
	}
}

func (l *life) deleteTenant(rt *rapid.T) {
	name, by := rapid.SampledFrom([]string{"acme", "globex"}).Draw(rt, "tenant"), who(rt)
	tenant, err := l.d.By(by).DeleteTenant(context.Background(), name)
	if _, exists := l.tenants[name]; !exists {
		if wantError(rt, err, nil); tenant != (Tenant{Name: name}) {
			rt.Fatalf("without limits there was %+v", tenant)
		}
		return
	}
	wantError(rt, err, nil)
	delete(l.tenants, name)
	l.changed(rt, tenant.Version, by, string(ActionDeleteTenant), "-", name)
}

// check compares all that can be asked with what must be.
func (l *life) check(rt *rapid.T) {
	for _, s := range l.secrets {
		key, err := l.d.Authenticate(context.Background(), []byte(s.text), netip.Addr{})
		if want := s.refusal(time.Now()); !errors.Is(err, want) {
			rt.Fatalf("%s presented: got %v, want %v", s.key.id, err, want)
		} else if err == nil && (key.ID != s.key.id || key.Version != s.key.version || key.Tenant != s.key.spec.Tenant) {
			rt.Fatalf("%s presented: got %+v", s.key.id, key)
		}
	}
	for _, text := range append([]string{sample, foreignSecret(0), foreignSecret(1)}, l.dead...) {
		if _, err := l.d.Authenticate(context.Background(), []byte(text), netip.Addr{}); l.owner(text) == nil {
			wantError(rt, err, ErrUnknown)
		}
	}
	l.checkShown(rt)
	l.checkTenants(rt)
	l.checkAudit(rt)
}

// refusal is why the secret is refused now, or nil.
func (s *aSecret) refusal(now time.Time) error {
	switch {
	case s.key.state == StateRevoked:
		return ErrRevoked
	case !s.key.spec.ExpiresAt.IsZero() && !now.Before(s.key.spec.ExpiresAt):
		return ErrExpired
	case s.key.spec.Disabled:
		return ErrDisabled
	case !s.until.IsZero() && !now.Before(s.until):
		return ErrExpired
	default:
		return nil
	}
}

func (l *life) checkShown(rt *rapid.T) {
	living := 0
	for _, k := range l.keys {
		watch := l.d.Cuts().Watch(k.id)
		if watch.Severed() != k.severed {
			rt.Fatalf("%s: severed %v, want %v", k.id, !k.severed, k.severed)
		}
		shown, err := l.d.Show(context.Background(), k.id)
		if k.deleted {
			wantError(rt, err, ErrNotFound)
			continue
		}
		living++
		wantError(rt, err, nil)
		if diff := cmp.Diff(k.spec, specOf(shown), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			rt.Fatalf("%s (-want +got):\n%s", k.id, diff)
		}
		if shown.Version != k.version || shown.Severed != k.severed || shown.RevokedAt.IsZero() == (k.state == StateRevoked) {
			rt.Fatalf("%s is shown as %+v", k.id, shown)
		}
	}
	all, more, err := l.d.List(context.Background(), Filter{})
	if wantError(rt, err, nil); more || len(all) != living {
		rt.Fatalf("%d keys are listed, %d live", len(all), living)
	}
}

func (l *life) checkTenants(rt *rapid.T) {
	all, err := l.d.Tenants(context.Background())
	wantError(rt, err, nil)
	got := make(map[string]TenantSpec)
	for _, tenant := range all {
		got[tenant.Name] = TenantSpec{Limits: tenant.Limits, Budget: tenant.Budget}
	}
	if !maps.Equal(got, l.tenants) {
		rt.Fatalf("tenants: got %v, want %v", got, l.tenants)
	}
	for _, name := range []string{"acme", "globex", "initech"} {
		if got, want := l.d.TenantLimits(name), l.tenants[name].Limits; got != want {
			rt.Fatalf("limits of %s: got %v, want %v", name, got, want)
		}
	}
}

func (l *life) checkAudit(rt *rapid.T) {
	entries, more, err := l.d.Audit(context.Background(), AuditQuery{})
	if wantError(rt, err, nil); more {
		rt.Fatal("there is more than all")
	}
	lines, last := make([]string, 0, len(entries)), l.version
	for i, e := range entries {
		if e.Version > last || i > 0 && e.Version == last {
			rt.Fatalf("version %d comes before %d", last, e.Version)
		}
		last = e.Version
		id := e.KeyID
		if id == "" {
			id = "-"
		}
		lines = append(lines, strings.Join([]string{e.By, string(e.Action), id, e.Tenant}, " "))
	}
	slices.Reverse(lines)
	if !slices.Equal(lines, l.done) {
		rt.Fatalf("the audit says\n%s\nwhat was done is\n%s", strings.Join(lines, "\n"), strings.Join(l.done, "\n"))
	}
	text := fmt.Sprintf("%+v", entries)
	for _, s := range l.secrets {
		digest := l.d.digester.digest([]byte(s.text))
		if strings.Contains(text, s.text[:len(s.text)-4]) || strings.Contains(text, digest.text()) {
			rt.Fatal("the audit shows a secret")
		}
	}
}
