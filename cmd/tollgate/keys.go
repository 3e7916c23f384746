package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"tollgate/admin"

	"github.com/spf13/cobra"
)

func newKeys(stdout, stderr io.Writer) *cobra.Command {
	o := &operator{stdout: stdout, stderr: stderr}
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Issue, list, change, rotate, revoke and delete tenant keys",
		Long: `Issue, list, change, rotate, revoke and delete tenant keys. A change holds on every
replica within a second, and tollgate audit shows who made it.

They wait up to --wait for a gateway that is about to start, and make a call again whose
answer was lost. What may be run again by hand: list and show; update, revoke, delete and
apply; import, where --expires is a moment and no duration. create and rotate issue
another secret each time.`,
		Example: `  tollgate keys create --tenant acme --name ci
  tollgate keys list --tenant acme
  tollgate keys rotate key_Xy12Zab34Cde --grace 24h
  tollgate keys apply -f keys.yaml --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.flags(cmd)
	o.waitFlag(cmd)
	cmd.AddCommand(
		o.newKeysCreate(), o.newKeysImport(), o.newKeysList(), o.newKeysShow(), o.newKeysUpdate(),
		o.newKeysRotate(), o.newKeysRevoke(), o.newKeysDelete(), o.newKeysApply(),
	)
	return cmd
}

func (o *operator) newKeysCreate() *cobra.Command {
	var (
		tenant string
		flags  keyFlags
	)
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Issue a key; its secret is shown this once",
		Long: `Issue a key; its secret is shown this once. The secret is made here, and the gateway
is told its SHA-256 alone: so nobody else ever sees it, and a call whose answer was
lost is made again and issues no second key.`,
		Example: `  tollgate keys create --tenant acme --name ci
  tollgate keys create --tenant acme --name batch --models 'gemini-flash,gemini-2.*' --requests-per-minute 60 --expires 720h
  tollgate keys create --tenant acme --name office --cidrs 203.0.113.0/24 --budget-usd 25 --budget-period month
  tollgate keys create --tenant acme --name ci -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := flags.newKey(tenant, time.Now())
			if err != nil {
				return err
			}
			client, err := o.patient(cmd)
			if err != nil {
				return err
			}
			made := mintSecret()
			key.SHA256, key.Last4, key.Minted = made.sha256, made.last4, true
			issued, err := client.CreateKey(cmd.Context(), key)
			if err != nil {
				return o.printUnsettled(err, unsettledSecret{Tenant: tenant, Name: key.Name, Last4: made.last4}, made.secret,
					"whether the key was issued, with the secret that was shown: tollgate keys import --secret-stdin with this secret "+
						"and the same flags makes the same call again, and changes nothing where it was done")
			}
			issued.Secret = made.secret
			return o.printIssued(issued, nil)
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "whose key it is (required)")
	flags.add(cmd.Flags())
	return cmd
}

// printIssued prints a key with its secret. One that could not be printed is lost, which its error says.
func (o *operator) printIssued(issued admin.IssuedKey, more func(w io.Writer)) error {
	err := o.print(issued.Reveal(), func(w io.Writer) {
		row(w, "id", issued.ID)
		row(w, "secret", issued.Secret.Reveal()+"   (shown this once: keep it now)")
		keyRows(w, issued.Key)
		if more != nil {
			more(w)
		}
	})
	if err != nil {
		return fmt.Errorf("the secret of %s could not be shown: rotate that key, or delete it: %w", issued.ID, err)
	}
	return nil
}

func (o *operator) newKeysImport() *cobra.Command {
	var (
		tenant, hash, last4 string
		fromStdin           bool
		flags               keyFlags
	)
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Issue a key for a secret that exists already; doing it twice changes nothing",
		Long: `Issue a key for a secret that exists already, so that its clients need not change. The
gateway is told the SHA-256 of all its bytes alone. With --secret-stdin the secret
itself is read from standard input, and hashed here: in an argument others on this
machine could see it.

A secret that can be guessed can be found from its hash: it should have 128 random bits.
It must be 16 to 256 visible ASCII characters. Its hash, where the secret is elsewhere:

  printf %s "$SECRET" | sha256sum

Doing it twice changes nothing where all is the same: a duration in --expires is another
moment the second time, and refused with 409. Give the moment itself.`,
		Example: `  tollgate keys import --tenant acme --name legacy --secret-stdin  < secret.txt
  tollgate keys import --tenant acme --name legacy --secret-sha256 609fa9ad5b731c60ca4670290cd09c0588f412caa8e8d0799fe4c5e733f9b810 --last4 x7Qz`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := flags.newKey(tenant, time.Now())
			if err != nil {
				return err
			}
			client, err := o.patient(cmd)
			if err != nil {
				return err
			}
			if key.SHA256, key.Last4, err = importedSecret(cmd.InOrStdin(), hash, last4, fromStdin); err != nil {
				return &usageError{err}
			}
			issued, err := client.CreateKey(cmd.Context(), key)
			if err != nil {
				return err
			}
			return o.printKey(issued.Key)
		},
	}
	f := cmd.Flags()
	f.StringVar(&tenant, "tenant", "", "whose key it is (required)")
	f.StringVar(&hash, "secret-sha256", "", "the SHA-256 of the secret, 64 hexadecimal `digits`")
	f.StringVar(&last4, "last4", "", "the secret's last four characters, or fewer, to recognise it by")
	f.BoolVar(&fromStdin, "secret-stdin", false, "read the secret from standard input, and hash it here")
	flags.add(f)
	return cmd
}

func importedSecret(stdin io.Reader, hash, last4 string, fromStdin bool) (sha256, end string, err error) {
	switch {
	case (hash == "") != fromStdin:
		return "", "", errors.New("give either --secret-sha256 or --secret-stdin: a key is imported by the hash of its secret")
	case fromStdin && last4 != "":
		return "", "", errors.New("--last4: comes with --secret-sha256; of --secret-stdin it is known")
	case !fromStdin:
		return hash, last4, nil
	}
	read, err := readSecret(stdin)
	return read.sha256, read.last4, err
}
