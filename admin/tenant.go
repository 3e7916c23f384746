package admin

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"tollgate/keys"
)

// Tenant is who pays for a number of keys, where all of them together have limits or a budget.
type Tenant struct {
	Name string `json:"name"`
	TenantLimits
	// UpdatedAt is left out, and Version 0, where the tenant has no limits and nothing was changed: it was deleted before, if
	// it ever had some.
	UpdatedAt time.Time `json:"updated_at,omitzero"`
	// Version grows with each change.
	Version uint64 `json:"version"`
	// Standing is where each limit in force stands; only of a tenant that was asked for alone, and nil elsewhere.
	Standing []Standing `json:"standing,omitzero"`
}

// TenantLimits are what all keys of a tenant together may use, beside each key's own limits. 0 and "" are none.
type TenantLimits struct {
	RequestsPerMinute int `json:"requests_per_minute"`
	// Burst is how many requests may come at once; 0 means RequestsPerMinute.
	Burst int `json:"burst"`
	// TokensPerMinute bounds prompt and completion tokens together.
	TokensPerMinute int `json:"tokens_per_minute"`
	// Concurrent is how many requests may be in progress at once.
	Concurrent int `json:"concurrent"`
	// Shadow limits are decided and counted, and not enforced.
	Shadow bool `json:"shadow"`
	// BudgetUSD is an amount of dollars such as "25" or "0.5", stored and not enforced yet.
	BudgetUSD string `json:"budget_usd"`
	// BudgetPeriod is day, month or total; empty where there is no budget.
	BudgetPeriod string `json:"budget_period"`
}

// TenantPatch changes the fields of a tenant that it has; nil leaves one as it is.
type TenantPatch struct {
	RequestsPerMinute *int    `json:"requests_per_minute,omitempty"`
	Burst             *int    `json:"burst,omitempty"`
	TokensPerMinute   *int    `json:"tokens_per_minute,omitempty"`
	Concurrent        *int    `json:"concurrent,omitempty"`
	Shadow            *bool   `json:"shadow,omitempty"`
	BudgetUSD         *string `json:"budget_usd,omitempty"`
	BudgetPeriod      *string `json:"budget_period,omitempty"`
}

// TenantList is every tenant that has limits, by name.
type TenantList struct {
	Tenants []Tenant `json:"tenants"`
}

func (p *TenantPatch) fields() []field {
	return []field{
		{"requests_per_minute", &p.RequestsPerMinute, wantNumber},
		{"burst", &p.Burst, wantNumber},
		{"tokens_per_minute", &p.TokensPerMinute, wantNumber},
		{"concurrent", &p.Concurrent, wantNumber},
		{"shadow", &p.Shadow, wantBool},
		{"budget_usd", &p.BudgetUSD, wantText},
		{"budget_period", &p.BudgetPeriod, wantText},
	}
}

// apply changes what the patch has.
func (p *TenantPatch) apply(limits *keys.Limits, budget *keys.Budget) {
	set(&limits.RequestsPerMinute, p.RequestsPerMinute)
	if limits.RequestsPerMinute == 0 && p.RequestsPerMinute != nil {
		limits.Burst = 0 // a rate that is taken away takes its burst along
	}
	set(&limits.Burst, p.Burst)
	set(&limits.TokensPerMinute, p.TokensPerMinute)
	set(&limits.Concurrent, p.Concurrent)
	set(&limits.Shadow, p.Shadow)
	if p.BudgetUSD != nil {
		budget.NanoUSD = readUSD(*p.BudgetUSD)
		if *p.BudgetUSD == "" {
			budget.Per = "" // no budget has no period
		}
	}
	if p.BudgetPeriod != nil {
		budget.Per = keys.Period(*p.BudgetPeriod)
	}
}

// tenantView is the tenant as the API shows it.
func tenantView(t keys.Tenant) Tenant {
	return Tenant{
		Name: t.Name,
		TenantLimits: TenantLimits{
			RequestsPerMinute: t.RequestsPerMinute, Burst: t.Burst, TokensPerMinute: t.TokensPerMinute, Concurrent: t.Concurrent,
			Shadow: t.Shadow, BudgetUSD: t.Budget.USD(), BudgetPeriod: string(t.Budget.Per),
		},
		UpdatedAt: t.UpdatedAt, Version: t.Version,
	}
}

// listTenants answers GET /admin/v1/tenants.
func (s *Server) listTenants(r *http.Request) (answer, error) {
	found, err := s.options.Keys.Tenants(r.Context())
	if err != nil {
		return answer{}, err
	}
	list := TenantList{Tenants: make([]Tenant, len(found))}
	for i, t := range found {
		list.Tenants[i] = tenantView(t)
	}
	return answer{http.StatusOK, list}, nil
}

// showTenant answers GET /admin/v1/tenants/{name}.
func (s *Server) showTenant(r *http.Request) (answer, error) {
	t, err := s.options.Keys.Tenant(r.Context(), r.PathValue("name"))
	if err != nil {
		return answer{}, ofTenant(err)
	}
	view := tenantView(t)
	view.Standing = standing(s.options.Limits.TenantStanding(r.Context(), t.Name))
	return answer{http.StatusOK, view}, nil
}

// putTenant answers PUT /admin/v1/tenants/{name}: what is left out is none.
func (s *Server) putTenant(r *http.Request) (answer, error) {
	var asked TenantPatch
	if err := readObject(r.Body, asked.fields()); err != nil {
		var spec keys.TenantSpec
		asked.apply(&spec.Limits, &spec.Budget)
		return answer{}, allBad(err, spec.Validate())
	}
	return s.setTenant(r, func(spec *keys.TenantSpec) {
		*spec = keys.TenantSpec{}
		asked.apply(&spec.Limits, &spec.Budget)
	})
}

// patchTenant answers PATCH /admin/v1/tenants/{name}: what is left out stays as it is.
func (s *Server) patchTenant(r *http.Request) (answer, error) {
	var asked TenantPatch
	if err := readObject(r.Body, asked.fields()); err != nil {
		present, findErr := s.options.Keys.Tenant(r.Context(), r.PathValue("name"))
		if findErr != nil && !errors.Is(findErr, keys.ErrNotFound) {
			return answer{}, findErr
		}
		spec := keys.TenantSpec{Limits: present.Limits, Budget: present.Budget}
		asked.apply(&spec.Limits, &spec.Budget)
		return answer{}, allBad(err, spec.Validate())
	}
	return s.setTenant(r, func(spec *keys.TenantSpec) { asked.apply(&spec.Limits, &spec.Budget) })
}

func (s *Server) setTenant(r *http.Request, change func(*keys.TenantSpec)) (answer, error) {
	t, err := s.by(r).SetTenant(r.Context(), r.PathValue("name"), change)
	if err != nil {
		return answer{}, ofPath(err)
	}
	return answer{http.StatusOK, tenantView(t)}, nil
}

// deleteTenant answers DELETE /admin/v1/tenants/{name}, also where there is nothing to delete.
func (s *Server) deleteTenant(r *http.Request) (answer, error) {
	t, err := s.by(r).DeleteTenant(r.Context(), r.PathValue("name"))
	if err != nil {
		return answer{}, ofPath(err)
	}
	return answer{http.StatusOK, tenantView(t)}, nil
}

// ofTenant says that it was a tenant that was not found.
func ofTenant(err error) error {
	if errors.Is(err, keys.ErrNotFound) {
		return fmt.Errorf("%w: %w", errTenantNotFound, err)
	}
	return err
}

// ofPath calls a bad name of a tenant by the name of the parameter that it is in a path.
func ofPath(err error) error {
	fields := keys.FieldErrors(err)
	if len(fields) == 0 {
		return err
	}
	named := make([]error, len(fields))
	for i, one := range fields {
		if one.Field == "tenant" {
			one = &keys.FieldError{Field: "name", Problem: one.Problem}
		}
		named[i] = one
	}
	return errors.Join(named...)
}
