package keys

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// ExistingSecret is a secret that somebody else has made, by its hash: Tollgate never sees it.
//
// It must have 16 to 256 visible ASCII characters, or no client can ever present it, and must not begin with "tg_" unless
// it comes from NewSecret. One that can be guessed can be found from its hash, and without a pepper even from the id of the
// key that it is imported as: it should have 128 random bits.
type ExistingSecret struct {
	// SHA256 is the hash of all its bytes.
	SHA256 Digest
	// Last4 are its last four characters, or fewer, for a person to recognise it by.
	Last4 string
	// Minted says that NewSecret made it just now, for this key: the audit then has a key that was created, not imported.
	// Last4 must be whole. A rotation is one with either.
	Minted bool
}

// Import issues a key for a secret that exists already. Importing a secret twice with the same Spec and Last4 changes nothing
// and returns its key, expired or not, and that it was not issued; with others it is ErrDuplicate, as is a secret that another
// key has, and one whose key has another by now, was revoked, or was deleted less than a week ago.
func (o Operator) Import(ctx context.Context, spec Spec, secret ExistingSecret) (key *Key, issued bool, err error) {
	presented, err := o.d.imported(secret)
	if err != nil {
		return nil, false, errors.Join(spec.Validate(o.d.today()), err)
	}
	action := ActionImport
	if secret.Minted {
		action = ActionCreate
	}
	id := derivedID(presented.stored.Digest)
	key, err = o.insert(ctx, action, id, spec, presented)
	duplicate := errors.Is(err, ErrDuplicate)
	if !duplicate && len(FieldErrors(err)) == 0 {
		return key, err == nil, err
	}
	known, findErr := o.d.store.ByID(ctx, id)
	switch {
	case findErr == nil && known.isImport(spec, presented):
		return known.Key, false, nil
	case duplicate && findErr == nil:
		return nil, false, fmt.Errorf("%w: %s", ErrDuplicate, known.whyDuplicate(spec, presented))
	case duplicate:
		return nil, false, fmt.Errorf("%w: another key has or had this secret: import one that is new", ErrDuplicate)
	default:
		return nil, false, err
	}
}

// isImport tells whether the record is what this import would have made.
func (r Record) isImport(spec Spec, secret newSecret) bool {
	return r.Key.RevokedAt.IsZero() && r.Key.DeletedAt.IsZero() && r.Secrets[0].Digest == secret.stored.Digest &&
		r.Key.Last4 == secret.last4 && reflect.DeepEqual(specOf(r.Key), normal(spec))
}

// whyDuplicate tells what stands in the way of another import, and what to do about it.
func (r Record) whyDuplicate(spec Spec, secret newSecret) string {
	switch {
	case !r.Key.DeletedAt.IsZero():
		return fmt.Sprintf("%s had this secret and was deleted: import one that is new", r.Key.ID)
	case !r.Key.RevokedAt.IsZero():
		return fmt.Sprintf("%s had this secret and is revoked for good: import one that is new", r.Key.ID)
	case r.Secrets[0].Digest != secret.stored.Digest:
		return fmt.Sprintf("%s had this secret before it was rotated: import one that is new", r.Key.ID)
	default:
		return fmt.Sprintf("%s has this secret, and differs in %s: update it, or repeat the import as it was",
			r.Key.ID, strings.Join(r.differsIn(spec, secret), ", "))
	}
}

// differsIn are the fields that an import would have made otherwise.
func (r Record) differsIn(spec Spec, secret newSecret) []string {
	asked := *r.Key
	asked.take(spec)
	asked.Last4 = secret.last4
	var names []string
	if spec.Tenant != r.Key.Tenant {
		names = append(names, "tenant")
	}
	for _, change := range differences(r.Key.fields(), asked.fields()) {
		names = append(names, strings.TrimSuffix(change.Field, "_at")) // it is asked for as expires
	}
	return names
}

// imported is the secret as it is stored, or one *FieldError for each bad field.
func (d *Directory) imported(s ExistingSecret) (newSecret, error) {
	var p problems
	p.add("secret_sha256", hashProblem(s.SHA256))
	p.add("last4", last4Problem(s.Last4))
	if s.Minted && len(s.Last4) < 4 {
		p.add("minted", "must come with secret_sha256 and last4, the last four characters of the secret")
	}
	if len(p) > 0 {
		return newSecret{}, errors.Join(p...)
	}
	return newSecret{stored: StoredSecret{Digest: d.digester.stored(s.SHA256), Scheme: d.digester.scheme}, last4: s.Last4}, nil
}

// hashProblem finds what a script sends whose variable is empty.
func hashProblem(hash Digest) string {
	nothings := []Digest{{}, sha256.Sum256(nil), sha256.Sum256([]byte("\n"))}
	if slices.Contains(nothings, hash) {
		return "must be the SHA-256 of the secret, got that of nothing: was the variable empty?"
	}
	return ""
}

// last4Problem does not say what it was given: it may be the whole secret.
func last4Problem(last4 string) string {
	const most = 4
	if len(last4) > most {
		return fmt.Sprintf("must be at most the last four characters of the secret, got %d", len(last4))
	}
	if slices.ContainsFunc([]byte(last4), func(c byte) bool { return !isVisible(c) }) {
		return "must be visible ASCII, as the secret itself"
	}
	return ""
}
