package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/tooltest"
)

// TestReadme runs the shell script of the README as it stands there.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	script := regexp.MustCompile("(?s)```sh\n(if ! check-certificate localhost:PORT; then\n.*?)```").FindSubmatch(text)
	if script == nil {
		t.Fatal("the README shows no check-certificate in a condition")
	}
	path := "PATH=" + tooltest.Build(t, "tools/check-certificate") + string(os.PathListSeparator) + os.Getenv("PATH")
	root := newRoot(t)
	for _, tt := range []struct {
		days int
		then bool
	}{{5, true}, {13, true}, {15, false}, {400, false}} {
		server := serve(t, secure(issue(t, root, ecKey(), tt.days)))
		cmd := exec.Command("sh", "-eu", "-c", strings.ReplaceAll(string(script[1]), "localhost:PORT", server))
		cmd.Env = append(os.Environ(), path)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%d days: %v\n%s", tt.days, err, out)
		}
		if then := strings.Contains(string(out), "look at the certificate"); then != tt.then {
			t.Errorf("%d days: it printed %q, want the branch taken: %v", tt.days, out, tt.then)
		}
	}
}
