// Command schemagen writes config/schema.json from the Config types, their
// defaults and the comments of their fields. It is run by `go generate ./config`;
// a test fails when the file no longer agrees with the types.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "schemagen:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := generate()
	if err != nil {
		return err
	}
	return os.WriteFile("schema.json", text, 0o644)
}
