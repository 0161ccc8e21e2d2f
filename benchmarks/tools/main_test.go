package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
)

// asProgram is the environment variable that makes the test binary the program itself.
const asProgram = "TOOLS_BENCHMARK"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	fdtest.Main(m)
}

// runProgram runs the program with an empty folder for temporary files, and wants it empty at the end.
func runProgram(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	temp := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+temp)
	var out, problems strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &problems
	err = cmd.Run()
	if left, e := os.ReadDir(temp); e != nil || len(left) > 0 {
		t.Errorf("%q left %v, %v", args, left, e)
	}
	return out.String(), problems.String(), err
}

// TestProgram runs all tools that there are.
func TestProgram(t *testing.T) {
	stdout, stderr, err := runProgram(t, "--rounds", "2")
	if err != nil || stderr != "" {
		t.Fatalf("%v, %s%s", err, stdout, stderr)
	}
	if !strings.Contains(stdout, "; rounds: 2; ") {
		t.Errorf("not 2 rounds:\n%s", stdout)
	}
	const number = `-?\d+\.\d\d`
	for _, name := range append([]string{truth, empty}, existing(t)...) {
		wanted, verdict := 2, " (PASS|MISS)"
		if name == truth || name == empty {
			wanted, verdict = 1, ""
		}
		over := number + " / " + number
		if name == empty {
			over = "0"
		}
		row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(name) + ` \| (–|` + "`.*`" + `) \| ` + number + verdict +
			` \| ` + number + ` / ` + number + ` \| ` + over + verdict + ` \| .*` + number + `.* \| \d{3,} \|$`)
		if got := len(row.FindAllString(stdout, -1)); got != wanted {
			t.Errorf("%d rows of %s, want %d, in\n%s", got, name, wanted, stdout)
		}
	}
}

// existing returns the tools that this project has.
func existing(t *testing.T) (names []string) {
	t.Helper()
	folders, err := os.ReadDir(filepath.Join("..", "..", "tools"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if f.IsDir() && f.Name() != "internal" {
			names = append(names, f.Name())
		}
	}
	return names
}

// TestTools: no tool is forgotten here.
func TestTools(t *testing.T) {
	for _, name := range existing(t) {
		if !slices.Contains(toolNames(), name) {
			t.Errorf("%s is not in the table of the tools", name)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"--rounds", "0"}, {"--rounds", "10001"}, {"--only", "ed-nothing"}, {"x"}} {
		if stdout, stderr, err := runProgram(t, args...); err == nil || stdout != "" || stderr == "" {
			t.Errorf("%q: %v, %q, %q", args, err, stdout, stderr)
		}
	}
}

// TestTooLarge: a tool above the target is a failure, after the table.
func TestTooLarge(t *testing.T) {
	for _, c := range []struct {
		size    float64
		verdict string
		fails   bool
	}{{100, pass, false}, {0.5, miss, true}} {
		o := options{rounds: 1, only: "ed-message", size: c.size}
		var out bytes.Buffer
		err := o.benchmark(t.Context(), &out)
		if (err != nil) != c.fails || c.fails && !strings.Contains(err.Error(), "larger than 0.5 MB: ed-message (") {
			t.Errorf("%g MB: got %v", c.size, err)
		}
		if row := regexp.MustCompile(`\| ed-message \| .* \| \d\.\d\d ` + c.verdict + ` \|`); len(row.FindAllString(out.String(), -1)) != 2 {
			t.Errorf("%g MB: no %s in\n%s", c.size, c.verdict, &out)
		}
	}
}

// built returns what there is to measure with ed-message.
func built(t *testing.T) *bench {
	t.Helper()
	b, err := newBench()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
	if err := b.build(t.Context(), run.Only("ed-message")); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestJobsThatFail: there are no figures of what wasn't done.
func TestJobsThatFail(t *testing.T) {
	b := built(t)
	tool := b.programs[len(b.programs)-1]
	for want, j := range map[string]job{
		"unknown flag": {args: []string{"--no-such-flag"}},
		`want "PONG"`:  {args: []string{"message.txt"}, says: "PONG"},
	} {
		if err := b.try(t.Context(), tool, j); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", j, err, want)
		}
	}
	for want, args := range map[string][]string{
		"exit status 2, signal": {tool.path, "--no-such-flag"},
		"signal 9":              {"/bin/sh", "-c", "kill -9 $$"},
		"No such file":          {filepath.Join(b.dir, "nothing")},
	} {
		if s, err := b.once(t.Context(), args[0], args[1:]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, %v, want %s", args, s, err, want)
		}
	}
}

// TestInterrupted: what is ended at any moment leaves nothing behind. The deadline falls into the builds.
func TestInterrupted(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	for _, limit := range []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		o := options{rounds: maxRounds, only: "ed-message", size: targetSize}
		if err := o.benchmark(ctx, io.Discard); err == nil {
			t.Errorf("%v: no error", limit)
		}
		cancel()
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("%v: left %v, %v", limit, left, err)
		}
	}
}

// TestLimit: a program that does not end is killed, and not only the one that has started it.
func TestLimit(t *testing.T) {
	b := built(t)
	name := filepath.Join(b.dir, "alive")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := b.once(ctx, "/bin/sh", []string{"-c", "exec 3>alive; exec sleep 30"})
		ended <- err
	}()
	alive, err := os.Open(name) // waits for the program to open it
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	cancel()
	if err := <-ended; err == nil {
		t.Error("no error")
	}
	_ = alive.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := alive.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("it lives: %d, %v", n, err)
	}
}

// TestOnce holds the instrument to what a program is known to take.
func TestOnce(t *testing.T) {
	b := built(t)
	slow, err := b.once(t.Context(), "/bin/sh", []string{"-c", "sleep 0.1"})
	if err != nil || slow.wall < 100*time.Millisecond || slow.cpu > 50*time.Millisecond {
		t.Errorf("sleeping: got %+v, %v", slow, err)
	}
	busy, err := b.once(t.Context(), "/bin/sh", []string{"-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"})
	if err != nil || busy.cpu < 10*time.Millisecond || busy.wall < busy.cpu {
		t.Errorf("busy: got %+v, %v", busy, err)
	}
	// This process has more memory than the empty program, and lends it none.
	little, err := b.once(t.Context(), b.programs[1].path, nil)
	if err != nil || little.rss < 500 || little.rss > 4<<10 {
		t.Errorf("doing nothing: got %+v, %v", little, err)
	}
}

func TestOver(t *testing.T) {
	ms := func(v ...int64) (s series) {
		for _, n := range v {
			s.samples = append(s.samples, sample{wall: time.Duration(n) * time.Millisecond})
		}
		return s
	}
	if got := ms(5, 9, 4).over(ms(1, 2, 3), wall); !slices.Equal(got, []float64{4, 7, 1}) {
		t.Errorf("got %v", got)
	}
	if judge(7, 7) != pass || judge(7.01, 7) != miss {
		t.Error("what is equal to its target meets it")
	}
}
