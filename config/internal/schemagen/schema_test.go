package main

import (
	"testing"

	"tollgate/config"

	"github.com/google/go-cmp/cmp"
)

func TestCommittedSchemaAgreesWithTheTypes(t *testing.T) {
	t.Chdir("../..")
	want, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(config.Schema())); diff != "" {
		t.Errorf("schema.json is out of date: run go generate ./config\n(-types +committed)\n%s", diff)
	}
}
