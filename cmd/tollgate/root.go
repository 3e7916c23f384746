package main

import (
	"io"

	"github.com/spf13/cobra"
)

// newRoot returns the command tree. started tells, after an error, whether a
// command had begun: if not, the command line itself was wrong.
func newRoot(stdout, stderr io.Writer) (root *cobra.Command, started func() bool) {
	begun := false
	root = &cobra.Command{
		Use:   "tollgate",
		Short: "A gateway for language-model APIs: one address, many providers, an exact bill",
		Long: `Tollgate puts one OpenAI-compatible address in front of several providers. It
checks tenant keys, limits them, routes each model name to the providers that
serve it, passes streams through untouched, and records what was used.`,
		Example: `  tollgate demo                      try it: simulated providers, a key, a curl line
  tollgate serve -c config.yaml      run a gateway
  tollgate keys create --tenant acme --name ci`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			begun = true
			return checkArguments(cmd)
		},
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		newServe(stderr),
		newDemo(stdout, stderr),
		newSimulate(stdout),
		newKeys(stdout, stderr),
		newTenants(stdout, stderr),
		newAudit(stdout, stderr),
		newUsage(stdout, stderr),
		newRequest(stdout, stderr),
		newExplain(stdout),
		newUpstreams(stdout, stderr),
		newProbe(stdout, stderr),
		newJournal(stdout, stderr),
		newConfig(stdout),
		newVersion(stdout),
	)
	speakInFlags(root)
	return root, func() bool { return begun }
}
