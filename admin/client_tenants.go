package admin

import (
	"context"
	"net/http"
	"net/url"
)

const tenantsPath = "/admin/v1/tenants"

// Tenants returns every tenant that has limits or a budget of its own, by name.
func (c *Client) Tenants(ctx context.Context) ([]Tenant, error) {
	var list TenantList
	err := c.call(ctx, http.MethodGet, tenantsPath, nil, &list)
	return list.Tenants, err
}

// ShowTenant returns the tenant with this name.
func (c *Client) ShowTenant(ctx context.Context, name string) (Tenant, error) {
	return c.tenant(ctx, http.MethodGet, name, nil)
}

// SetTenant gives all keys of a tenant these limits together, in place of those that they had.
func (c *Client) SetTenant(ctx context.Context, name string, limits TenantLimits) (Tenant, error) {
	return c.tenant(ctx, http.MethodPut, name, limits)
}

// UpdateTenant changes the limits that change has, and returns the tenant. One that had none gets these.
func (c *Client) UpdateTenant(ctx context.Context, name string, change TenantPatch) (Tenant, error) {
	return c.tenant(ctx, http.MethodPatch, name, change)
}

// DeleteTenant takes a tenant's limits away, and returns it without them; its keys stay.
func (c *Client) DeleteTenant(ctx context.Context, name string) (Tenant, error) {
	return c.tenant(ctx, http.MethodDelete, name, nil)
}

func (c *Client) tenant(ctx context.Context, method, name string, body any) (Tenant, error) {
	var tenant Tenant
	err := c.call(ctx, method, tenantsPath+"/"+url.PathEscape(name), body, &tenant)
	return tenant, err
}
