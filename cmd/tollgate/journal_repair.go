package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"tollgate/usage/journal"

	"github.com/spf13/cobra"
)

func newJournalRepair(stdout io.Writer) *cobra.Command {
	j := &journalCommand{operator: operator{stdout: stdout}}
	yes := false
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Make a damaged journal one that a gateway can start with",
		Long: `Make a damaged journal one that a gateway can start with: each damaged segment is
written anew, with every entry that can be read, and a mark in the place of those
that cannot. The original is kept beside it, as NAME.damaged. An entry that can be
read is never given up. Without --yes it only says what it would do.

The gateway must have ended. What is lost is lost here only: the ledger keeps what it
was given before. The exit code is 1 when something is damaged still.`,
		Example: `  tollgate journal repair -c config.yaml
  tollgate journal repair -c config.yaml --yes`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			folder, err := j.folder()
			if err != nil {
				return err
			}
			return j.repair(folder, yes)
		},
	}
	j.folderFlags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

func (j *journalCommand) repair(folder string, yes bool) error {
	examine := journal.Verify
	if yes {
		examine = journal.Repair
	}
	report, err := examine(folder)
	if err != nil {
		return heldByGateway(err, filepath.Dir(folder))
	}
	view := reportOf(folder, report)
	view.Repaired = yes && view.Damaged
	if err := j.print(view, view.repairRows); err != nil || yes || !view.Damaged {
		return err
	}
	return fmt.Errorf("%s, and nothing was changed: give --yes to repair it", view.verdict())
}

// repairRows are what was found, and what was done about it, or would be.
func (v reportView) repairRows(w io.Writer) {
	if !v.Damaged {
		line(w, "The journal is whole: there is nothing to repair.")
		return
	}
	damageRows(w, v.Damages)
	line(w, "")
	if !v.Repaired {
		line(w, "These segments would be written anew without what is lost, and kept as they are in files of their own.")
		return
	}
	names := make([]string, len(v.Originals))
	for i, path := range v.Originals {
		names[i] = filepath.Base(path)
	}
	line(w, "Repaired: a gateway can start with this journal. The damaged segments are kept as "+printable(strings.Join(names, ", "))+".")
}
