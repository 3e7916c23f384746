package keys

import (
	"context"
	"errors"
	"time"
)

// Tenant is who pays for a number of keys. Only a tenant with limits or a budget over all
// of its keys needs one: any other is just a name in its keys.
type Tenant struct {
	// Name is what the keys' Tenant says.
	Name string
	// Limits hold for all keys of the tenant together, beside each key's own.
	Limits
	// Budget is what all keys may spend together; the zero Budget bounds nothing.
	Budget Budget
	// UpdatedAt is when it was last changed, in UTC.
	UpdatedAt time.Time
	// Deleted says that it was removed, with its limits: in a change, not in a list.
	Deleted bool
	// Version is the store's version as of the last change.
	Version uint64
}

// SetTenant gives all keys of a tenant limits together: change is given the present ones, which are none for a tenant that has
// none, may be called more than once, and must not call the Directory. Of a bad name or a bad field there is one *FieldError
// each. What is as it was already changes nothing.
func (o Operator) SetTenant(ctx context.Context, name string, change func(*TenantSpec)) (Tenant, error) {
	if problem := tenantProblem(name); problem != "" {
		var spec TenantSpec
		change(&spec)
		return Tenant{}, errors.Join(&FieldError{Field: "tenant", Problem: problem}, spec.Validate())
	}
	now := o.d.today()
	return o.editTenant(ctx, name, func(before Tenant) (TenantEdit, error) {
		spec := TenantSpec{Limits: before.Limits, Budget: before.Budget}
		change(&spec)
		if err := spec.Validate(); err != nil {
			return TenantEdit{}, err
		}
		after := Tenant{Name: name, Limits: spec.Limits, Budget: spec.Budget, UpdatedAt: now}
		if before.Version > 0 && after.Limits == before.Limits && after.Budget == before.Budget {
			return TenantEdit{}, errUnchanged
		}
		return o.tenantEdit(ActionSetTenant, before, after), nil
	})
}

// DeleteTenant takes the tenant's limits away; its keys stay. A tenant that has none, or none any more, is returned without
// any, its Version 0, and nothing changes. A name that no tenant can have gives a *FieldError.
func (o Operator) DeleteTenant(ctx context.Context, name string) (Tenant, error) {
	if problem := tenantProblem(name); problem != "" {
		return Tenant{}, &FieldError{Field: "tenant", Problem: problem}
	}
	now := o.d.today()
	t, err := o.editTenant(ctx, name, func(before Tenant) (TenantEdit, error) {
		if before.Version == 0 {
			return TenantEdit{}, errUnchanged
		}
		return o.tenantEdit(ActionDeleteTenant, before, Tenant{Name: name, UpdatedAt: now, Deleted: true}), nil
	})
	t.Name = name
	return t, err
}

// editTenant writes what change makes of a tenant, and tells of it where it changed anything.
func (o Operator) editTenant(ctx context.Context, name string, change func(Tenant) (TenantEdit, error)) (Tenant, error) {
	var found uint64
	var edit TenantEdit
	t, err := o.d.store.UpdateTenant(ctx, name, func(before Tenant) (TenantEdit, error) {
		found = before.Version
		made, err := change(before)
		edit = made
		return made, err
	})
	if err == nil && t.Version != found {
		o.made(edit.Entry, t.Version)
	}
	return t, err
}

func (o Operator) tenantEdit(action Action, before, after Tenant) TenantEdit {
	return TenantEdit{Tenant: after, Entry: Entry{
		At: after.UpdatedAt, By: o.name, Action: action, Tenant: after.Name, Changes: differences(before.fields(), after.fields()),
	}}
}
