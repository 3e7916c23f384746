package keys

import (
	"context"
	"errors"
	"fmt"
)

// Tenant implements TenantRegistry.
func (s *RedisStore) Tenant(ctx context.Context, name string) (Tenant, error) {
	tenant, _, err := s.tenant(ctx, name)
	return tenant, err
}

// tenant also returns the value as it is stored, for a compare-and-set.
func (s *RedisStore) tenant(ctx context.Context, name string) (t Tenant, value string, err error) {
	value, err = s.client.HGet(ctx, redisTenants, name).Result()
	if nothingThere(err) {
		return Tenant{}, "", ErrNotFound
	}
	if err != nil {
		return Tenant{}, "", redisFailure(ctx, "look a tenant up", err)
	}
	t, err = tenantFromRedis(name, value)
	return t, value, err
}

// UpdateTenant implements TenantRegistry.
func (s *RedisStore) UpdateTenant(ctx context.Context, name string, change func(Tenant) (TenantEdit, error)) (Tenant, error) {
	for range swapTries {
		before, old, err := s.tenant(ctx, name)
		if errors.Is(err, ErrNotFound) {
			before = Tenant{Name: name}
		} else if err != nil {
			return Tenant{}, err
		}
		edit, err := change(before)
		switch {
		case errors.Is(err, errUnchanged):
			if err := s.confirmRead(ctx); err != nil {
				return Tenant{}, err
			}
			return before, nil
		case err != nil:
			return Tenant{}, err
		}
		edit.Tenant.Name = name
		after, err := s.writeTenant(ctx, old, edit)
		if !errors.Is(err, errOvertaken) {
			return after, err
		}
	}
	return Tenant{}, fmt.Errorf("%w: tenant %q was changed by others %d times meanwhile; try again", ErrUnavailable, name, swapTries)
}

func tenantFromRedis(name, value string) (Tenant, error) {
	tenant, err := readTenant(name, []byte(value))
	if err != nil {
		return Tenant{}, fmt.Errorf("%w: %w: tenant %q: %w", ErrUnavailable, ErrUnreadable, name, err)
	}
	return tenant, nil
}
