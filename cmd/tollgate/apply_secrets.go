package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"tollgate/admin"
)

// secretsFile keeps the secrets of new keys, one JSON object on a line. A line is on the disk before
// its key is issued, so that no crash leaves a key whose secret nobody has.
type secretsFile struct {
	file *os.File
}

// idRoom is what the id of a line takes once it is known: until then, an empty one and spaces stand there.
const idRoom = len(`"key_Xy12Zab34Cde"`)

// openSecrets opens the file, or makes it (0600), for this run alone. One that others may read is refused.
func openSecrets(path string) (*secretsFile, error) {
	file, err := openOwn(path)
	if err != nil {
		return nil, fmt.Errorf("--secrets %s: %w", path, reason(err))
	}
	info, err := file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New("it is no regular file")
	case info.Mode().Perm()&0o077 != 0:
		err = fmt.Errorf("others than you may read it (%04o): chmod 600 it", info.Mode().Perm())
	default:
		err = lockOwn(file, info)
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("--secrets %s: %w", path, err)
	}
	// A new file is only there after a crash once its folder is on the disk, which not every file system can be asked for.
	if folder, err := os.Open(filepath.Dir(path)); err == nil {
		_ = folder.Sync()
		_ = folder.Close()
	}
	return &secretsFile{file: file}, nil
}

// reason is why a file could not be opened, without its path.
func reason(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err
	}
	return err
}

// secretLine is one line of the file, all but the id, which stands before it.
type secretLine struct {
	Tenant string `json:"tenant"`
	Name   string `json:"name"`
	Secret string `json:"secret"`
}

// keep appends a line and brings it to the disk. named gives it the key's id, once that is known.
func (s *secretsFile) keep(tenant, name string, made newSecret) (named func(id string) error, err error) {
	raw, err := json.Marshal(secretLine{tenant, name, made.secret.Reveal()})
	if err != nil {
		return nil, err
	}
	line := `{"id":""` + strings.Repeat(" ", idRoom-2) + "," + string(raw[1:]) + "\n"
	at, err := s.file.Seek(0, io.SeekEnd)
	if err == nil && at > 0 {
		last := make([]byte, 1)
		if _, err = s.file.ReadAt(last, at-1); err == nil && !bytes.Equal(last, []byte("\n")) {
			line, at = "\n"+line, at+1 // a crash has cut the last line
		}
	}
	if err == nil {
		_, err = s.file.WriteString(line)
	}
	if err = errors.Join(err, s.file.Sync()); err != nil {
		return nil, fmt.Errorf("cannot keep its secret: %w", err)
	}
	return func(id string) error { return s.name(at, id) }, nil
}

// reconcile names the keys of lines that a run before this one has left without an id: it was cut short after
// the key was issued. They are told by tenant, name, and the end of the secret.
func (s *secretsFile) reconcile(have []admin.Key) error {
	text, err := io.ReadAll(io.NewSectionReader(s.file, 0, math.MaxInt64))
	if err != nil {
		return err
	}
	nameless := []byte(`{"id":""` + strings.Repeat(" ", idRoom-2) + ",")
	at := int64(0)
	for line := range bytes.Lines(text) {
		var kept secretLine
		if bytes.HasPrefix(line, nameless) && json.Unmarshal(line, &kept) == nil {
			for _, k := range have {
				if k.Tenant == kept.Tenant && k.Name == kept.Name && len(k.Last4) == 4 && strings.HasSuffix(kept.Secret, k.Last4) {
					err = errors.Join(err, s.name(at, k.ID))
				}
			}
		}
		at += int64(len(line))
	}
	return err
}

// name writes the id into the line that begins there, over the room that was left for it.
func (s *secretsFile) name(line int64, id string) error {
	quoted := fmt.Sprintf("%-*s", idRoom, `"`+id+`"`)
	if len(quoted) > idRoom {
		return nil // no id of ours: the line says whose secret it is all the same
	}
	_, err := s.file.WriteAt([]byte(quoted), line+int64(len(`{"id":`)))
	return errors.Join(err, s.file.Sync())
}

func (s *secretsFile) close() error { return s.file.Close() }
