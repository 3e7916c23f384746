package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/pflag"
)

// wholeNumber is the value of a flag. The ones of pflag explain a mistake in the words of Go's strconv.
type wholeNumber struct{ number *int }

// wholeNumberVar is what f.IntVar is.
func wholeNumberVar(f *pflag.FlagSet, number *int, name string, otherwise int, purpose string) {
	*number = otherwise
	f.Var(wholeNumber{number}, name, purpose)
}

// String implements pflag.Value.
func (n wholeNumber) String() string {
	return strconv.Itoa(*n.number)
}

// Set implements pflag.Value.
func (n wholeNumber) Set(text string) error {
	number, err := strconv.Atoi(text)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("must be a smaller number, got %q", text)
	case err != nil:
		return fmt.Errorf("must be a whole number in plain digits, got %q", text)
	}
	*n.number = number
	return nil
}

// Type implements pflag.Value: the word that stands for it in the help.
func (wholeNumber) Type() string { return "int" }
