package main

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"time"

	"tollgate/keys"

	"github.com/goccy/go-yaml/ast"
)

// keysFile is what stands in a keys.yaml, read strictly and checked as the gateway would.
type keysFile struct {
	*yamlFile
	tenants []wantedTenant
	keys    []wantedKey
}

// wantedTenant is a tenant of the file; path is its place in it.
type wantedTenant struct {
	path string
	name string
	keys.TenantSpec
}

// wantedKey is a key of the file; path is its place in it.
type wantedKey struct {
	path string
	id   string // empty: it is found by its tenant and name
	keys.Spec
	sha256, last4 string // of a secret that exists already; empty: one is made
	saysDisabled  bool   // the field stands in the file; else it stays as it is
}

// readKeysFile returns what the text says, or an error with a line for each mistake. Those of its form come
// first; what is out of its range is only told once the form is right.
func readKeysFile(name string, text []byte) (*keysFile, error) {
	f := &keysFile{yamlFile: &yamlFile{name: name}}
	root, err := f.parse(text)
	if err != nil {
		return nil, err
	}
	if isNoYAML(root) {
		return nil, fmt.Errorf("%s: says nothing: write tenants, keys or both; an empty list for none", name)
	}
	f.mapping("", root, []yamlField{
		{"tenants", func(path string, node ast.Node) { f.each(path, node, f.readTenant) }},
		{"keys", func(path string, node ast.Node) { f.each(path, node, f.readKey) }},
	})
	if len(f.mistakes) == 0 {
		f.check()
	}
	return f, errors.Join(f.mistakes...)
}

func (f *keysFile) readTenant(path string, node ast.Node) {
	t := wantedTenant{path: path}
	f.mapping(path, node, append([]yamlField{{"name", &t.name}}, limitFields(&t.Limits, &t.Budget)...))
	f.tenants = append(f.tenants, t)
}

func (f *keysFile) readKey(path string, node ast.Node) {
	k := wantedKey{path: path}
	fields := []yamlField{
		{"tenant", &k.Tenant},
		{"name", &k.Name},
		{"id", &k.id},
		{"models", &k.Models},
		{"cidrs", func(path string, node ast.Node) { f.readPrefixes(path, node, &k.CIDRs) }},
	}
	fields = append(fields, limitFields(&k.Limits, &k.Budget)...)
	f.mapping(path, node, append(
		fields,
		yamlField{"expires", func(text string) string { return readMoment(text, &k.ExpiresAt) }},
		yamlField{"disabled", func(path string, node ast.Node) {
			f.value(path, node, &k.Disabled)
			k.saysDisabled = true
		}},
		yamlField{"secret_sha256", &k.sha256},
		yamlField{"last4", &k.last4},
	))
	f.keys = append(f.keys, k)
}

func limitFields(l *keys.Limits, b *keys.Budget) []yamlField {
	return []yamlField{
		{"requests_per_minute", &l.RequestsPerMinute},
		{"burst", &l.Burst},
		{"tokens_per_minute", &l.TokensPerMinute},
		{"concurrent", &l.Concurrent},
		{"shadow", &l.Shadow},
		{"budget_usd", func(text string) string { return readDollars(text, &b.NanoUSD) }},
		{"budget_period", (*string)(&b.Per)},
	}
}

func readDollars(text string, into *int64) string {
	amount, ok := keys.ParseUSD(text)
	if !ok && text != "" {
		return `must be an amount of dollars such as "25" or "0.50", got ` + excerpt(text)
	}
	*into = amount
	return ""
}

func readMoment(text string, into *time.Time) string {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "must be a moment such as 2027-01-31T00:00:00Z (a duration would move with each run), got " + excerpt(text)
	}
	*into = at.UTC()
	return ""
}

func (f *keysFile) readPrefixes(path string, node ast.Node, into *[]netip.Prefix) {
	f.each(path, node, func(path string, item ast.Node) {
		f.value(path, item, func(text string) string {
			prefix, err := netip.ParsePrefix(text)
			if err != nil {
				return "must be a prefix such as 203.0.113.0/24 or 2001:db8::/32, got " + excerpt(text)
			}
			*into = append(*into, prefix)
			return ""
		})
	})
}

// check finds what is out of its range, and what stands there twice.
func (f *keysFile) check() {
	seen := make(map[string]string) // what must be unique, and where it stands first
	once := func(path, field, what string) {
		if first, repeated := seen[what]; repeated {
			f.complainOf(path+"."+field, "the same as "+first)
			return
		}
		seen[what] = path
	}
	for _, t := range f.tenants {
		f.complainOfFields(t.path, t.Validate())
		if bad := keys.FieldErrors(keys.Spec{Tenant: t.name, Name: "any"}.Validate(time.Time{})); len(bad) > 0 {
			f.complainOf(t.path+".name", bad[0].Problem)
		}
		once(t.path, "name", "tenant "+t.name)
	}
	named := make(map[[2]string]wantedKey)
	for _, k := range f.keys {
		f.checkKey(k)
		if k.id != "" {
			once(k.path, "id", "key "+k.id)
		}
		if k.sha256 != "" {
			once(k.path, "secret_sha256", "hash "+k.sha256)
		}
		name := [2]string{k.Tenant, k.Name}
		if first, repeated := named[name]; !repeated {
			named[name] = k
		} else if first.id == "" || k.id == "" {
			f.complainOf(k.path+".name", fmt.Sprintf("the same tenant and name as %s: give both their ids, or one another name", first.path))
		}
	}
}

var (
	keyIDForm  = regexp.MustCompile(`^key_[0-9A-Za-z]{12}$`)
	sha256Form = regexp.MustCompile(`^[0-9a-f]{64}$`)
	last4Form  = regexp.MustCompile(`^[!-~]{0,4}$`)
)

// checkKey leaves the expiry to the plan: an expired key may stay in the file.
func (f *keysFile) checkKey(k wantedKey) {
	spec := k.Spec
	spec.ExpiresAt = time.Time{}
	f.complainOfFields(k.path, spec.Validate(time.Time{}))
	if k.id != "" && !keyIDForm.MatchString(k.id) {
		f.complainOf(k.path+".id", "must be the id of a key, such as key_Xy12Zab34Cde, as tollgate keys list shows it; leave it out for a new key")
	}
	// Neither is quoted: who takes one field for the other has written the secret itself.
	if k.sha256 != "" && !sha256Form.MatchString(k.sha256) {
		f.complainOf(k.path+".secret_sha256", "must be the SHA-256 of the secret, 64 lower-case hexadecimal digits")
	}
	if !last4Form.MatchString(k.last4) {
		f.complainOf(k.path+".last4", "must be at most the last four characters of the secret, visible ASCII")
	}
	if k.last4 != "" && k.sha256 == "" {
		f.complainOf(k.path+".last4", "must come with secret_sha256, the hash of the secret that it is the end of")
	}
}

func (f *keysFile) complainOfFields(path string, err error) {
	for _, bad := range keys.FieldErrors(err) {
		f.complainOf(path+"."+bad.Field, bad.Problem)
	}
}
