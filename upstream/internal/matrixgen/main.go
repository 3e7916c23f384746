// Command matrixgen writes the tables of docs/providers.md from the contracts. It
// is run by `go generate ./upstream`; a test fails when the page no longer agrees
// with them. What stands outside of the two marks is left as it is.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

const (
	page  = "../docs/providers.md"
	begin = "<!-- generated from the contracts by go generate ./upstream: begin -->\n"
	end   = "<!-- end -->\n"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "matrixgen:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	text, err = renewed(text)
	if err != nil {
		return err
	}
	return os.WriteFile(page, text, 0o644)
}

// renewed returns the page with the tables of the contracts between its marks.
func renewed(text []byte) ([]byte, error) {
	before, rest, found := bytes.Cut(text, []byte(begin))
	_, after, ended := bytes.Cut(rest, []byte(end))
	if !found || !ended {
		return nil, errors.New(page + " lacks the marks between which the tables stand")
	}
	return bytes.Join([][]byte{before, []byte(begin), []byte(tables()), []byte(end), after}, nil), nil
}
