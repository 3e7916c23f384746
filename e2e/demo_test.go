package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDemo does what the demo's text says: it pastes the printed lines into a
// shell, the two curl lines and the one that shows what they cost.
func TestDemo(t *testing.T) {
	t.Parallel()
	p := launch(t, nil, "demo", "--listen", "127.0.0.1:0")
	p.stdout.await(t, "the demo's text", func(text string) bool { return strings.Contains(text, "Stop with Ctrl-C") })
	var curls, tollgates []string
	for line := range strings.Lines(p.stdout.String()) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "curl "):
			curls = append(curls, line)
		case strings.Contains(line, " usage --admin "):
			tollgates = append(tollgates, line)
		}
	}
	if len(curls) != 2 || len(tollgates) != 1 {
		t.Fatalf("%d curl lines and %d tollgate lines, want two and one:\n%s", len(curls), len(tollgates), p.stdout.String())
	}
	stream := paste(t, curls[0])
	if !strings.Contains(stream, `"delta"`) || !strings.HasSuffix(stream, "data: [DONE]\n\n") {
		t.Errorf("%s\nprinted\n%s", curls[0], stream)
	}
	plain := paste(t, curls[1])
	var completion struct {
		Choices []struct {
			Message struct {
				Content string `json:"content"`
			} `json:"message"`
		} `json:"choices"`
	}
	if err := json.Unmarshal([]byte(plain), &completion); err != nil || len(completion.Choices) != 1 || completion.Choices[0].Message.Content == "" {
		t.Errorf("%s\nprinted\n%s", curls[1], plain)
	}
	if bill := paste(t, tollgates[0]); !strings.Contains(bill, "gemini-flash ") || !strings.Contains(bill, "gemini-2.5-flash-lite ") {
		t.Errorf("%s\nprinted\n%s", tollgates[0], bill)
	}
	p.terminate(t)
	if code := p.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0: %s", code, p.stderr.String())
	}
	left, err := filepath.Glob(filepath.Join(p.command.Dir, "tollgate-demo-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("the demo left %v behind (%v)", left, err)
	}
}

// paste runs a line in a shell that finds the binary, and returns what it prints.
func paste(t *testing.T, line string) string {
	t.Helper()
	command := exec.CommandContext(within(t, patience), "sh", "-c", line)
	command.Env = []string{"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"}
	command.Dir = t.TempDir()
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s\n%v: %s", line, err, stderr.String())
	}
	return string(out)
}
