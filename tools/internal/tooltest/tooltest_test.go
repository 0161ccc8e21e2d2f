package tooltest_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/tooltest"
)

const (
	// asTool in the environment makes the test binary a tool with that fault.
	asTool = "TOOLTEST_AS_TOOL"
	// inChild is the folder with the programs, in the environment of a test that may fail.
	inChild = "TOOLTEST_IN_CHILD"
)

func TestMain(m *testing.M) {
	if fault, found := os.LookupEnv(asTool); found {
		os.Exit(demo(fault, cli.System()))
	}
	fdtest.Main(m)
}

const (
	help = `Usage: demo [options] [WORD...]

Print words.

  -u, --upper  in capital letters
  -h, --help; -V, --version
  --log-level LEVEL, --log-file FILE, --completion SHELL

Examples:
  demo a b
`
	page = `.Dd November 21, 2026
.Dt DEMO 1
.Os
.Sh NAME
.Nm demo
.Nd print words
.Sh SYNOPSIS
.Nm
.Op Ar word ...
.Sh DESCRIPTION
The options are as follows.
.Bl -tag -width Ds
.It Fl h , Fl -help
.It Fl u , Fl -upper
.It Fl V , Fl -version
.It Fl -completion Ar shell
.It Fl -log-file Ar file
.It Fl -log-level Ar level
.El
.Sh ENVIRONMENT
None.
.Sh FILES
None.
.Sh EXIT STATUS
0 or 1.
.Sh EXAMPLES
None.
.Sh DIFFERENCES
None.
.Sh SEE ALSO
.Xr echo 1
`
)

// demo is a tool that behaves, but for one fault.
func demo(fault string, env cli.Env) (status int) {
	config := cli.Config{Name: "demo", Help: help}
	first := ""
	if len(env.Args) > 0 {
		first = env.Args[0]
	}
	switch fault {
	case "long help":
		config.Help = strings.Replace(help, "Print words.\n", strings.Repeat("Print words.\n", 20), 1)
	case "wide help":
		config.Help = strings.Replace(help, "Print words.", strings.Repeat("Print words. ", 7), 1)
	case "no examples":
		config.Help, _, _ = strings.Cut(help, "\nExamples:")
	case "option not in help":
		config.Help = strings.Replace(help, "-u, --upper", "    --upper", 1)
	case "more options in help":
		config.Help = strings.Replace(help, "in capital letters", "in capital letters, -x or --bogus[=no]", 1)
	case "status":
		config.UsageStatus = 1
	case "no version":
		if first == "--version" {
			return 0
		}
	case "error twice":
		if strings.HasPrefix(first, "--log") {
			_, _ = fmt.Fprintln(env.Stderr, "demo: --log-file: no")
		}
	case "nothing is full":
		if status := run(config, env); status == 0 || strings.HasPrefix(first, "--no") {
			return status
		}
		return 0
	case "bash":
		if first == "--completion" && env.Args[1] == "bash" {
			env.Stdout = replacing{env.Stdout, "COMPREPLY+=(", "COMPREPLY=("}
		}
	case "zsh":
		if first == "--completion" && env.Args[1] == "zsh" {
			env.Stdout = replacing{env.Stdout, "_demo() {", "_demo() { {"}
		}
	}
	return run(config, env)
}

// run is a tool without a fault.
func run(config cli.Config, env cli.Env) (status int) {
	tool := cli.New(config, env)
	upper := tool.Flags.BoolP("upper", "u", false, "print capital letters")
	return tool.Run(func(args []string) error {
		text := strings.Join(args, " ")
		if *upper {
			text = strings.ToUpper(text)
		}
		_, err := fmt.Fprintln(tool.Stdout, text)
		return err
	})
}

// replacing writes another text in the place of one.
type replacing struct {
	to      interface{ Write([]byte) (int, error) }
	old, by string
}

func (r replacing) Write(p []byte) (int, error) {
	_, err := r.to.Write([]byte(strings.ReplaceAll(string(p), r.old, r.by)))
	return len(p), err
}

// child runs one of the tests below in a process of its own, since it may fail, and returns its output.
func child(t *testing.T, dir, pattern string, env ...string) (out string, failed bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", pattern, "-test.v")
	cmd.Dir = dir
	// Under the race detector a process waits a second before it ends, for races to be reported.
	cmd.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE")), env...)
	text, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(text), err != nil
}

// TestMannersOf runs Manners in a child.
func TestMannersOf(t *testing.T) {
	bin := os.Getenv(inChild)
	if bin == "" {
		t.Skip("TestManners runs this")
	}
	tooltest.Manners(t, bin, "demo", cli.StatusUsage)
}

// TestManners: a tool that behaves passes, and each fault shows.
func TestManners(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		fault, part string // what is looked at; empty: all
		page        string // empty: the right one
		want        string // empty: all is well
	}{
		{"none", "", "", ""},
		{"long help", "help", "", "29 lines are too many for a screen of 24"},
		{"wide help", "help", "", "91 columns, more than 80"},
		{"no examples", "help", "", "no usage at the beginning, or no examples"},
		{"option not in help", "help", "", "not in the help: -u"},
		{"more options in help", "help", "", "only in the help: --bogus"},
		{"more options in help", "help", "", "only in the help: -x"},
		{"more options in the page", "manual_page", strings.Replace(page, ".It Fl u", ".It Fl b , Fl -bogus Ar x\n.It Fl u", 1), "only in the manual page: --bogus"},
		{"one that no item has in the page", "manual_page", strings.Replace(page, ".It Fl u , Fl -upper\n", ".It Fl -upper\nAs\n.Fl u .\n", 1), "not in the manual page: -u"},
		{"option not in the page", "manual_page", strings.Replace(page, ".It Fl u , Fl -upper\n", ".It Fl -upper\n", 1), "not in the manual page: -u"},
		{"section not in the page", "manual_page", strings.Replace(page, ".Sh FILES\nNone.\n", "", 1), "no section FILES"},
		{"page that mandoc complains of", "manual_page", strings.Replace(page, ".El\n", "", 1), "mandoc: "},
		{"status", "usage", "", "status 1, "},
		{"no version", "version", "", `--version printed ""`},
		{"error twice", "log_file", "", "status 1, "},
		{"nothing is full", "full", "", "status 0, "},
		{"nothing is full", "broken_pipe", "", "status 0, "},
		{"bash", "completion/bash", "", "want ["},
		{"zsh", "completion/zsh", "", "zsh: "},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			for program, part := range map[string]string{"mandoc": "manual_page", "bash": "completion/bash", "zsh": "completion/zsh"} {
				if _, err := exec.LookPath(program); err != nil && part == tt.part {
					t.Skip(err)
				}
			}
			root := t.TempDir()
			dir := filepath.Join(root, "tools", "demo")
			script := fmt.Sprintf("#!/bin/sh\n%s='%s' exec '%s' \"$@\"\n", asTool, tt.fault, self)
			if tt.page == "" {
				tt.page = page
			}
			for name, text := range map[string]string{"doc/man/demo.1": tt.page, "bin/demo": script, "tools/demo/x": ""} {
				file := filepath.Join(root, name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o700)); err != nil {
					t.Fatal(err)
				}
			}
			pattern := "^TestMannersOf$"
			if tt.part != "" {
				pattern += "/^" + strings.ReplaceAll(tt.part, "/", "$/^") + "$"
			}
			out, failed := child(t, dir, pattern, inChild+"="+filepath.Join(root, "bin"))
			if failed != (tt.want != "") || !strings.Contains(out, tt.want) || !strings.Contains(out, "=== RUN   TestMannersOf/"+tt.part) {
				t.Errorf("want %q, got\n%s", tt.want, out)
			}
		})
	}
}

// TestScriptsOf plays the scripts of the current folder in a child.
func TestScriptsOf(t *testing.T) {
	if os.Getenv(inChild) == "" {
		t.Skip("TestScripts runs this")
	}
	tooltest.Scripts(t, os.Getenv(inChild), tooltest.Params{Files: "*.txtar", Setup: func(env *testscript.Env) error {
		env.Setenv("GREETING", "hello")
		return nil
	}, Commands: map[string]tooltest.Command{"greet": func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Logf("greet %v", args)
	}}})
}

func TestScripts(t *testing.T) {
	for _, tt := range []struct{ script, want string }{
		{"status 0 true\nstatus 1 false\ngreet $GREETING\nstatus 3 three a\nstdout '^said a$'\nstderr '^told a$'\n", ""},
		{"status 0 false\n", `["false"]: status 1 (exit status 1), want 0`},
		{"status 1 true\n", `["true"]: status 0 (<nil>), want 1`},
		{"status 0 killed\n", "status -1 (signal: killed), want 0"},
		{"status x true\n", `"x" is no exit status`},
		{"status -1 true\n", `"-1" is no exit status`},
		{"status 0\n", "usage: status"},
		{"! status 0 true\n", "usage: status"},
		{"status 0 no-such-program\n", "no-such-program"},
		{"true\n", `unknown command "true"`},
		{"", "no scripts"},
	} {
		dir := t.TempDir()
		files := map[string]string{
			"three":  "#!/bin/sh\necho said $1\necho told $1 >&2\nexit 3\n",
			"killed": "#!/bin/sh\nkill -KILL $$\n",
		}
		if tt.script != "" {
			files["script.txtar"] = tt.script
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		out, failed := child(t, dir, "^TestScriptsOf$", inChild+"="+dir)
		if failed != (tt.want != "") || !strings.Contains(out, tt.want) {
			t.Errorf("%q: want %q, got\n%s", tt.script, tt.want, out)
		}
		if tt.want == "" && !strings.Contains(out, "greet [hello]") {
			t.Errorf("%q: without its own command and variable:\n%s", tt.script, out)
		}
	}
}

func TestBuild(t *testing.T) {
	bin := tooltest.Build(t, "tools/ed-message", "tools/verify-message-definitions")
	for _, name := range []string{"ed-message", "verify-message-definitions"} {
		if info, err := os.Stat(filepath.Join(bin, name)); err != nil || info.Mode().Perm()&0o100 == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}
