// Package config answers one question: what did the operator ask for? It reads
// config.yaml into the Config types that the other packages declare, strictly:
// an unknown or repeated option, a value of the wrong type or one that its
// package refuses is an error that names the option, the file, the line and the
// column. It also holds the JSON Schema of the file.
//
// It owns the syntax of the file (strictness, ${...} references, excerpts that
// never show a secret) and the rules that join two sections. What a single
// option means, its default and its range belong to the package that obeys it.
//
// All functions are safe for concurrent use; a Config is plain data.
package config
