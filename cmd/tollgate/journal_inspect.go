package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"tollgate/usage"
	"tollgate/usage/journal"

	"github.com/spf13/cobra"
)

// inspecting is the command that shows what is in a journal.
type inspecting struct {
	journalCommand
	entries       bool
	request, kind string
}

func newJournalInspect(stdout, stderr io.Writer) *cobra.Command {
	i := &inspecting{journalCommand: journalCommand{operator: operator{stdout: stdout}, stderr: stderr}}
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Show the segments of a journal, or what is in them",
		Long: `Show the segments of a journal: the states, and the first and the last entry of each
that count. With --entries, show the entries instead: each is a usage record.

  used        it holds entries, or is about to
  blank       it was made ahead, and holds nothing yet
  abandoned   nothing in it counts: later segments have taken it over
  damaged     something in it cannot be read: verify tells what

  intent      a provider is about to be asked, with the most that it may cost
  attempt     it was asked, and another one answered, or nobody
  checkpoint  how far a stream has come
  settle      the bill of a request: there is one
  adjust      a later correction
  void        entries that were lost before a repair

Beside a gateway that runs, what is being written at this moment may be missing.`,
		Example: `  tollgate journal inspect -c config.yaml
  tollgate journal inspect --entries --data-dir ./data
  tollgate journal inspect --request 019a2b3c-4d5e-7f60-8123-456789abcdef
  tollgate journal inspect --kind settle -o json > settles.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := i.check(cmd.Flags().Changed("request")); err != nil {
				return &usageError{err}
			}
			return i.run()
		},
	}
	i.folderFlags(cmd)
	f := cmd.Flags()
	f.BoolVar(&i.entries, "entries", false, "show the entries")
	f.StringVar(&i.request, "request", "", "show the entries of this request (its x-request-id)")
	f.StringVar(&i.kind, "kind", "", "show the entries of this kind")
	return cmd
}

func (i *inspecting) check(hasRequest bool) error {
	if hasRequest {
		if err := checkRequestID(i.request); err != nil {
			return fmt.Errorf("--request: %w", err)
		}
	}
	if i.kind != "" && !isKind(i.kind) {
		return fmt.Errorf("--kind: must be intent, attempt, checkpoint, settle, adjust or void, got %q", i.kind)
	}
	i.entries = i.entries || hasRequest || i.kind != ""
	return nil
}

func isKind(text string) bool {
	for k := journal.Void; k <= journal.Adjust; k++ {
		if k.String() == text {
			return true
		}
	}
	return false
}

func (i *inspecting) run() error {
	folder, err := i.folder()
	if err != nil {
		return err
	}
	report, err := journal.Verify(folder)
	if err != nil {
		return err
	}
	segments := segmentViews(report.Segments)
	switch {
	case i.entries && i.output == outputJSON:
		err = i.list(folder, segments)
	case i.entries:
		err = i.table(folder)
	default:
		err = i.print(struct {
			Segments []segmentView `json:"segments"`
		}{segments}, func(w io.Writer) { segmentRows(w, segments) })
	}
	if n := len(report.Damages); err == nil && n > 0 {
		_, err = fmt.Fprintf(i.stderr, "tollgate: the journal is damaged at %d place%s: \"tollgate journal verify\" tells what is lost\n", n, plural(int64(n)))
	}
	return err
}

// entryView is an entry as it is printed.
type entryView struct {
	Sequence uint64 `json:"sequence"`
	Segment  uint64 `json:"segment"`
	Kind     string `json:"kind"`
	// Lost is how many entries a void stands for.
	Lost uint64 `json:"lost,omitempty"`
	// Record is the usage record as it stands there; absent where the entry holds none.
	Record json.RawMessage `json:"record,omitempty"`

	read usage.Record
}

// each calls show for every entry that was asked for.
func (i *inspecting) each(folder string, show func(entryView) error) error {
	return journal.Inspect(folder, func(s journal.Segment, e journal.Entry) error {
		view := entryView{Sequence: e.Sequence, Segment: s.Number, Kind: e.Kind.String()}
		if i.kind != "" && view.Kind != i.kind {
			return nil
		}
		if e.Kind == journal.Void {
			view.Lost = s.Last - e.Sequence + 1
		} else if json.Unmarshal(e.Payload, &view.read) == nil {
			view.Record = e.Payload
		}
		if i.request != "" && view.read.RequestID != i.request {
			return nil
		}
		return show(view)
	})
}

// table writes the entries as they come: a journal may hold more than memory does.
func (i *inspecting) table(folder string) error {
	table := i.newStream("SEQUENCE", "KIND", "REQUEST", "ATTEMPT", "MODEL", "PROVIDER", "END", "SOURCE", "PROMPT", "COMPLETION", "CHARGE $", "COST $")
	return table.end(i.each(folder, func(e entryView) error {
		table.row(e.cells()...)
		return table.err
	}))
}

func (e entryView) cells() []string {
	sequence, number := strconv.FormatUint(e.Sequence, 10), func(n int64) string { return strconv.FormatInt(n, 10) }
	switch r := e.read; {
	case e.Lost > 0:
		return []string{sequence, e.Kind, fmt.Sprintf("%d lost", e.Lost), "", "", "", "", "", "", "", "", ""}
	case e.Record == nil:
		return []string{sequence, e.Kind, "not a usage record", "", "", "", "", "", "", "", "", ""}
	default:
		return []string{
			sequence, e.Kind, printable(r.RequestID), strconv.Itoa(r.Attempt), printable(r.Model), printable(r.Provider), printable(string(r.EndReason)),
			printable(string(r.Source)), number(r.Prompt), number(r.Completion), r.Charge.String(), r.Cost.String(),
		}
	}
}

// list writes one JSON object, an entry on each line, as they come.
func (i *inspecting) list(folder string, segments []segmentView) error {
	head, err := json.Marshal(segments)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(i.stdout, "{\n  \"segments\": %s,\n  \"entries\": [", head); err != nil {
		return err
	}
	separator := "\n    "
	err = i.each(folder, func(e entryView) error {
		var text bytes.Buffer
		text.WriteString(separator)
		separator = ",\n    "
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(e); err != nil {
			return err
		}
		_, err := i.stdout.Write(bytes.TrimRight(text.Bytes(), "\n"))
		return err
	})
	if err != nil {
		return err // what was printed is cut off, and so is no JSON
	}
	_, err = fmt.Fprint(i.stdout, "\n  ]\n}\n")
	return err
}
