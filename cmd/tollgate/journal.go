package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"tollgate/config"

	"github.com/spf13/cobra"
)

// journalFolder is where the journal of a data folder is.
func journalFolder(dataDir string) string { return filepath.Join(dataDir, "journal") }

// journalCommand is what the commands on a journal share: where it is, and how to print.
type journalCommand struct {
	operator // for its output alone: no gateway is asked
	stderr   io.Writer
	config   string
}

func newJournal(stdout, stderr io.Writer) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "journal",
		Short: "Look into the journal of usage records, check it, ship it, repair it",
		Long: `Work on the journal, in the data folder of a gateway: what was used stands there
until the ledger has it, and for usage.keep_shipped beyond that. No gateway is asked:
inspect and verify read the files, also beside a gateway that runs; ship and repair
need the folder for themselves.

A gateway ships its journal by itself, and settles at its start what a crash has left
open. These commands are for a look, for a volume whose gateway is gone, and for a
disk that has lost what was written to it.`,
		Example: `  tollgate journal inspect -c config.yaml
  tollgate journal verify -c config.yaml
  tollgate journal ship -c config.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newJournalInspect(stdout, stderr),
		newJournalVerify(stdout),
		newJournalShip(stdout, stderr),
		newJournalRepair(stdout),
	)
	return cmd
}

// flags adds the flags of every command on a journal.
func (j *journalCommand) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&j.config, "config", "c", "config.yaml", "the gateway's configuration file, which names its data folder")
	f.VarP(&j.output, "output", "o", "table or json")
}

// folderFlags adds those of a command that needs nothing of the configuration but the data folder.
func (j *journalCommand) folderFlags(cmd *cobra.Command) {
	j.flags(cmd)
	cmd.Flags().StringVar(&j.dataDir, "data-dir", "", "the gateway's data folder; then the configuration is not read")
}

// folder is where the journal is. It is there, or that is the error.
func (j *journalCommand) folder() (string, error) {
	dataDir := j.dataDir
	if dataDir == "" {
		c, err := config.Load(j.config)
		if err != nil {
			return "", &usageError{err}
		}
		dataDir = c.DataDir
	}
	return existing(journalFolder(dataDir))
}

// existing refuses a folder that is not there: to open it would make an empty one.
func existing(folder string) (string, error) {
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no journal in %s: is this the data_dir of a gateway that has run?", folder)
	case err != nil:
		return "", err
	case !info.IsDir():
		return "", fmt.Errorf("%s is no folder, so it is no journal", folder)
	}
	return folder, nil
}
