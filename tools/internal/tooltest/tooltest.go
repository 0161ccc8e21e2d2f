// Package tooltest runs the real programs of the tools, as their users do: it builds them and plays the scripts of
// testdata, which package testscript describes (github.com/rogpeppe/go-internal/testscript).
//
// It is for the tests of the tools.
package tooltest

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// module is where the tools are.
const module = "github.com/eventdispatcher-go/eventdispatcher/"

// Build builds programs of this module, named as folders of its root, such as tools/ed-signal, and returns the folder
// that they are in. They are removed when the test ends.
func Build(tb testing.TB, folders ...string) (dir string) {
	tb.Helper()
	dir = tb.TempDir()
	// A slash at the end makes a folder of the output also when there is one program.
	args := []string{"build", "-buildvcs=false", "-o", dir + "/"}
	for _, folder := range folders {
		args = append(args, module+folder)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		tb.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return dir
}

// Command is a command of scripts that a test brings along.
type Command = func(ts *testscript.TestScript, neg bool, args []string)

// Params are what Scripts can be told besides.
type Params struct {
	// Files are the scripts, a pattern. Empty: testdata/*.txtar.
	Files string
	// Commands come in addition to those of testscript and to status:
	//
	//	status N PROGRAM ARG...   runs a program, whose exit status has to be N
	Commands map[string]Command
	// Setup prepares the environment of each script. nil: nothing to prepare.
	Setup func(env *testscript.Env) error
}

// Scripts plays the scripts, each in a folder of its own, with the programs of bin in front of PATH.
func Scripts(t *testing.T, bin string, p Params) {
	t.Helper()
	if p.Files == "" {
		p.Files = filepath.Join("testdata", "*.txtar")
	}
	files, err := filepath.Glob(p.Files)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %s: %v", p.Files, err)
	}
	commands := map[string]Command{"status": status}
	maps.Copy(commands, p.Commands)
	testscript.Run(t, testscript.Params{
		Files:               files,
		Cmds:                commands,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			if p.Setup != nil {
				return p.Setup(env)
			}
			return nil
		},
	})
}

// status is the command of scripts that wants one exit status and no other.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil || want < 0 {
		ts.Fatalf("status: %q is no exit status", args[0])
	}
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%q: status %d (%v), want %d", args[1:], got, err, want)
	}
}
