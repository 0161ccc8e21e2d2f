// Package tooltest runs the real programs of the tools, as their users do: it builds them and plays the scripts of
// testdata, which package testscript describes (github.com/rogpeppe/go-internal/testscript).
//
// It is for the tests of the tools.
package tooltest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
	want := -1
	if len(args) >= 2 {
		want, _ = strconv.Atoi(args[0])
	}
	if neg || want < 0 {
		ts.Fatalf("usage: status N program [args...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%s ended with status %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// The size of the smallest screen, that of a terminal of old.
const (
	screenLines   = 24
	screenColumns = 80
)

// Manners checks what every tool promises: a help that fits a screen, with examples and all options, which the manual
// page has as well; a version; scripts of completion that the shells take; usage errors with that exit status, logs
// in a file. Checks for which the machine lacks a program (mandoc, zsh) are skipped, with a word in the log.
func Manners(t *testing.T, bin, name string, usageStatus int) {
	t.Helper()
	program := filepath.Join(bin, name)
	bash := output(t, program, "--completion", "bash")
	options := optionsOf(bash)
	if len(options) < 7 {
		t.Fatalf("%s completes only %q", name, options)
	}
	t.Run("help", func(t *testing.T) { checkHelp(t, program, name, options) })
	t.Run("manual page", func(t *testing.T) { checkPage(t, name, options) })
	t.Run("version", func(t *testing.T) {
		for _, option := range []string{"--version", "-V"} {
			if got := output(t, program, option); !regexp.MustCompile(`^\S+\n$`).MatchString(got) {
				t.Errorf("%s printed %q", option, got)
			}
		}
	})
	t.Run("completion", func(t *testing.T) {
		try(t, bash, "bash", "-n")
		try(t, output(t, program, "--completion", "zsh"), "zsh", "-n")
	})
	t.Run("usage", func(t *testing.T) {
		for _, args := range [][]string{
			{"--no-such-option"}, {"--log-level", "loud"}, {"--completion", "fish"}, {"--log-level"},
		} {
			status, stdout, stderr := run(program, args...)
			want := name + ": "
			if status != usageStatus || stdout != "" || !strings.HasPrefix(stderr, want) || strings.Count(stderr, "\n") != 1 ||
				!strings.Contains(stderr, "see "+name+" --help") {
				t.Errorf("%q: status %d, %q, %q, want %d and a line that begins with %q", args, status, stdout, stderr, usageStatus, want)
			}
		}
	})
	t.Run("log file", func(t *testing.T) {
		missing := filepath.Join(t.TempDir(), "missing", "log")
		if status, _, stderr := run(program, "--log-file", missing, "X"); status != 1 || !strings.HasPrefix(stderr, name+": --log-file: ") {
			t.Errorf("status %d, %q", status, stderr)
		}
	})
}

func checkHelp(t *testing.T, program, name string, options []string) {
	help := output(t, program, "--help")
	if short := output(t, program, "-h"); short != help {
		t.Errorf("-h prints %q, --help %q", short, help)
	}
	if !strings.HasPrefix(help, "Usage: "+name+" ") || !strings.HasSuffix(help, "\n") || !strings.Contains(help, "\nExamples:\n") {
		t.Errorf("no usage at the beginning, or no examples:\n%s", help)
	}
	if n := strings.Count(help, "\n"); n > screenLines {
		t.Errorf("%d lines are too many for a screen of %d", n, screenLines)
	}
	for line := range strings.Lines(help) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > screenColumns {
			t.Errorf("%d columns, more than %d: %s", n, screenColumns, line)
		}
	}
	for _, option := range options {
		if !mentions(help, option) {
			t.Errorf("not in the help: %s", option)
		}
	}
}

// checkPage holds the manual page against the options, and has mandoc read it.
func checkPage(t *testing.T, name string, options []string) {
	file := filepath.Join("..", "..", "doc", "man", name+".1")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// An option is written Fl -long or Fl s in mdoc.
	for _, option := range options {
		if mention := regexp.MustCompile(`\bFl ` + regexp.QuoteMeta(option[1:]) + `(\s|$)`); !mention.Match(text) {
			t.Errorf("not in the manual page: %s", option)
		}
	}
	if _, err := exec.LookPath("mandoc"); err != nil {
		t.Skip("mandoc is not installed")
	}
	if out, err := exec.Command("mandoc", "-T", "lint", "-W", "warning", file).CombinedOutput(); err != nil {
		t.Errorf("mandoc: %v\n%s", err, out)
	}
}

// optionsOf returns the options that a script for bash completes.
func optionsOf(script string) []string {
	list := regexp.MustCompile(`compgen -W '(--[^']*)'`).FindStringSubmatch(script)
	if list == nil {
		return nil
	}
	return slices.Sorted(slices.Values(strings.Fields(list[1])))
}

// mentions tells whether an option stands in a text, and not only as a part of another.
func mentions(text, option string) bool {
	return regexp.MustCompile(`(^|[^\w-])` + regexp.QuoteMeta(option) + `($|[^\w-])`).MatchString(text)
}

func run(program string, args ...string) (status int, stdout, stderr string) {
	var out, err strings.Builder
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &out, &err
	if failed := cmd.Run(); failed != nil && cmd.ProcessState == nil {
		return -1, "", fmt.Sprint(failed)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	status, stdout, stderr := run(program, args...)
	if status != 0 || stderr != "" {
		t.Fatalf("%s %q: status %d, %s", program, args, status, stderr)
	}
	return stdout
}

// try gives a script to a shell.
func try(t *testing.T, script, shell string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(shell); err != nil {
		t.Logf("%s is not installed", shell)
		return
	}
	cmd := exec.Command(shell, args...)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s\n%s", shell, err, out, script)
	}
}
