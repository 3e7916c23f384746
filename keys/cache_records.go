package keys

import (
	"context"
	"errors"
	"time"

	"tollgate/telemetry"
)

// What operators do with a CachedStore goes to the shared store, and what they change is heeded at once.

// ByID implements Finder: it asks the shared store.
func (s *CachedStore) ByID(ctx context.Context, id string) (Record, error) {
	return s.shared.ByID(ctx, id)
}

// List implements Registry: it asks the shared store. Records that cannot be
// read are logged and left out: one must not hide all others from an operator.
func (s *CachedStore) List(ctx context.Context) ([]Record, error) {
	all, err := s.shared.List(ctx)
	if errors.Is(err, ErrUnreadable) {
		s.log.Error("keys are missing from a list: their records cannot be read", telemetry.FieldError, err)
		return all, nil
	}
	return all, err
}

// Insert implements Registry.
func (s *CachedStore) Insert(ctx context.Context, edit Edit) (Record, error) {
	asked := time.Since(s.started)
	record, err := s.shared.Insert(ctx, edit)
	if err == nil {
		s.changed(record, asked)
	}
	return record, err
}

// Update implements Registry.
func (s *CachedStore) Update(ctx context.Context, id string, change func(Record) (Edit, error)) (Record, error) {
	asked := time.Since(s.started)
	record, err := s.shared.Update(ctx, id, change)
	if err == nil {
		s.changed(record, asked)
	}
	return record, err
}

// changed heeds a change that was made through this replica, unless the shared store has lost changes meanwhile: this may
// be one of them. What is known is then asked about anew in any case.
func (s *CachedStore) changed(record Record, asked time.Duration) {
	if s.feed.trusts(asked) {
		s.heed(record, asked)
	}
}

// Tenant implements TenantRegistry: it asks the shared store.
func (s *CachedStore) Tenant(ctx context.Context, name string) (Tenant, error) {
	return s.shared.Tenant(ctx, name)
}

// Tenants implements TenantRegistry: it asks the shared store. As in a list of keys, those that cannot be read are left out.
func (s *CachedStore) Tenants(ctx context.Context) ([]Tenant, error) {
	all, err := s.shared.Tenants(ctx)
	if errors.Is(err, ErrUnreadable) {
		s.log.Error("tenants are missing from a list: their records cannot be read", telemetry.FieldError, err)
		return all, nil
	}
	return all, err
}

// UpdateTenant implements TenantRegistry.
func (s *CachedStore) UpdateTenant(ctx context.Context, name string, change func(Tenant) (TenantEdit, error)) (Tenant, error) {
	tenant, err := s.shared.UpdateTenant(ctx, name, change)
	if err == nil {
		s.tenants.heed(tenant)
	}
	return tenant, err
}

// Audit implements Auditor: it asks the shared store.
func (s *CachedStore) Audit(ctx context.Context, before uint64, limit int) ([]Entry, error) {
	return s.shared.Audit(ctx, before, limit)
}
