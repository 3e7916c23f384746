package config

import (
	"bytes"
	_ "embed"
)

//go:generate go run ./internal/schemagen

//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema (draft 2020-12) of config.yaml, for editors and
// for checks in a deployment pipeline. It accepts every file that Parse accepts,
// and finds unknown options and wrong types; ranges and the rules between
// options are Parse's alone.
func Schema() []byte { return bytes.Clone(schema) }
