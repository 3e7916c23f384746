package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Environment is where the references in string values look: ${NAME} and
// ${file:/path}. The zero value has no variables and no files.
type Environment struct {
	// Lookup returns the value of an environment variable and whether it is set.
	Lookup func(name string) (value string, ok bool)
	// ReadFile returns the content of the file at an absolute path.
	ReadFile func(path string) ([]byte, error)
}

// SystemEnvironment is the environment and the file system of this process. A
// file over 1 MiB is refused.
func SystemEnvironment() Environment {
	return Environment{Lookup: os.LookupEnv, ReadFile: readFile}
}

// readFile reads a file of at most maxFileSize bytes, whatever its metadata
// claims: a device or a pipe has no size.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	content, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFileSize {
		return nil, fmt.Errorf("%s: larger than 1MiB", path)
	}
	return content, nil
}

// hasReference reports whether text holds anything that expand would change.
func hasReference(text string) bool { return strings.Contains(text, "$") }

// expand replaces the references in one string value. What it puts in is never
// looked at again, so a variable cannot smuggle in another reference, and since
// the value was parsed before, no YAML either.
//
//	${NAME}            the variable; an error when it is not set
//	${NAME:-default}   the default when the variable is not set or empty
//	${file:/path}      the content of the file without its trailing newlines
//	$$                 a dollar sign
//
// Its errors name the reference, never a value.
func (e Environment) expand(text string) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		if after, ok := strings.CutPrefix(rest, "$"); ok {
			out.WriteByte('$')
			text = after
			continue
		}
		body, ok := strings.CutPrefix(rest, "{")
		if !ok {
			return "", errors.New("a dollar sign stands alone: write ${NAME} for a variable, $$ for a dollar sign")
		}
		body, after, ok := strings.Cut(body, "}")
		if !ok {
			return "", errors.New("a ${ has no closing }")
		}
		value, err := e.resolve(body)
		if err != nil {
			return "", err
		}
		out.WriteString(value)
		text = after
	}
}

// resolve returns what the reference ${body} stands for.
func (e Environment) resolve(body string) (string, error) {
	if path, ok := strings.CutPrefix(body, "file:"); ok {
		return e.file(path)
	}
	name, fallback, hasFallback := strings.Cut(body, ":-")
	if !isVariableName(name) {
		return "", fmt.Errorf("${%s}: write ${NAME}, ${NAME:-default} or ${file:/path}, the name in letters, digits and _", body)
	}
	if strings.Contains(fallback, "${") {
		return "", fmt.Errorf("${%s}: a default cannot hold another reference", body)
	}
	value, set := "", false
	if e.Lookup != nil {
		value, set = e.Lookup(name)
	}
	switch {
	case hasFallback && value == "":
		return fallback, nil
	case !set:
		return "", fmt.Errorf("environment variable %s is not set: set it, or write ${%s:-default}", name, name)
	}
	return value, nil
}

// file returns what the reference ${file:path} stands for. A relative path
// would mean something else in each working directory.
func (e Environment) file(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("${file:%s}: the path must be absolute", path)
	}
	if e.ReadFile == nil {
		return "", fmt.Errorf("${file:%s}: %w", path, os.ErrNotExist)
	}
	content, err := e.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("${file:%s}: %w", path, err)
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}

func isVariableName(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
