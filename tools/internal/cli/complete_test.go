package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

// hostile is what a command that lists values may print: words that a careless script would run or expand.
const hostile = "alpha $(touch${IFS}owned) `touch${IFS}owned` * ~ beta"

// completing returns a tool with options that are hard to complete, and its environment.
func completing(t *testing.T, args ...string) (*cli.Tool, *environment) {
	t.Helper()
	tool, env := newTool(cli.Config{Name: "demo-x"}, args...)
	flags := tool.Flags
	flags.StringP("type", "t", "", "it's a `KIND[:X]`, \"quoted\" \\ $(touch owned): or `so`\non two lines")
	flags.StringP("file", "f", "", "a `FILE`")
	flags.StringArrayP("param", "p", nil, "[any] number of `NAME=VALUE`")
	flags.StringArray("only", nil, "one of the strange")
	flags.String("service", "", "what a command prints")
	flags.Duration("limit", time.Second, "without any suggestions")
	flags.Bool("verbose", false, "")
	flags.String("hidden", "", "")
	if err := flags.MarkHidden("hidden"); err != nil {
		t.Fatal(err)
	}
	tool.Complete("type", cli.Completion{Words: []string{"tcp", "udp", "unix", "unixgram"}})
	tool.Complete("file", cli.Completion{Files: true})
	tool.Complete("only", cli.Completion{Words: []string{"it's", "two words", `back\slash`, `"q"`, "$(touch owned)", "äö"}})
	tool.Complete("service", cli.Completion{Command: "printf '%s\\n' '" + hostile + "' 'last:'"})
	tool.Complete("", cli.Completion{Words: []string{"PING", "STOP", "STATUS"}})
	return tool, env
}

// scriptOf returns the script of the tool for a shell.
func scriptOf(t *testing.T, shell string) string {
	t.Helper()
	tool, env := completing(t, "--completion", shell)
	if status := tool.Run(nil); status != cli.StatusGood || env.stderr.String() != "" {
		t.Fatalf("status %d, %s", status, &env.stderr)
	}
	return env.stdout.String()
}

// has skips a test for a shell that isn't there.
func has(t *testing.T, shell string) {
	t.Helper()
	if _, err := exec.LookPath(shell); err != nil {
		t.Skip(err)
	}
}

// TestBashReplies calls the function as bash does, with the words as it breaks them.
func TestBashReplies(t *testing.T) {
	has(t, "bash")
	script := scriptOf(t, "bash")
	const all = "--help -h --version -V --completion --log-level --log-file --type -t --file -f --param -p --only --service " +
		"--limit --verbose"
	for _, tt := range []struct {
		words string // separated by blanks; _ is an empty one; the last one is to be completed
		want  string // what bash would insert, separated by blanks, < files
	}{
		{"-", all},
		{"--v", "--version --verbose"},
		{"--hid", ""},
		{"--type _", "tcp udp unix unixgram"},
		{"--type u", "udp unix unixgram"},
		{"-t un", "unix unixgram"},
		{"--type =", "tcp udp unix unixgram"},
		{"--type = u", "udp unix unixgram"},
		{"--type=u", "--type=udp --type=unix --type=unixgram"}, // where = is no break
		{"--type=", "--type=tcp --type=udp --type=unix --type=unixgram"},
		{"--type nothing", ""},
		{"--completion _", "bash zsh"},
		{"--log-level w", "warning"},
		{"--log-level = er", "error"},
		{"--limit _", ""},
		{"--param -", ""},
		{"--file x", "<compopt -o default>"},
		{"--log-file = x", "<compopt -o default>"},
		{"--verbose S", "STOP STATUS"},
		{"--type udp S", "STOP STATUS"},
		{"_", "PING STOP STATUS"},
		{"-- -", ""},
		{"-- ST", "STOP STATUS"},
		{"--only it", `it\'s`},
		{"--only two", `two\ words`},
		{`--only two\`, `two\ words`},
		{"--only back", `back\\slash`},
		{"--only $", `\$\(touch\ owned\)`},
		{"--service _", "alpha \\$\\(touch\\$\\{IFS\\}owned\\) \\`touch\\$\\{IFS\\}owned\\` \\* \\~ beta last:"},
		{"--service b", "beta"},
		{"--service l", "last:"},
	} {
		var words []string
		for word := range strings.FieldsSeq("demo-x " + tt.words) {
			if word == "_" {
				word = ""
			}
			words = append(words, word)
		}
		const call = `
compopt() { printf '<compopt %s>' "$*"; }
shopt -s nullglob
set -u
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_demo_x demo-x "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s' "${COMPREPLY[*]}"
`
		cmd := exec.Command("bash", append([]string{"--norc", "-c", script + call, "bash"}, words...)...)
		cmd.Dir = t.TempDir()
		got, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", tt.words, err, got)
		}
		if diff := cmp.Diff(tt.want, string(got)); diff != "" {
			t.Errorf("%q: want (-), got (+):\n%s", tt.words, diff)
		}
		if entries, err := os.ReadDir(cmd.Dir); err != nil || len(entries) > 0 {
			t.Errorf("%q: it made %v, %v", tt.words, entries, err)
		}
	}
}

// typed are command lines as typed, and the words that the program gets.
type typed []struct{ line, want string }

// The program that the shells run prints its words.
const program = "demo-x() { printf 'got'; printf '<%s>' \"$@\"; echo; }\nPS1='ready>'\n"

// complete types the lines in a shell on a terminal, in a folder with a file.
func (lines typed) complete(t *testing.T, shell *terminal) {
	t.Helper()
	for _, line := range lines {
		shell.expect("ready>")
		shell.send(line.line + "\r")
		shell.expect("got")
		if got := "got" + shell.expect("\n"); strings.TrimRight(got, "\r\n") != "got"+line.want {
			t.Errorf("%q gives %q, want %q", line.line, got, line.want)
		}
	}
	shell.expect("ready>")
	shell.send("exit\r")
	shell.wait()
	entries, err := os.ReadDir(shell.dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("it made %v, %v", entries, err)
	}
}

func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "my file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestBash completes in a bash on a terminal.
func TestBash(t *testing.T) {
	has(t, "bash")
	rc := filepath.Join(t.TempDir(), "rc")
	if err := os.WriteFile(rc, []byte(program+"bind 'set bell-style none'\n"+scriptOf(t, "bash")), 0o600); err != nil {
		t.Fatal(err)
	}
	typed{
		{"demo-x --comp\tz\t", "<--completion><zsh>"},
		{"demo-x --type=ud\t", "<--type=udp>"},
		{"demo-x -t tc\t PI\t", "<-t><tcp><PING>"},
		{"demo-x --file my\t", "<--file><my file>"},
		{"demo-x --file=my\t", "<--file=my file>"},
		{"demo-x --only tw\t", "<--only><two words>"},
		{"demo-x --only it\t", "<--only><it's>"},
		{"demo-x --service be\t", "<--service><beta>"},
		{"demo-x --service a\t", "<--service><alpha>"},
		{"demo-x --service \\$\t", "<--service><$(touch${IFS}owned)>"},
		{"demo-x --hid\t", "<--hid>"},
	}.complete(t, openTerminal(t, folder(t), nil, "bash", "--noprofile", "--rcfile", rc, "-i"))
}

// zshLines are completed the same way, however the script has come to zsh.
func zshLines() typed {
	return typed{
		{"demo-x --comp\tz\t", "<--completion=zsh>"},
		{"demo-x --type=ud\t", "<--type=udp>"},
		{"demo-x -t tc\tPI\t", "<-t><tcp><PING>"},
		{"demo-x --file my\t", "<--file><my file>"},
		{"demo-x --only=tw\t", "<--only=two words>"},
		{"demo-x --only it\t", "<--only><it's>"},
		{"demo-x --only=\\$\t", "<--only=$(touch owned)>"},
		{"demo-x --service be\t", "<--service><beta>"},
		{"demo-x --service la\t", "<--service><last:>"},
		{"demo-x --service \\$\t", "<--service><$(touch${IFS}owned)>"},
		{"demo-x --par\ta=1 --par\tb=2", "<--param=a=1><--param=b=2>"},
		{"demo-x --hid\t", "<--hid>"},
	}
}

// zsh starts a zsh that reads these lines first.
func zsh(t *testing.T, rc string) *terminal {
	t.Helper()
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".zshrc"), []byte(program+rc), 0o600); err != nil {
		t.Fatal(err)
	}
	return openTerminal(t, folder(t), []string{"ZDOTDIR=" + home}, "zsh", "-d", "-i")
}

// TestZshSource completes in a zsh that has read the script with source.
func TestZshSource(t *testing.T) {
	has(t, "zsh")
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(scriptOf(t, "zsh")), 0o600); err != nil {
		t.Fatal(err)
	}
	zshLines().complete(t, zsh(t, "autoload -Uz compinit; compinit -u -D\nsource <(cat "+file+")\n"))
}

// TestZshFunctionPath completes in a zsh that finds the script in a folder of fpath.
func TestZshFunctionPath(t *testing.T) {
	has(t, "zsh")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "_demo-x"), []byte(scriptOf(t, "zsh")), 0o600); err != nil {
		t.Fatal(err)
	}
	zshLines().complete(t, zsh(t, "fpath=("+dir+" $fpath)\nautoload -Uz compinit; compinit -u -D\n"))
}

// TestZshDescriptions: what zsh says of the options is the text of the program.
func TestZshDescriptions(t *testing.T) {
	has(t, "zsh")
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(scriptOf(t, "zsh")), 0o600); err != nil {
		t.Fatal(err)
	}
	shell := zsh(t, "autoload -Uz compinit; compinit -u -D\nsource "+file+"\n")
	shell.expect("ready>")
	shell.send("demo-x -\t")
	for _, want := range []string{
		"--help     -h  -- print this and exit",
		"--only         -- one of the strange",
		"--param    -p  -- [any] number of NAME=VALUE",
		"--type     -t  -- it's a KIND[:X], \"quoted\" \\ $(touch owned): or `so` on two lines",
	} {
		// Between words zsh has as many blanks as it takes for columns.
		listed := strings.Join(strings.Fields(want), " ")
		for line := ""; !strings.HasPrefix(line, listed); {
			line = strings.Join(strings.Fields(shell.expect("\n")), " ")
		}
	}
	shell.send("\x15exit\r")
	shell.wait()
}

func TestCompleteWithoutOption(t *testing.T) {
	defer func() {
		if problem := recover(); problem != "cli: Complete: no option --none" {
			t.Errorf("Complete with an option that isn't there: %v", problem)
		}
	}()
	tool, _ := newTool(cli.Config{Name: "demo"})
	tool.Complete("none", cli.Completion{})
}
