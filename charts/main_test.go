package charts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// patience bounds one run of Helm; it is used up only when something hangs.
const patience = time.Minute

func TestMain(m *testing.M) {
	if _, complaint, err := helm("version"); err != nil {
		fmt.Fprintf(os.Stderr, "these tests need Helm: %v\n%s", err, complaint)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// helm runs scripts/helm and returns what it printed.
func helm(arguments ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, complaint bytes.Buffer
	command := exec.CommandContext(ctx, "../scripts/helm", arguments...)
	command.Stdout, command.Stderr = &out, &complaint
	err = command.Run()
	return out.String(), complaint.String(), err
}

// inputs opens what Helm reads: go test takes a former pass for this one unless
// a file has changed that the test itself has opened.
func inputs(t *testing.T) {
	t.Helper()
	for _, pattern := range []string{"../scripts/helm", "../bin/helm-*", "tollgate/*", "tollgate/*/*"} {
		paths, err := filepath.Glob(pattern)
		for _, path := range paths {
			file, openErr := os.Open(path)
			err = errors.Join(err, openErr, file.Close())
		}
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(paths), err)
		}
	}
}

// template renders the chart as the release "tollgate" in the namespace "llm", with
// one values file, or several, of which a later one wins.
func template(t *testing.T, values ...string) (stdout, stderr string, err error) {
	t.Helper()
	return templateAs(t, "tollgate", "llm", values...)
}

func templateAs(t *testing.T, name, namespace string, values ...string) (stdout, stderr string, err error) {
	t.Helper()
	inputs(t)
	arguments := []string{"template", name, "tollgate", "--namespace", namespace, "--kube-version", "1.30.0"}
	for i, text := range values {
		path := filepath.Join(t.TempDir(), fmt.Sprintf("values-%d.yaml", i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		arguments = append(arguments, "-f", path)
	}
	return helm(arguments...)
}

// release is what one set of values renders to: a document for each object.
type release struct {
	t       *testing.T
	objects map[string]any // "Kind/name"
}

func render(t *testing.T, values ...string) release {
	t.Helper()
	return renderAs(t, "tollgate", "llm", values...)
}

func renderAs(t *testing.T, name, namespace string, values ...string) release {
	t.Helper()
	out, complaint, err := templateAs(t, name, namespace, values...)
	if err != nil {
		t.Fatalf("%v\n%s\nvalues:\n%s", err, complaint, strings.Join(values, "\n---\n"))
	}
	r := release{t, make(map[string]any)}
	for decoder := yaml.NewDecoder(strings.NewReader(out)); ; {
		var object any
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			return r
		} else if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if object == nil {
			continue
		}
		name := fmt.Sprint(at(object, "kind"), "/", at(object, "metadata.name"))
		if _, twice := r.objects[name]; twice {
			t.Errorf("%s is rendered twice", name)
		}
		r.objects[name] = object
	}
}

// at returns what stands at a path such as "spec.ports.0.name", nil where nothing does.
func at(value any, path string) any {
	for step := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// valuesFile returns tollgate/ci/NAME-values.yaml.
func valuesFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("tollgate/ci/" + name + "-values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// object returns the object of that kind and name, nil when there is none.
func (r release) object(name string) any { return r.objects[name] }

// want compares what stands at a path of an object with YAML text; "" stands for nothing.
func (r release) want(object, path, want string) {
	r.t.Helper()
	var wanted any
	if err := yaml.Unmarshal([]byte(want), &wanted); err != nil {
		r.t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, at(r.object(object), path)); diff != "" {
		r.t.Errorf("%s %s (-want +got):\n%s", object, path, diff)
	}
}

// ofKind returns all objects of a kind by their names.
func (r release) ofKind(kind string) map[string]any {
	found := make(map[string]any)
	for name, object := range r.objects {
		if at(object, "kind") == kind {
			found[strings.TrimPrefix(name, kind+"/")] = object
		}
	}
	return found
}

// wantConfig compares what stands at a path of the release tollgate's config.yaml with YAML text.
func (r release) wantConfig(path, want string) {
	r.t.Helper()
	var got, wanted any
	if err := errors.Join(yaml.Unmarshal([]byte(r.config("tollgate")), &got), yaml.Unmarshal([]byte(want), &wanted)); err != nil {
		r.t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, at(got, path)); diff != "" {
		r.t.Errorf("config.yaml: %s (-want +got):\n%s", path, diff)
	}
}

// config returns the gateway's config.yaml.
func (r release) config(name string) string {
	r.t.Helper()
	data, _ := at(r.object("ConfigMap/"+name), "data").(map[string]any)
	text, ok := data["config.yaml"].(string)
	if !ok {
		r.t.Fatalf("ConfigMap/%s has no config.yaml", name)
	}
	return text
}
