package keys

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Record is one key as a Store keeps it.
type Record struct {
	// Key is shared and immutable, as everywhere.
	Key *Key
	// Secrets are what is stored of the key's secrets: the present one first, then those that a rotation left in grace, or
	// that ended lately. A deleted key's are there so that every replica forgets them.
	Secrets []StoredSecret
}

// StoredSecret is what is stored of one secret.
type StoredSecret struct {
	// Digest is what the presented secret must hash to.
	Digest Digest
	// Scheme names how the digest was made, so that a changed pepper can be noticed.
	Scheme string
	// Until is the first moment at which the secret is refused; zero means never, as long as the key works.
	Until time.Time
}

// Edit is a change of a key, with the line that it leaves in the audit.
type Edit struct {
	Record Record
	Entry  Entry
}

// TenantEdit is a change of a tenant, with the line that it leaves in the audit.
type TenantEdit struct {
	Tenant Tenant
	Entry  Entry
}

// errUnchanged is what a change returns that changes nothing: the store then writes nothing, and returns what it has.
var errUnchanged = errors.New("nothing to change")

// Finder looks records up. ByDigest is the hot path: one call per request.
//
// Both return the record in any state, revoked, expired and deleted ones included.
// ErrNotFound: no record has it. Any other error means that the store could not be asked.
type Finder interface {
	// ByDigest finds the key that has a secret with this digest. from is who presented it: a store that has to ask elsewhere
	// may take its time for an address whose look-ups keep failing. The zero Addr is nobody in particular.
	ByDigest(ctx context.Context, digest Digest, from netip.Addr) (Record, error)
	ByID(ctx context.Context, id string) (Record, error)
}

// Registry is the life cycle of keys: an operator's calls. Whatever is written gets
// the next version of the store, in the Key and in the Entry, whose own is ignored.
type Registry interface {
	// Insert stores a new record durably before it returns, and returns it as it is stored. ErrDuplicate: its id or one of
	// its digests exists, and nothing was changed.
	Insert(ctx context.Context, edit Edit) (Record, error)
	// Update replaces the record with this id by what change makes of it, atomically and durably, and returns the new one; a
	// look-up that starts after it returned sees that. change may be called more than once, cannot change the ID, and must
	// not write to what it was given. Its error ends the update, but for errUnchanged, which makes it return the record as it
	// is. ErrNotFound: no key has the id. ErrDuplicate: a new digest is another key's.
	Update(ctx context.Context, id string, change func(Record) (Edit, error)) (Record, error)
	// List returns all records in any state but the deleted ones, oldest first, those of one instant by id. Where some cannot
	// be read, it returns the others, and an error that wraps ErrUnreadable and names each that is missing.
	List(ctx context.Context) ([]Record, error)
}

// TenantRegistry is the life cycle of tenants that have limits.
type TenantRegistry interface {
	// Tenant returns the tenant with this name, or ErrNotFound.
	Tenant(ctx context.Context, name string) (Tenant, error)
	// UpdateTenant replaces a tenant, as Update does a key. One that is not there is given to change with nothing but its
	// name; one that change marks as Deleted is gone afterwards.
	UpdateTenant(ctx context.Context, name string, change func(Tenant) (TenantEdit, error)) (Tenant, error)
	// Tenants returns all tenants by name.
	Tenants(ctx context.Context) ([]Tenant, error)
}

// Auditor remembers who changed what: the last maxAudit changes at least.
type Auditor interface {
	// Audit returns at most limit entries with versions below before, or the latest where before is 0, latest first.
	Audit(ctx context.Context, before uint64, limit int) ([]Entry, error)
}

// Records keeps all keys, all tenants, and who changed them. An implementation is safe
// for concurrent use and wraps ErrUnavailable where it could not do what it was asked.
type Records interface {
	Finder
	Registry
	TenantRegistry
	Auditor
}

// Memory is what a replica knows without asking anybody.
type Memory interface {
	// TenantLimits returns what all keys of the tenant may use together. It allocates nothing.
	TenantLimits(tenant string) Limits
	// Cuts are the keys whose open answers must end.
	Cuts() *Cuts
}

// Store is what a Directory stands on.
type Store interface {
	Records
	Memory
}

// Shared is what the replicas of a fleet share.
type Shared interface {
	Records
	Feed
}

// Feed tells the replicas of a fleet what has changed.
type Feed interface {
	// Changes returns what was changed after the version since, or for 0 the present version alone.
	Changes(ctx context.Context, since uint64) (Changes, error)
	// Wake returns a channel on which there is something soon after each change, if all goes well, until ctx ends.
	Wake(ctx context.Context) <-chan struct{}
	// EachDigest hands all digests to take, many at a time, in no order. Those of changes made meanwhile may be missing.
	EachDigest(ctx context.Context, take func([]Digest)) error
}

// Changes are the last states of what was changed since a version.
type Changes struct {
	// Version is the one up to which this tells everything. Below the version asked about, the store has lost its last changes.
	Version uint64
	// More says that there are changes after Version.
	More bool
	// Now is the store's clock.
	Now time.Time
	// Records are the keys that changed, deleted ones included, by version.
	Records []Record
	// Unreadable are the ids of keys that changed, and whose records this binary cannot read.
	Unreadable []string
	// Tenants are the tenants that changed, by version.
	Tenants []Tenant
}

// sortByAge puts records in the order of List.
func sortByAge(records []Record) {
	slices.SortFunc(records, func(a, b Record) int { return byAge(a.Key, b.Key) })
}

func byAge(a, b *Key) int {
	if order := a.CreatedAt.Compare(b.CreatedAt); order != 0 {
		return order
	}
	return strings.Compare(a.ID, b.ID)
}

func sortByName(tenants []Tenant) {
	slices.SortFunc(tenants, func(a, b Tenant) int { return strings.Compare(a.Name, b.Name) })
}
