package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

func TestTell(t *testing.T) {
	tool, env := newTool(cli.Config{Name: "demo"})
	status := tool.Run(func([]string) error {
		tool.Tell("so\x1b[2J")
		return nil
	})
	if want := "demo: so\\x1b[2J\n"; status != 0 || env.stderr.String() != want || env.stdout.Len() > 0 {
		t.Errorf("got %d, %q, want 0, %q", status, &env.stderr, want)
	}
}

func TestMain(m *testing.M) { fdtest.Main(m) }

// environment is what a tool of these tests prints.
type environment struct {
	stdout, stderr bytes.Buffer
	variables      map[string]string
}

// newTool makes a tool that prints into an environment.
func newTool(config cli.Config, args ...string) (*cli.Tool, *environment) {
	e := &environment{variables: map[string]string{}}
	return cli.New(config, cli.Env{
		Args:   args,
		Getenv: func(name string) string { return e.variables[name] },
		Stdin:  strings.NewReader(""),
		Stdout: &e.stdout,
		Stderr: &e.stderr,
	}), e
}

// plain is a function for Run that returns an error.
func plain(err error) func([]string) error { return func([]string) error { return err } }

func TestRunErrors(t *testing.T) {
	one, two := errors.New("open x: no such file"), errors.New("open y: is a directory")
	const help = "; see demo --help\n"
	placed := fmt.Errorf("file:3: %w", errPlace)
	for _, tt := range []struct {
		name   string
		err    error
		status int
		stderr string
	}{
		{"none", nil, 0, ""},
		{"one", one, 1, "demo: open x: no such file\n"},
		{"all is said", cli.ErrFailed, 1, ""},
		{"all is said, with a reason", fmt.Errorf("two of three: %w", cli.ErrFailed), 1, "demo: two of three: cli: failed\n"},
		{"usage", cli.Usagef("--limit: %w", one), 2, "demo: --limit: open x: no such file" + help},
		{"wrapped usage", fmt.Errorf("options: %w", cli.Usagef("no")), 2, "demo: options: no" + help},
		{"joined", errors.Join(one, two), 1, "demo: open x: no such file\ndemo: open y: is a directory\n"},
		{"joined within joined", errors.Join(errors.Join(one, nil), errors.Join(two, cli.ErrFailed)), 1,
			"demo: open x: no such file\ndemo: open y: is a directory\n"},
		{"joined with usage", errors.Join(one, cli.Usagef("no")), 2, "demo: open x: no such file\ndemo: no" + help},
		{"joined usage", errors.Join(cli.Usagef("no"), cli.Usagef("neither")), 2, "demo: no" + help + "demo: neither" + help},
		{"a text around joined ones", fmt.Errorf("both: %w", errors.Join(one, two)), 1,
			"demo: both: open x: no such file\\nopen y: is a directory\n"},
		{"two in one text", fmt.Errorf("%w, for %w", one, two), 1, "demo: open x: no such file, for open y: is a directory\n"},
		{"lines", errors.New("a\r\nb"), 1, "demo: a\\r\\nb\n"},
		{"escapes", errors.New("\x1b[31mred\x00\xff"), 1, "demo: \\x1b[31mred\\x00\\xff\n"},
		{"usage with escapes", cli.Usagef("\x1b"), 2, "demo: \\x1b" + help},
		{"with a place", placed, 1, "file:3: placed\n"},
		{"joined with a place", errors.Join(one, placed), 1, "demo: open x: no such file\nfile:3: placed\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			placed := func(err error) bool { return errors.Is(err, errPlace) }
			tool, env := newTool(cli.Config{Name: "demo", Placed: placed})
			status := tool.Run(plain(tt.err))
			if status != tt.status || env.stdout.Len() > 0 || env.stderr.String() != tt.stderr {
				t.Errorf("got %d, %q, %q, want %d, %q", status, &env.stdout, &env.stderr, tt.status, tt.stderr)
			}

			// Told before the end it is the same.
			tool, env = newTool(cli.Config{Name: "demo", Placed: placed})
			status = tool.Run(func([]string) error {
				tool.Report(tt.err)
				return nil
			})
			if status != tt.status || env.stderr.String() != tt.stderr {
				t.Errorf("reported: got %d, %q, want %d, %q", status, &env.stderr, tt.status, tt.stderr)
			}
		})
	}
}

var errPlace = errors.New("placed")

func TestReport(t *testing.T) {
	for _, tt := range []struct {
		errs   []error // the last one is returned
		status int
		stderr string
	}{
		{[]error{nil, nil}, 0, ""},
		{[]error{errors.New("a"), nil}, 1, "demo: a\n"},
		{[]error{errors.New("a"), cli.ErrFailed}, 1, "demo: a\n"},
		{[]error{cli.Usagef("a"), errors.New("b")}, 2, "demo: a; see demo --help\ndemo: b\n"},
		{[]error{errors.New("a"), cli.Usagef("b")}, 2, "demo: a\ndemo: b; see demo --help\n"},
	} {
		tool, env := newTool(cli.Config{Name: "demo"})
		status := tool.Run(func([]string) error {
			tool.Report(tt.errs[0])
			return tt.errs[1]
		})
		if status != tt.status || env.stderr.String() != tt.stderr {
			t.Errorf("%v: got %d, %q, want %d, %q", tt.errs, status, &env.stderr, tt.status, tt.stderr)
		}
	}
}

func TestUsageError(t *testing.T) {
	err := fmt.Errorf("wrapped: %w", cli.Usagef("--file: %w", os.ErrNotExist))
	usage := (*cli.UsageError)(nil)
	if !errors.As(err, &usage) || usage.Error() != "--file: file does not exist" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, %v", err, usage)
	}
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		variable string
		args     string
		want     string // verbose, limit, the arguments
	}{
		{"", "", "false 10 []"},
		{"", "a b", "false 10 [a b]"},
		{"", "-l 5", "false 5 []"},
		{"", "-l5 --verbose", "true 5 []"},
		{"", "-vl5", "true 5 []"},
		{"", "--limit=5 a", "false 5 [a]"},
		{"", "a --limit 5 b -v c", "true 5 [a b c]"},
		{"", "-l 5 --limit 6", "false 6 []"},
		{"", "-- -v --limit", "false 10 [-v --limit]"},
		{"", "a -- -v", "false 10 [a -v]"},
		{"", "- -v", "true 10 [-]"},
		{"", "--verbose=false", "false 10 []"},
		{"--limit 7", "", "false 7 []"},
		{"-l7 -v", "--limit 8 y", "true 8 [y]"},
		{"--limit '9'", "", "false 9 []"},
		{"--limit 7", "-- -v", "false 7 [-v]"},
	} {
		tool, env := newTool(cli.Config{Name: "demo", Variable: "DEMO"}, strings.Fields(tt.args)...)
		env.variables["DEMO"] = tt.variable
		verbose := tool.Flags.BoolP("verbose", "v", false, "")
		limit := tool.Flags.IntP("limit", "l", 10, "")
		got := "never"
		status := tool.Run(func(args []string) error {
			got = fmt.Sprint(*verbose, *limit, args)
			return nil
		})
		if status != 0 || got != tt.want || env.stderr.Len() > 0 {
			t.Errorf("%q, %q: got %d, %s, %s, want %s", tt.variable, tt.args, status, got, &env.stderr, tt.want)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	for _, tt := range []struct {
		variable, args string
		want           string
	}{
		{"", "--nothing", "unknown flag: --nothing"},
		{"", "-x", "unknown shorthand flag: 'x' in -x"},
		{"", "--limit", "flag needs an argument: --limit"},
		{"", "--limit many", `invalid argument "many" for "-l, --limit" flag: not a number`},
		{"", "--limit=99999999999999999999", `invalid argument "99999999999999999999" for "-l, --limit" flag: out of range`},
		{"", "--verbose=often", `invalid argument "often" for "--verbose" flag: neither true nor false`},
		{"", "--log-level loud", `--log-level: "loud" is none of panic, fatal, error, warning, info, debug, trace`},
		{"", "--completion fish", `--completion: "fish" is none of bash, zsh`},
		{"", "--completion=", `--completion: "" is none of bash, zsh`},
		{"", "--log-file=", "--log-file: the name is empty"},
		{"--nothing", "", "DEMO: unknown flag: --nothing"},
		{"--nothing", "--limit 5", "DEMO: unknown flag: --nothing"},
		{"--nothing", "--neither", "DEMO: unknown flag: --nothing"}, // one after the other
		{"--limit", "5", "DEMO: flag needs an argument: --limit"},
		{"--verbose=often", "", `DEMO: invalid argument "often" for "--verbose" flag: neither true nor false`},
		{"--log-level loud", "", `DEMO: --log-level: "loud" is none of panic, fatal, error, warning, info, debug, trace`},
		{"--log-file=", "", "DEMO: --log-file: the name is empty"},
		{"--", "--limit 5", "DEMO: only options can stand there, not --"},
		{"-l5 -- a", "", "DEMO: only options can stand there, not --"},
		{"-l5 'a b'", "", `DEMO: only options can stand there, not "a b"`},
		{"'", "", "DEMO: a quote without its end, or a backslash at the end"},
		{"", "--\x1b[2J", `unknown flag: --\x1b[2J`},
		{"", "--nothing --help", "unknown flag: --nothing"},
		// Before the file is open there is one line, not two.
		{"", "--log-file /dev/null --nothing", "unknown flag: --nothing"},
	} {
		for config, status := range map[int]int{0: 2, cli.StatusBad: 1, cli.StatusUsage: 2, 9: 9} {
			tool, env := newTool(cli.Config{Name: "demo", Variable: "DEMO", UsageStatus: config}, strings.Fields(tt.args)...)
			env.variables["DEMO"] = tt.variable
			tool.Flags.IntP("limit", "l", 10, "")
			tool.Flags.Bool("verbose", false, "")
			got := tool.Run(func([]string) error {
				t.Errorf("%q: it runs", tt.args)
				return nil
			})
			if want := "demo: " + tt.want + "; see demo --help\n"; got != status || env.stdout.Len() > 0 || env.stderr.String() != want {
				t.Errorf("%q: got %d, %q, %q, want %d, %q", tt.args, got, &env.stdout, &env.stderr, status, want)
			}
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	const help = "Usage: demo\n"
	for _, tt := range []struct {
		args string
		want string // empty: a version, which depends on how this was built
	}{
		{"--help --log-level loud --log-file=", help}, // who asks for help may need it
		{"--help", help},
		{"-h", help},
		{"a --help b", help},
		{"--version --help", help},
		{"--version", ""},
		{"-V", ""},
		{"--version --completion bash", ""},
		{"--help --log-file /missing/log", help}, // nothing is logged
	} {
		for _, variable := range []string{"", "--nothing", "--", "word", "'", "--log-level loud"} {
			tool, env := newTool(cli.Config{Name: "demo", Help: help, Variable: "DEMO"}, strings.Fields(tt.args)...)
			env.variables["DEMO"] = variable
			status := tool.Run(func([]string) error {
				t.Errorf("%q: it runs", tt.args)
				return nil
			})
			got := env.stdout.String()
			if tt.want == "" && regexp.MustCompile(`^\S+\n$`).MatchString(got) {
				got = ""
			}
			if status != 0 || got != tt.want || env.stderr.Len() > 0 {
				t.Errorf("%q, %q: got %d, %q, %q", variable, tt.args, status, &env.stdout, &env.stderr)
			}
		}
	}
}

// TestOutputThatCanNotBeWritten: that the standard output is full is an error like others.
func TestOutputThatCanNotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = full.Close() }()
	for _, args := range []string{"--help", "--version", "--completion bash", "--completion zsh"} {
		var stderr bytes.Buffer
		tool := cli.New(cli.Config{Name: "demo", Help: "Usage\n"}, cli.Env{Args: strings.Fields(args), Stdout: full, Stderr: &stderr})
		status := tool.Run(plain(nil))
		if want := "demo: write /dev/full: no space left on device\n"; status != 1 || stderr.String() != want {
			t.Errorf("%q: got %d, %q", args, status, &stderr)
		}
	}
	// Where the errors can't be told the status tells.
	tool := cli.New(cli.Config{Name: "demo"}, cli.Env{Stdout: full, Stderr: full})
	if status := tool.Run(plain(errors.New("x"))); status != 1 {
		t.Errorf("status %d", status)
	}
}

// TestReaderThatGoesAway: System makes it an error of the write. This test is its own program, so that the signal can
// kill it.
func TestReaderThatGoesAway(t *testing.T) {
	const inChild = "CLI_TEST_SYSTEM"
	if os.Getenv(inChild) != "" {
		env := cli.System()
		env.Args = nil // which are those of the test
		tool := cli.New(cli.Config{Name: "demo"}, env)
		os.Exit(tool.Run(func([]string) error {
			_, err := fmt.Fprintln(tool.Stdout, "x")
			return err
		}))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	defer func() { _ = w.Close() }()
	var stderr strings.Builder
	cmd := exec.Command(self)
	cmd.Args = append(cmd.Args, "-test.run=^"+t.Name()+"$")
	// Under the race detector a process waits a second before it ends, for races to be reported.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"), inChild+"=1")
	cmd.Stdout, cmd.Stderr = w, &stderr
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 ||
		stderr.String() != "demo: write /dev/stdout: broken pipe\n" {
		t.Errorf("got %v, %q", err, &stderr)
	}
}

func TestSystem(t *testing.T) {
	env := cli.System()
	if !slices.Equal(env.Args, os.Args[1:]) || env.Stdin != os.Stdin || env.Stdout != os.Stdout || env.Stderr != os.Stderr {
		t.Errorf("got %v", env)
	}
	t.Setenv("CLI_TEST", "x")
	if env.Getenv("CLI_TEST") != "x" {
		t.Error("another environment")
	}
}
