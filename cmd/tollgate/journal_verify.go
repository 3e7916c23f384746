package main

import (
	"fmt"
	"io"
	"strings"

	"tollgate/usage/journal"

	"github.com/spf13/cobra"
)

func newJournalVerify(stdout io.Writer) *cobra.Command {
	j := &journalCommand{operator: operator{stdout: stdout}}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read a whole journal, and say what is damaged",
		Long: `Read everything in a journal, and say what cannot be read that was safe on the disk
once. Bytes behind the last entry that do not count are no damage: a crash has left
them, no answer was let go by them, or a gateway that runs is writing them at this
moment. The exit code is 1 when something is damaged.`,
		Example: `  tollgate journal verify -c config.yaml
  tollgate journal verify --data-dir ./data -o json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			folder, err := j.folder()
			if err != nil {
				return err
			}
			report, err := journal.Verify(folder)
			if err != nil {
				return err
			}
			view := reportOf(folder, report)
			if err := j.print(view, view.rows); err != nil || len(view.Damages) == 0 {
				return err
			}
			return fmt.Errorf("%s: \"tollgate journal repair\" goes on without", view.verdict())
		},
	}
	j.folderFlags(cmd)
	return cmd
}

// reportView is what verify and repair print.
type reportView struct {
	Folder   string            `json:"folder"`
	Damaged  bool              `json:"damaged"`
	Segments []segmentView     `json:"segments"`
	Entries  map[string]uint64 `json:"entries"`
	First    uint64            `json:"first"`
	Last     uint64            `json:"last"`
	// Torn is how many bytes behind the last entry do not count.
	Torn int64 `json:"torn_bytes"`
	// Void is how many entries were lost before earlier repairs, Lost how many are now.
	Void    uint64       `json:"void"`
	Lost    uint64       `json:"lost"`
	Damages []damageView `json:"damages"`
	// Repaired says that the damage above was repaired, by this command; Originals are the files in which that has kept the damaged segments.
	Repaired  bool     `json:"repaired,omitempty"`
	Originals []string `json:"originals,omitempty"`
}

func reportOf(folder string, r journal.Report) reportView {
	v := reportView{
		Folder: folder, Damaged: len(r.Damages) > 0, Segments: segmentViews(r.Segments), Entries: make(map[string]uint64, len(r.Entries)),
		First: r.First, Last: r.Last, Torn: r.Torn, Void: r.Void, Lost: r.Lost, Damages: damageViews(r.Damages), Originals: r.Originals,
	}
	for kind, n := range r.Entries {
		v.Entries[kind.String()] = n
	}
	return v
}

// rows are the summary, and each damage.
func (v reportView) rows(w io.Writer) {
	row(w, "folder", printable(v.Folder))
	row(w, "segments", v.segments())
	row(w, "entries", v.entries())
	if v.Torn > 0 {
		row(w, "torn", fmt.Sprintf("%d byte%s behind the last entry, which do not count", v.Torn, plural(v.Torn)))
	}
	if v.Void > 0 {
		row(w, "void", fmt.Sprintf("%d of them lost before an earlier repair", v.Void))
	}
	line(w, "")
	if v.Damaged {
		damageRows(w, v.Damages)
		return
	}
	line(w, "The journal is whole.")
}

// verdict is the damage in a few words.
func (v reportView) verdict() string {
	places := int64(len(v.Damages))
	text := fmt.Sprintf("the journal is damaged at %d place%s, ", places, plural(places))
	switch v.Lost {
	case 0:
		return text + "no entry is lost"
	case 1:
		return text + "1 entry is lost"
	}
	return text + fmt.Sprintf("%d entries are lost", v.Lost)
}

// segments are how many there are of each state.
func (v reportView) segments() string {
	counts := map[string]uint64{}
	for _, s := range v.Segments {
		counts[s.State]++
	}
	return fmt.Sprint(len(v.Segments)) + breakdown(counts, "used", "blank", "abandoned", "damaged")
}

// entries are how many there are of each kind.
func (v reportView) entries() string {
	sum := uint64(0)
	for _, n := range v.Entries {
		sum += n
	}
	if sum == 0 {
		return "0"
	}
	return fmt.Sprintf("%d, from %d to %d", sum, v.First, v.Last) + breakdown(v.Entries, "intent", "attempt", "checkpoint", "settle", "adjust", "void", "unknown")
}

// breakdown is what a sum is made of, in the order of the words.
func breakdown(counts map[string]uint64, words ...string) string {
	var parts []string
	for _, word := range words {
		if n := counts[word]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}
