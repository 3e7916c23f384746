package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"tollgate/admin"
	"tollgate/keys"

	"github.com/spf13/cobra"
)

// applyExample is in the help, and a test applies it.
const applyExample = `tenants:
  - name: acme                      # the limits of all its keys together
    requests_per_minute: 3000
    budget_usd: "500"
    budget_period: month
keys:
  - tenant: acme
    name: batch                     # found by tenant and name, or by id
    models: [gemini-flash, gemini-2.*]
    cidrs: [203.0.113.0/24]
    requests_per_minute: 60
    burst: 20
    expires: 2035-01-31T00:00:00Z
  - tenant: acme
    name: legacy                    # a secret that exists already: printf %s "$SECRET" | sha256sum
    secret_sha256: 609fa9ad5b731c60ca4670290cd09c0588f412caa8e8d0799fe4c5e733f9b810
    last4: x7Qz
`

const applyLong = `Make the gateway's tenants and keys those of a file, which may be applied any number of
times: the second run changes nothing. The whole file is checked before the first change.

What stands in the file is what shall be: a field that is left out goes back to its
default, which is every model, every network, never, no limit and no shadow; what a key
has no limit of its own for falls to limits.default of the configuration. Only disabled
stays as it is where it is left out: a key that was disabled in an incident is not let in
again. A field without a value is refused. The fields of a tenant are
name, requests_per_minute, burst, tokens_per_minute, concurrent, shadow, budget_usd and
budget_period; those of a key are the same and tenant, id, models, cidrs, expires (a
moment), disabled, secret_sha256 and last4. Limits with shadow: true are decided and
counted, and not enforced. Budgets are stored; not enforced yet.

A key is found by its id, else by its tenant and name among those that are not revoked:
after a revocation the next run issues a successor, which the plan says; take the key out
of the file as well. Run one apply at a time: two at once may issue a key twice.
Its secret is not touched once it exists, and the gateway shows no hash: so another
secret_sha256 than the one that was imported is not noticed. To change a secret, rotate.

A new key without secret_sha256 gets a secret made here. --secrets appends it to a file
that only you can read, one JSON object with id, tenant, name and secret on a line, and
brings it to the disk before the key is issued; a line whose id stays empty is of a key
that was not. Without --secrets it is shown in the table, once.

Nothing is taken away unless --prune is given: then keys that are not in the file are
revoked, those of tenants under "tenants" alone; no tenant is deleted. --dry-run shows what
would be done and does nothing. The exit code is 0 whether there is a difference or not:
with -o json, "changes" has an entry for each.

keys.yaml, for example:

` + applyExample

// applyPace is how many calls apply makes a second: the API takes 50 of all operators together.
const applyPace = 40

// applying is the command.
type applying struct {
	*operator
	file, secrets string
	dryRun, prune bool
	// terminal tells whether a person will see the secrets of new keys.
	terminal func() bool
}

func (o *operator) newKeysApply() *cobra.Command {
	a := &applying{operator: o, terminal: func() bool { return isScreen(o.stdout) }}
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make tenants and keys those of a file, again and again",
		Long:  applyLong,
		Example: `  tollgate keys apply -f keys.yaml --dry-run
  tollgate keys apply -f keys.yaml --secrets secrets.jsonl
  tollgate keys apply -f keys.yaml --prune --dry-run -o json
  tollgate keys apply -f -  < keys.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := a.read(cmd.InOrStdin())
			if err != nil {
				return &usageError{err}
			}
			client, err := a.patient(cmd)
			if err != nil {
				return err
			}
			return a.run(cmd.Context(), client.Paced(applyPace), f)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&a.file, "file", "f", "", "the file; -: standard input (required)")
	f.StringVar(&a.secrets, "secrets", "", "append the secrets of new keys to this `file`")
	f.BoolVar(&a.dryRun, "dry-run", false, "show what would be done, and do nothing")
	f.BoolVar(&a.prune, "prune", false, "revoke keys that are not in the file, of tenants that are")
	return cmd
}

func (a *applying) read(stdin io.Reader) (*keysFile, error) {
	source, name := stdin, "standard input"
	switch a.file {
	case "":
		return nil, errors.New("--file: name the file with the keys, or - for standard input")
	case "-":
	default:
		opened, err := os.Open(a.file)
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		defer func() { _ = opened.Close() }()
		source, name = opened, a.file
	}
	text, err := readAtMost(source, maxYAML)
	if err != nil {
		return nil, fmt.Errorf("--file: %w", err)
	}
	return readKeysFile(name, text)
}

func (a *applying) run(ctx context.Context, client *admin.Client, f *keysFile) error {
	have, err := readPresent(ctx, client)
	if err != nil {
		return err
	}
	others := keepOthers
	if a.prune {
		others = revokeOthers
	}
	p, err := newPlan(f, have, others)
	if err != nil {
		return err
	}
	if a.dryRun {
		return a.report(f, p)
	}
	secrets, err := a.keeper(p, have)
	if err != nil {
		return err
	}
	failure := p.do(ctx, client, secrets)
	if secrets != nil {
		failure = errors.Join(failure, secrets.close())
	}
	if err := a.report(f, p); err != nil {
		return errors.Join(failure, p.unshown(err))
	}
	return failure
}

// keeper is where the secrets of new keys go; nil: into what is printed.
func (a *applying) keeper(p plan, have present) (*secretsFile, error) {
	made := int64(0)
	for _, s := range p.steps {
		if s.Action == keys.ActionCreate {
			made++
		}
	}
	if a.secrets == "" {
		if made > 0 && a.output != outputJSON && !a.terminal() {
			return nil, &usageError{fmt.Errorf("nobody would see the secrets of %d new key%s: name a file for them with --secrets, or take them from -o json", made, plural(made))}
		}
		return nil, nil
	}
	if _, err := os.Stat(a.secrets); made == 0 && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	secrets, err := openSecrets(a.secrets)
	if err != nil {
		return nil, err
	}
	if err := secrets.reconcile(have.keys); err != nil {
		return nil, fmt.Errorf("--secrets %s: %w", a.secrets, errors.Join(err, secrets.close()))
	}
	return secrets, nil
}

// isScreen reports whether a person reads what is written to w: /dev/null is a terminal by its mode.
func isScreen(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || !isTerminal(w) {
		return false
	}
	mine, err := file.Stat()
	if err != nil {
		return false
	}
	nowhere, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(mine, nowhere)
}
