package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
)

// Sources are the files that one load has read, the configuration file and those
// behind its ${file:} references, each with a digest of what was in it. Dates and
// inodes do not count: Kubernetes exchanges a symbolic link far above the file.
// The zero value has no files.
type Sources struct {
	path string // the configuration file
	held map[string]digest
}

// digest tells contents apart. The zero value stands for a file that could not be read.
type digest struct {
	sum  [sha256.Size]byte
	read bool
}

// LoadSources is Load, and says what it has read: with an error too, as far as it came.
func LoadSources(path string) (*Config, Sources, error) { return load(path, readFile) }

// Reload reads the configuration again, as it is now. Its errors are those of
// Load, and one for anything but a regular file: a pipe is empty the second time,
// and waiting for it could last for ever.
func (s Sources) Reload() (*Config, Sources, error) { return load(s.path, readRegular) }

// Look reads the same files again, without what they mean: one that is no
// regular file is taken for unchanged.
func (s Sources) Look() Sources {
	now := Sources{path: s.path, held: make(map[string]digest, len(s.held))}
	for path, before := range s.held {
		content, err := readRegular(path)
		switch {
		case errors.Is(err, errIrregular):
			now.held[path] = before
		case err != nil:
			now.held[path] = digest{}
		default:
			now.held[path] = digestOf(content)
		}
	}
	return now
}

// Equal reports whether both are the same files with the same content.
func (s Sources) Equal(t Sources) bool { return s.path == t.path && maps.Equal(s.held, t.held) }

func digestOf(content []byte) digest { return digest{sum: sha256.Sum256(content), read: true} }

// load reads each file once, so that what is in force and what was noted are the
// same, however often a file is referred to and whoever writes it meanwhile.
func load(path string, read func(path string) ([]byte, error)) (*Config, Sources, error) {
	s := Sources{path: path, held: make(map[string]digest)}
	contents := make(map[string][]byte)
	noting := func(path string) ([]byte, error) {
		if content, ok := contents[path]; ok {
			return content, nil
		}
		content, err := read(path)
		if err != nil {
			s.held[path] = digest{}
			return nil, err
		}
		contents[path], s.held[path] = content, digestOf(content)
		return content, nil
	}
	text, err := noting(path)
	if err != nil {
		return nil, s, fmt.Errorf("configuration: %w", err)
	}
	env := SystemEnvironment()
	env.ReadFile = noting
	c, err := Parse(path, text, env)
	return c, s, err
}

var errIrregular = errors.New("not a regular file: what is read only once cannot be reloaded")

// readRegular is readFile for what can be read any number of times.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, errIrregular)
	}
	return readFile(path)
}

// NeedsRestart names what differs between c and next although only a start obeys
// it: top-level sections, in the order of the file, and limits.max_keys.
func (c *Config) NeedsRestart(next *Config) []string {
	var changed []string
	for _, o := range optionsOf(reflect.TypeFor[Config]()) {
		before := reflect.ValueOf(c).Elem().FieldByIndex(o.index).Interface()
		after := reflect.ValueOf(next).Elem().FieldByIndex(o.index).Interface()
		name := o.name
		switch name {
		case "providers", "models", "prices", "costs":
			continue
		case "limits":
			before, after = c.Limits.MaxKeys, next.Limits.MaxKeys
			name = "limits.max_keys"
		}
		if !reflect.DeepEqual(before, after) {
			changed = append(changed, name)
		}
	}
	return changed
}
