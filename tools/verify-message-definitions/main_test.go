package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

func noVariables(string) string { return "" }

// runHere runs the program.
func runHere(args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = run(cli.Env{Args: args, Getenv: noVariables, Stdout: &out, Stderr: &err})
	return status, out.String(), err.String()
}

// folder makes a folder with these files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestVerify(t *testing.T) {
	first := folder(t, map[string]string{
		"GOOD.conf": "[id]\ntype = integer\nflags = required\n",
		"BAD.conf":  "x = 1\n[id]\ntype = int\nflags = required, empty\n[other]\n",
		"BOTH.conf": "[id]\nflags = forbidden,required\n",
		"a-b.conf":  "",
	})
	second := folder(t, map[string]string{
		"BAD.conf":  "# hidden by the first folder's\n",
		"MORE.conf": "rubbish\n",
	})
	const badProblems = `1/BAD.conf:1: key "x" in front of the first section
1/BAD.conf:3: no such type: "int"
1/BAD.conf:4: no such flag: " empty"
1/BAD.conf:5: section "other" has no key: the C++ library ignores it; add a type or flags
`
	places := strings.NewReplacer(first, "1", second, "2")
	for _, tt := range []struct {
		args           string // 1 and 2 are the folders
		status         int
		stdout, stderr string
	}{
		{"-p 1:2 GOOD", 0, "", ""},
		{"GOOD -p 1", 0, "", ""},
		{"1/GOOD.conf", 0, "", ""},
		{"-v 1/GOOD.conf -p 1 GOOD", 0, "--- command: GOOD ---\n--- command: GOOD ---\n", ""},
		{"-p 1:2 BAD", 1, "", badProblems},
		{"-p 2:1 BAD", 0, "", ""},
		{"2/BAD.conf", 0, "", ""},
		{
			"-v -p 1:2 BAD NONE GOOD 2/MORE.conf 1/BOTH.conf", 1,
			"--- command: BAD ---\n--- command: NONE ---\n--- command: GOOD ---\n--- command: MORE ---\n--- command: BOTH ---\n",
			badProblems +
				"verify-message-definitions: no NONE.conf in \"1:2\": file does not exist\n" +
				"2/MORE.conf:1: neither [parameter] nor key=value nor a comment\n" +
				"1/BOTH.conf:2: both required and forbidden\n",
		},
		{"1/a-b.conf", 1, "", "1/a-b.conf: \"a-b\" is not the name of a command\n"},
		{"-c GOOD -p 1", 0, "", ""},
		{"-v -p 1 -c GOOD --commands 1/GOOD.conf", 0, "--- command: GOOD ---\n--- command: GOOD ---\n", ""},
		{"-v -p 1:2 MORE -c GOOD 1/GOOD.conf", 1, "--- command: GOOD ---\n--- command: MORE ---\n--- command: GOOD ---\n",
			"2/MORE.conf:1: neither [parameter] nor key=value nor a comment\n"},
		{"1/NONE.conf", 1, "", "verify-message-definitions: stat 1/NONE.conf: no such file or directory\n"},
		{"1/", 1, "", "1/: not a regular file\n"},
		{"-p 1 good", 1, "", "verify-message-definitions: command \"good\": not a command: capital letters, digits and underscores, " +
			"no digit first\n"},
		{"-p 1/GOOD.conf GOOD", 1, "", "verify-message-definitions: stat 1/GOOD.conf/GOOD.conf: not a directory\n"},
		{"-v -p 1 GOOD.conf", 1, "--- command: GOOD ---\n", "verify-message-definitions: stat GOOD.conf: no such file or directory\n"},
	} {
		args := strings.Fields(tt.args)
		for i, arg := range args {
			args[i] = strings.NewReplacer("1", first, "2", second).Replace(arg)
		}
		status, stdout, stderr := runHere(args...)
		if status != tt.status {
			t.Errorf("%s: got %d, want %d", tt.args, status, tt.status)
		}
		if diff := cmp.Diff(tt.stdout, stdout); diff != "" {
			t.Errorf("%s: standard output, want (-), got (+):\n%s", tt.args, diff)
		}
		if diff := cmp.Diff(tt.stderr, places.Replace(stderr)); diff != "" {
			t.Errorf("%s: standard error, want (-), got (+):\n%s", tt.args, diff)
		}
	}
}

// TestFilesOfThisFolder: a file needs no slash.
func TestFilesOfThisFolder(t *testing.T) {
	t.Chdir(folder(t, map[string]string{"GOOD.conf": "", "BAD.conf": "[a]\n"}))
	status, stdout, stderr := runHere("-p", "nowhere", "GOOD.conf", "./BAD.conf")
	const want = "./BAD.conf:1: section \"a\" has no key: the C++ library ignores it; add a type or flags\n"
	if status != cli.StatusBad || stdout != "" || stderr != want {
		t.Errorf("got %d, %q, %q", status, stdout, stderr)
	}
}

func TestUsageErrors(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--nonsense", "ALIVE"}, "--nonsense"},
		{[]string{"-x", "ALIVE"}, "'x'"},
		{[]string{"ALIVE", "-p"}, "'p'"},
		{[]string{"ALIVE", "--verbose=often"}, "often"},
	} {
		status, stdout, stderr := runHere(tt.args...)
		if status != cli.StatusUsage || stdout != "" || !strings.Contains(stderr, tt.want) ||
			!strings.HasPrefix(stderr, "verify-message-definitions: ") ||
			!strings.HasSuffix(stderr, "; see verify-message-definitions --help\n") {
			t.Errorf("%q: got %d, %q, %q, want %s", tt.args, status, stdout, stderr, tt.want)
		}
	}
	for _, args := range [][]string{{}, {"-v"}, {"--"}} {
		status, stdout, stderr := runHere(args...)
		if status != cli.StatusBad || stdout != "" || !strings.Contains(stderr, "at least one message name") {
			t.Errorf("%q: got %d, %q, %q", args, status, stdout, stderr)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	for arg, want := range map[string]string{"--help": defaultPath, "-h": "Usage:", "--version": "\n"} {
		if status, stdout, stderr := runHere(arg); status != 0 || !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("%s: got %d, %q, %q", arg, status, stdout, stderr)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("the disk is full") }

// TestOutputThatCanNotBeWritten: the definitions are read nevertheless.
func TestOutputThatCanNotBeWritten(t *testing.T) {
	bad := filepath.Join(folder(t, map[string]string{"BAD.conf": "[a]\n"}), "BAD.conf")
	for _, args := range [][]string{{"-v", bad, bad}, {"--help"}, {"--version"}} {
		var stderr bytes.Buffer
		status := run(cli.Env{Args: args, Getenv: noVariables, Stdout: full{}, Stderr: &stderr})
		const want = "verify-message-definitions: the disk is full\n"
		if status != cli.StatusBad || !strings.HasPrefix(stderr.String(), want) || strings.Count(stderr.String(), want) != 1 {
			t.Errorf("%q: got %d, %q", args, status, &stderr)
		}
		if args[0] == "-v" && !strings.Contains(stderr.String(), "BAD.conf:1: ") {
			t.Errorf("%q: got %q", args, &stderr)
		}
	}
}

func Example() {
	// verify-message-definitions --verbose testdata/FETCH_USER.conf
	env := cli.System()
	env.Args, env.Stderr = []string{"--verbose", "testdata/FETCH_USER.conf"}, os.Stdout
	fmt.Println(run(env))
	// Output:
	// --- command: FETCH_USER ---
	// testdata/FETCH_USER.conf:4: no such type: "int"
	// testdata/FETCH_USER.conf:5: no such flag: " empty"
	// testdata/FETCH_USER.conf:7: key "typ" is ignored
	// 1
}

// TestIgnoredKeys: a misspelt key is no mistake to a service, but it is to whoever checks the file.
func TestIgnoredKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "CMD.conf")
	if err := os.WriteFile(file, []byte("[a]\ntyp = integer\nflags = optional\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := runHere(file)
	if want := file + ":2: key \"typ\" is ignored\n"; status != cli.StatusBad || stdout != "" || stderr != want {
		t.Errorf("got %d, %q, %q", status, stdout, stderr)
	}
	// What is wrong besides comes in the order of lines.
	if err := os.WriteFile(file, []byte("[a]\ntype = int\ntyp = integer\n[b]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr = runHere(file)
	want := file + ":2: no such type: \"int\"\n" + file + ":3: key \"typ\" is ignored\n" +
		file + ":4: section \"b\" has no key: the C++ library ignores it; add a type or flags\n"
	if status != cli.StatusBad || stdout != "" || stderr != want {
		t.Errorf("got %d, %q, %q", status, stdout, stderr)
	}
}
