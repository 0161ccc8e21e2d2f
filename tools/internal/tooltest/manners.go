package tooltest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The size of the smallest screen, that of a terminal of old.
const (
	screenLines   = 24
	screenColumns = 80
)

// Manners checks what every tool promises: a help that fits a screen, with examples and all options, which the manual
// page has as well, ../../doc/man/NAME.1; a version; scripts of completion that work in the shells; usage errors with
// that exit status; logs in a file; an error when the standard output is full or nobody reads it. Checks for which the
// machine lacks a program (mandoc, zsh) are skipped.
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
		t.Run("bash", func(t *testing.T) { checkBash(t, name, bash, options) })
		t.Run("zsh", func(t *testing.T) { checkZsh(t, name, output(t, program, "--completion", "zsh")) })
	})
	t.Run("usage", func(t *testing.T) {
		for _, args := range [][]string{
			{"--no-such-option"}, {"--log-level", "loud"}, {"--completion", "fish"}, {"--log-level"}, {"--log-file="},
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
		status, stdout, stderr := run(program, "--log-file", missing, "X")
		if status != 1 || stdout != "" || !strings.HasPrefix(stderr, name+": --log-file: ") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("status %d, %q, %q", status, stdout, stderr)
		}
	})
	t.Run("broken pipe", func(t *testing.T) { checkPipe(t, program, name) })
	t.Run("full", func(t *testing.T) {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip(err)
		}
		defer func() { _ = full.Close() }()
		for _, args := range [][]string{{"--help"}, {"--version"}, {"--completion", "bash"}} {
			status, stderr := runTo(full, program, args...)
			if status != 1 || !strings.HasPrefix(stderr, name+": write ") || strings.Count(stderr, "\n") != 1 {
				t.Errorf("%q: status %d, %q", args, status, stderr)
			}
		}
	})
}

// checkPipe has nobody read what the program prints, which is to be an error, and no death by SIGPIPE.
func checkPipe(t *testing.T, program, name string) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	defer func() { _ = w.Close() }()
	status, stderr := runTo(w, program, "--help")
	if want := name + ": write /dev/stdout: broken pipe\n"; status != 1 || stderr != want {
		t.Errorf("status %d, %q, want 1 and %q", status, stderr, want)
	}
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
	compare(t, "the help", mentioned(help), options)
}

// checkPage holds the manual page against the options, and has mandoc read it.
func checkPage(t *testing.T, name string, options []string) {
	file := filepath.Join("..", "..", "doc", "man", name+".1")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range []string{
		"NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "DIFFERENCES", "SEE ALSO",
	} {
		if !strings.Contains(string(text), "\n.Sh "+section+"\n") {
			t.Errorf("no section %s in the manual page", section)
		}
	}
	compare(t, "the manual page", listed(string(text)), options)
	needs(t, "mandoc")
	if out, err := exec.Command("mandoc", "-T", "lint", "-W", "warning", file).CombinedOutput(); err != nil {
		t.Errorf("mandoc: %v\n%s", err, out)
	}
}

// checkBash has bash complete a dash.
func checkBash(t *testing.T, name, script string, options []string) {
	needs(t, "bash")
	function := regexp.MustCompile(`(?m)^complete -F (\S+) ` + regexp.QuoteMeta(name) + `$`).FindStringSubmatch(script)
	if function == nil {
		t.Fatalf("the script completes nothing:\n%s", script)
	}
	call := script + "COMP_WORDS=(" + name + " -) COMP_CWORD=1\n" + function[1] + "\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
	out, err := exec.Command("bash", "--norc", "-c", call).CombinedOutput()
	if got := slices.Sorted(strings.FieldsSeq(string(out))); err != nil || !slices.Equal(got, options) {
		t.Errorf("bash: %v\n%s\nwant %q", err, out, options)
	}
}

// checkZsh has zsh read the script, as its users do.
func checkZsh(t *testing.T, name, script string) {
	needs(t, "zsh")
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	const read = `autoload -Uz compinit && compinit -u -D && source $1 && print -r -- "[$_comps[$2]]" && which $_comps[$2] >/dev/null`
	out, err := exec.Command("zsh", "-f", "-c", read, "zsh", file, name).CombinedOutput()
	if got := string(out); err != nil || !strings.HasPrefix(got, "[_") || !strings.HasSuffix(got, "]\n") || strings.Count(got, "\n") != 1 {
		t.Errorf("zsh: %v, %s\n%s", err, out, script)
	}
}

// needs skips a test for which a program is missing.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skip(err)
	}
}

// optionsOf returns the options that a script for bash completes.
func optionsOf(script string) []string {
	list := regexp.MustCompile(`words=\((--help [^)]*)\)`).FindStringSubmatch(script)
	if list == nil {
		return nil
	}
	return slices.Sorted(strings.FieldsSeq(list[1]))
}

// compare compares the options that a text has with those of the program.
func compare(t *testing.T, place string, got, options []string) {
	t.Helper()
	for _, option := range options {
		if !slices.Contains(got, option) {
			t.Errorf("not in %s: %s", place, option)
		}
	}
	for _, option := range got {
		if !slices.Contains(options, option) {
			t.Errorf("only in %s: %s", place, option)
		}
	}
}

// mentioned returns what stands in a text as an option, also one of another program.
func mentioned(text string) (options []string) {
	for _, match := range regexp.MustCompile(`(?:^|[^\w-])(--[A-Za-z][\w-]*|-[A-Za-z]\b)`).FindAllStringSubmatch(text, -1) {
		options = append(options, match[1])
	}
	return options
}

// listed returns the options that head the items of lists in a manual page, .It Fl s , Fl -long. A dash alone, which
// ends the options, is none.
func listed(page string) (options []string) {
	for item := range strings.Lines(page) {
		words := strings.Fields(item)
		if len(words) < 2 || words[0] != ".It" || words[1] != "Fl" {
			continue
		}
		for i, word := range words[1 : len(words)-1] {
			if name := words[i+2]; word == "Fl" && name != "-" {
				options = append(options, "-"+name)
			}
		}
	}
	return options
}

func run(program string, args ...string) (status int, stdout, stderr string) {
	var out strings.Builder
	status, stderr = runTo(&out, program, args...)
	return status, out.String(), stderr
}

// runTo runs a program that writes to stdout.
func runTo(stdout io.Writer, program string, args ...string) (status int, stderr string) {
	var err strings.Builder
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = stdout, &err
	if failed := cmd.Run(); failed != nil && cmd.ProcessState == nil {
		return -1, fmt.Sprint(failed)
	}
	return cmd.ProcessState.ExitCode(), err.String()
}

func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	status, stdout, stderr := run(program, args...)
	if status != 0 || stderr != "" {
		t.Fatalf("%s %q: status %d, %s", program, args, status, stderr)
	}
	return stdout
}
