package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

// runHere runs the program.
func runHere(stdin io.Reader, args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = run(cli.Env{Args: args, Stdin: stdin, Stdout: &out, Stderr: &err})
	return status, out.String(), err.String()
}

// check runs the program on the standard input and compares all that comes out. A line of the wanted standard error
// that ends in "…" is the begin of one: some reasons are no business of these tests.
func check(t *testing.T, args []string, stdin string, status int, stdout, stderr string) {
	t.Helper()
	for _, in := range []struct {
		how string
		r   io.Reader
	}{
		{"at once", strings.NewReader(stdin)},
		{"in pieces", iotest.OneByteReader(strings.NewReader(stdin))},
		{"with its end", iotest.DataErrReader(strings.NewReader(stdin))},
	} {
		gotStatus, gotOut, gotErr := runHere(in.r, args...)
		if gotStatus != status {
			t.Errorf("%q %s: status %d, want %d", args, in.how, gotStatus, status)
		}
		if diff := cmp.Diff(stdout, gotOut); diff != "" {
			t.Errorf("%q %s: standard output, want (-), got (+):\n%s", args, in.how, diff)
		}
		if diff := cmp.Diff(stderr, cut(gotErr, stderr)); diff != "" {
			t.Errorf("%q %s: standard error, want (-), got (+):\n%s", args, in.how, diff)
		}
	}
}

// cut shortens the lines of got that begin as those of want that end in "…".
func cut(got, want string) string {
	lines := strings.SplitAfter(got, "\n")
	for i, begin := range strings.SplitAfter(want, "\n") {
		begin, short := strings.CutSuffix(begin, "…\n")
		if short && i < len(lines) && strings.HasPrefix(lines[i], begin) && strings.HasSuffix(lines[i], "\n") {
			lines[i] = begin + "…\n"
		}
	}
	return strings.Join(lines, "")
}

// folder makes a folder with these files the current one.
func folder(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFiles(t *testing.T) {
	percent := debug.SetGCPercent(-1) // which would close files, too
	t.Cleanup(func() { debug.SetGCPercent(percent) })
	fdtest.Check(t)
	folder(t, map[string]string{
		"good":  "PING\n",
		"open":  "STOP", // without an end of its line
		"bad":   "PING\nping\nSTOP\n",
		"empty": "",
		"-x":    "DASH\n",
	})
	if err := os.Mkdir("folder", 0o700); err != nil {
		t.Fatal(err)
	}
	const (
		ping    = `{"command":"PING"}` + "\n"
		stop    = `{"command":"STOP"}` + "\n"
		in      = `{"command":"IN"}` + "\n"
		badLine = `bad:2: command "ping" at byte 0: not a command: capital letters, digits and underscores, no digit first` + "\n"
		missing = "ed-message: open missing: no such file or directory\n"
		noFile  = "ed-message: read folder: is a directory\n"
	)
	for _, tt := range []struct {
		args           string
		status         int
		stdout, stderr string
	}{
		{"", 0, in, ""},
		{"-", 0, in, ""},
		{"good", 0, ping, ""},
		{"open good", 0, stop + ping, ""},
		{"good - open", 0, ping + in + stop, ""},
		{"- -", 0, in, ""}, // the second time it is at its end
		{"empty", 0, "", ""},
		{"empty good empty good", 0, ping + ping, ""},
		{"-- -x", 0, `{"command":"DASH"}` + "\n", ""},
		{"good --to text", 0, "PING\n", ""},
		{"missing", 1, "", missing},
		{"good missing good", 1, ping, missing},
		{"good missing good --keep-going", 1, ping + ping, missing},
		{"folder good", 1, "", noFile},
		{"folder good --keep-going", 1, ping, noFile},
		{"bad good", 1, ping, badLine},
		{"bad good --keep-going", 1, ping + "\n" + stop + ping, badLine},
		{"bad missing bad --keep-going --check", 1, "", badLine + missing + badLine},
		{"good --check missing", 1, "", missing},
		{"good open --check", 0, "", ""},
	} {
		check(t, strings.Fields(tt.args), "IN\n", tt.status, tt.stdout, tt.stderr)
	}
}

func TestUsageErrors(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--nonsense"}, "--nonsense"},
		{[]string{"-x"}, "-x"},
		{[]string{"--from", "xml"}, `--from: "xml" is none of auto, text and json`},
		{[]string{"--from", ""}, `--from: ""`},
		{[]string{"--to", "auto"}, `--to: "auto" is neither text nor json`},
		{[]string{"--to", "JSON"}, `--to: "JSON"`},
		{[]string{"--to="}, `--to: ""`},
		{[]string{"--to"}, "needs an argument"},
		{[]string{"--check=maybe"}, "maybe"},
	} {
		status, stdout, stderr := runHere(strings.NewReader("PING\n"), tt.args...)
		if status != 2 || stdout != "" || !strings.HasPrefix(stderr, "ed-message: ") ||
			!strings.Contains(stderr, tt.want) || !strings.HasSuffix(stderr, "; see ed-message --help\n") ||
			strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: got %d, %q, %q, want 2 and %q", tt.args, status, stdout, stderr, tt.want)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	unread := iotest.ErrReader(io.ErrUnexpectedEOF)
	for arg, want := range map[string]string{"--help": "--keep-going", "-h": "Usage: ed-message ", "--version": "\n"} {
		if status, stdout, stderr := runHere(unread, arg); status != 0 || !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("%s: got %d, %q, %q", arg, status, stdout, stderr)
		}
	}
}

// full returns a file that takes nothing.
func full(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// brokenPipe returns the end of a pipe that nobody reads.
func brokenPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func TestWriteErrors(t *testing.T) {
	many := strings.Repeat("PING a=1\n", 10*bufferSize/len("PING a=1\n"))
	noSpace := "ed-message: write: no space left on device\n"
	for _, tt := range []struct {
		stdin  string
		args   []string
		stdout io.Writer
		want   string
	}{
		{"PING\n", nil, full(t), noSpace},
		{many, nil, full(t), noSpace},
		{many, []string{"--keep-going", "-", "missing"}, full(t), noSpace},
		{"PING\nping\n", nil, full(t), noSpace}, // of the bad line there is nothing to say: nobody gets the good one
		{"PING\nping\nPING\n", []string{"--keep-going"}, full(t), noSpace},
		{"PING\n", nil, brokenPipe(t), "ed-message: write: broken pipe\n"},
		{"", []string{"--help"}, full(t), "ed-message: write /dev/full: no space left on device\n"},
		{"", []string{"--version"}, full(t), "ed-message: write /dev/full: no space left on device\n"},
		{"PING\n", nil, shortWriter{}, "ed-message: write: short write\n"},
		{"PING\n", []string{"--check"}, full(t), ""},
	} {
		var stderr bytes.Buffer
		status := run(cli.Env{Args: tt.args, Stdin: strings.NewReader(tt.stdin), Stdout: tt.stdout, Stderr: &stderr})
		if wantStatus := min(len(tt.want), 1); status != wantStatus || stderr.String() != tt.want {
			t.Errorf("%.20q %q: got %d, %q, want %d, %q", tt.stdin, tt.args, status, &stderr, wantStatus, tt.want)
		}
	}
}

// TestWriteErrorEndsReading: nothing more is read once nothing can be written.
func TestWriteErrorEndsReading(t *testing.T) {
	var stderr bytes.Buffer
	status := run(cli.Env{Args: []string{"--keep-going"}, Stdin: endless("PING\n"), Stdout: full(t), Stderr: &stderr})
	if status != 1 || stderr.String() != "ed-message: write: no space left on device\n" {
		t.Errorf("got %d, %q", status, &stderr)
	}
}

// endless is a text that repeats for ever.
type endless string

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for len(p)-n >= len(e) {
		n += copy(p[n:], e)
	}
	return n, nil
}

// shortWriter takes one byte at a time and breaks the rules of an io.Writer.
type shortWriter struct{}

func (shortWriter) Write([]byte) (int, error) { return 1, nil }

func TestReadErrors(t *testing.T) {
	broken := func(text string) io.Reader {
		return io.MultiReader(strings.NewReader(text), iotest.ErrReader(iotest.ErrTimeout))
	}
	for _, tt := range []struct {
		stdin, stdout string
	}{
		{"", ""},
		{"PING\n", `{"command":"PING"}` + "\n"},
		{"PING\nSTO", `{"command":"PING"}` + "\n"}, // who knows what follows
	} {
		status, stdout, stderr := runHere(broken(tt.stdin))
		if status != 1 || stdout != tt.stdout || stderr != "ed-message: timeout\n" {
			t.Errorf("%q: got %d, %q, %q", tt.stdin, status, stdout, stderr)
		}
	}
	// In the rest of a line that is too long, too.
	status, stdout, stderr := runHere(broken(strings.Repeat("X", 2<<20)), "--keep-going")
	if want := "<stdin>:1: at byte 1048576: longer than 1048576 bytes\ned-message: timeout\n"; status != 1 || stdout != "\n" || stderr != want {
		t.Errorf("got %d, %q, %q, want 1 and %q", status, stdout, stderr, want)
	}
}

// patience is how long a test waits for what should be there at once.
const patience = 10 * time.Second

var errStuck = errors.New("nothing came")

// TestFlush: what was read is there before more is asked for, also when a part of the next line came with it.
func TestFlush(t *testing.T) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	errR, errW := io.Pipe()
	stuck := time.AfterFunc(patience, func() {
		_, _, _ = inR.CloseWithError(errStuck), outW.CloseWithError(errStuck), errW.CloseWithError(errStuck)
	})
	defer stuck.Stop()
	ended := make(chan int)
	go func() {
		status := run(cli.Env{Args: []string{"--keep-going"}, Stdin: inR, Stdout: outW, Stderr: errW})
		_, _ = outW.Close(), errW.Close()
		ended <- status
	}()
	got := make([]byte, 1000)
	for _, step := range []struct {
		write      string
		from       io.Reader
		read, then string
	}{
		{"PING\n", outR, `{"command":"PING"}` + "\n", ""},
		{"STOP\nHE", outR, `{"command":"STOP"}` + "\n", ""},
		{"LP\n\nSTOP a", outR, `{"command":"HELP"}` + "\n\n", ""},
		{"=1\r\n", outR, `{"command":"STOP","parameters":{"a":"1"}}` + "\n", ""},
		{"READY\nready\nHELP\n", outR, `{"command":"READY"}` + "\n", "<stdin>:7: command "},
		{"", outR, "\n" + `{"command":"HELP"}` + "\n", ""},
	} {
		if step.write != "" { // of which a pipe would make a read
			if _, err := io.WriteString(inW, step.write); err != nil {
				t.Fatal(err)
			}
		}
		n, err := step.from.Read(got)
		if err != nil || string(got[:n]) != step.read {
			t.Fatalf("after %q: got %q, %v, want %q", step.write, got[:n], err, step.read)
		}
		if step.then == "" {
			continue
		}
		if n, err = errR.Read(got); err != nil || !strings.HasPrefix(string(got[:n]), step.then) {
			t.Fatalf("after %q: got %q, %v, want %q", step.write, got[:n], err, step.then)
		}
	}
	_ = inW.Close()
	if rest, err := io.ReadAll(outR); len(rest) > 0 || err != nil {
		t.Errorf("at the end: %q, %v", rest, err)
	}
	if status := <-ended; status != 1 {
		t.Errorf("status %d", status)
	}
}

// TestBadLineEndsAtOnce: without --keep-going nobody waits for what follows the bad line, nor for its end when it
// is too long.
func TestBadLineEndsAtOnce(t *testing.T) {
	for _, stdin := range []string{"ping\n", "PING\nping\nPI", strings.Repeat("X", 3*bufferSize)} {
		inR, inW := io.Pipe()
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			for err := error(nil); err == nil; {
				_, err = io.WriteString(inW, stdin)
			}
		}()
		if status, _, stderr := runHere(inR); status != 1 || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%.20q: got %d, %q", stdin, status, stderr)
		}
		_ = inR.Close()
		<-wrote
	}
}

func Example() {
	in := strings.NewReader("<web1:frontend db1:store/FETCH_USER id=42;fields=\"name;mail\"\n")
	fmt.Println(run(cli.Env{Stdin: in, Stdout: os.Stdout, Stderr: os.Stderr}))

	in = strings.NewReader(`{"service":"store","command":"FETCH_USER","parameters":{"id":42}}` + "\n")
	fmt.Println(run(cli.Env{Stdin: in, Stdout: os.Stdout, Stderr: os.Stderr}))
	// Output:
	// {"sent-from-server":"web1","sent-from-service":"frontend","server":"db1","service":"store","command":"FETCH_USER","parameters":{"fields":"name;mail","id":"42"}}
	// 0
	// store/FETCH_USER id=42
	// 0
}
