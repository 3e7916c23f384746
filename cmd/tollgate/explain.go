package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"tollgate/admin"
	"tollgate/proxy"

	"github.com/spf13/cobra"
)

// maxExplained bounds what is read of a file: the gateway takes less, by server.max_request_body.
const maxExplained = 256 << 20

func newExplain(stdout io.Writer) *cobra.Command {
	o := &operator{stdout: stdout}
	var file, key string
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Say what would become of a request, and why",
		Long: `Say what would become of a request at this moment: whether it would be refused, who
would be asked in which order, who would not and why, and what it would cost. The
file is the body of POST /v1/chat/completions, sent as it is, mistakes included, and
the key is the one that the request would come with, by its id.

No provider is asked, nothing is charged, and no limit is used up. What is shown is
the view of one replica, and holds for the moment. The exit code is 0 whether the
request would be sent or refused: both are an explanation.

ENOUGH says whether a limit has what the request needs; one in shadow is decided and
counted, and refuses nobody. SHARE is the chance to be asked first; those without one
come when others fail. DROPPED are the fields that a provider would not be sent, and
ADAPTED those that it would be sent in another form. COST is what the provider would
charge, in US dollars, and the last line says what the tenant would be charged.`,
		Example: `  tollgate explain -f request.json --key key_Xy12Zab34Cde
  tollgate explain -f request.json --key key_Xy12Zab34Cde -o json
  tollgate explain -f - --key key_Xy12Zab34Cde  < request.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkExplain(file, key); err != nil {
				return &usageError{err}
			}
			body, err := readExplained(file, cmd.InOrStdin())
			if err != nil {
				return &usageError{err}
			}
			client, err := o.client()
			if err != nil {
				return err
			}
			explained, err := client.Explain(cmd.Context(), key, body)
			if tooLarge, ok := errors.AsType[*admin.Error](err); ok && tooLarge.Code == "request_too_large" {
				// A client would be told the same: that is an answer, and no failure.
				explained, err = refusedBy(tooLarge), nil
			}
			if err != nil {
				return err
			}
			return o.print(explained, func(w io.Writer) { explanation(w, explained) })
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVarP(&file, "file", "f", "", "the file with the request's body; -: standard input (required)")
	cmd.Flags().StringVar(&key, "key", "", "the key that the request would come with, by its id (required)")
	return cmd
}

// refusedBy is the explanation of what the operators' API refuses as the gateway would.
func refusedBy(e *admin.Error) proxy.Explanation {
	return proxy.Explanation{
		Stages:  []proxy.Stage{{Name: "read", Result: "refused", Detail: e.Message}},
		Refusal: &proxy.Refusal{Status: e.Status, Type: "invalid_request_error", Code: e.Code, Message: e.Message},
	}
}

func checkExplain(file, key string) error {
	switch {
	case file == "":
		return errors.New("--file: name the file with the request's body, or - for standard input")
	case key == "":
		return errors.New("--key: name the key that the request would come with by its id: tollgate keys list shows it")
	case holdsSecret(key):
		return errors.New("--key: this is a key's secret: name its id, as tollgate keys list shows it")
	}
	return nil
}

// holdsSecret reports whether a text that is to be an id holds the secret of a key, such as
// one with "Bearer " before it: that must not travel as part of a URL.
func holdsSecret(text string) bool {
	const prefix, enough = "tg_", 6
	_, secret, found := strings.Cut(text, prefix)
	return found && len(secret) >= enough
}

// readExplained reads the body from the file, or from standard input.
func readExplained(file string, stdin io.Reader) ([]byte, error) {
	source := stdin
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		defer func() { _ = opened.Close() }()
		source = opened
	}
	body, err := readAtMost(source, maxExplained)
	if err != nil {
		return nil, fmt.Errorf("--file: %w", err)
	}
	return body, nil
}

// readAtMost keeps a file without an end from filling the memory.
func readAtMost(source io.Reader, most proxy.Size) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(source, int64(most)+1))
	if err == nil && len(body) > int(most) {
		return nil, fmt.Errorf("it is longer than %s, the most that is sent", most)
	}
	return body, err
}
