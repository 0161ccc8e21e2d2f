//go:build linux

package command_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/command"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestStreams: each of the three is a stream of its own.
func TestStreams(t *testing.T) {
	fdtest.Check(t)
	loop, log := looptest.New(t)
	var out, errs output
	var ends exits
	cmd := shell("read line; echo out $line; echo err $line >&2; exit 3")
	p := start(t, loop, cmd, command.Config{Input: true, Stdout: &out, Stderr: &errs, Exit: ends.exit, Name: "demo"})
	var names []string
	for _, info := range loop.Sources() {
		names = append(names, info.Name)
	}
	for _, name := range []string{"demo", "demo process", "demo stdin", "demo stdout", "demo stderr"} {
		if !slices.Contains(names, name) {
			t.Errorf("in the loop are %q, and no %q", names, name)
		}
	}
	if p.Name() != "demo" {
		t.Errorf("it is called %q", p.Name())
	}
	if !p.Running() || p.PID() != cmd.Process.Pid {
		t.Errorf("running: %v, process %d", p.Running(), p.PID())
	}
	fmt.Fprintln(p.Stdin(), "text")
	looptest.Run(t, loop)
	out.expect(t, "out text\n", nil)
	errs.expect(t, "err text\n", nil)
	ends.expect(t, procwatch.Exited, 3, 0)
	if p.Running() || p.TimedOut() || cmd.ProcessState.ExitCode() != 3 || ends[0].PID != p.PID() {
		t.Errorf("running: %v, timed out: %v, state %v", p.Running(), p.TimedOut(), cmd.ProcessState)
	}
	if len(log.Records()) > 0 {
		t.Errorf("logged: %q", log.Records())
	}
}

func TestCombined(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var out output
	start(t, loop, shell("echo 1; echo 2 >&2; echo 3; echo 4 >&2"), command.Config{Stdout: &out, Combined: true})
	looptest.Run(t, loop)
	out.expect(t, "1\n2\n3\n4\n", nil)
}

// TestFiles: what the Config doesn't ask for is as the exec.Cmd says.
func TestFiles(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := shell("echo out; echo err >&2; test -z \"$(cat)\" && exit 4")
	cmd.Stdout = file
	var ends exits
	p := start(t, loop, cmd, command.Config{Combined: true, Exit: ends.exit})
	if p.Stdin() != nil || p.Stdout() != nil || p.Stderr() != nil || p.Name() != "sh" {
		t.Error("streams that nobody has asked for")
	}
	looptest.Run(t, loop)
	ends.expect(t, procwatch.Exited, 4, 0)
	if text, err := os.ReadFile(file.Name()); string(text) != "out\nerr\n" || err != nil {
		t.Errorf("the file has %q, %v", text, err)
	}
}

// TestInherits: a command has no descriptors but its own, whatever else runs.
func TestInherits(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var others [2]output
	var out output
	for i := range others {
		start(t, loop, shell("read line"), command.Config{Input: true, Stdout: &others[i], Timeout: 10 * looptest.Patience})
	}
	var ends exits
	exit := func(p *command.Process, e procwatch.Event) error {
		loop.Stop(nil)
		return ends.exit(p, e)
	}
	start(t, loop, exec.Command("ls", "/proc/self/fd"), command.Config{Input: true, Stdout: &out, Exit: exit})
	looptest.Run(t, loop)
	want, err := exec.Command("ls", "/proc/self/fd").Output() // with what this process has inherited itself
	if err != nil {
		t.Fatal(err)
	}
	out.expect(t, string(want), nil)
	ends.expect(t, procwatch.Exited, 0, 0)
}

// TestMegabyte sends one through cat, as it is taken.
func TestMegabyte(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	data := make([]byte, 1<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data)
	rest, drains, most := data, 0, 0
	write := func(p *command.Process) error {
		for len(rest) > 0 && p.Stdin().QueuedBytes() == 0 {
			n := min(len(rest), 50_000)
			if _, err := p.Stdin().Write(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
			most = max(most, p.Stdin().QueuedBytes())
		}
		if len(rest) == 0 {
			p.Stdin().Close()
		}
		return nil
	}
	sum, size := sha256.New(), 0
	count := connection.DataFunc(func(_ *connection.Stream, p []byte) (int, error) {
		size += len(p)
		return sum.Write(p)
	})
	var ends exits
	drain := func(p *command.Process) error { drains++; return write(p) }
	p := start(t, loop, exec.Command("cat"), command.Config{Input: true, Stdout: count, Drain: drain, Exit: ends.exit})
	if err := write(p); err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	ends.expect(t, procwatch.Exited, 0, 0)
	if want := sha256.Sum256(data); size != len(data) || !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Errorf("%d bytes came back, and not those that were sent", size)
	}
	if drains == 0 || most > 50_000 {
		t.Errorf("%d times there was room again; %d bytes waited", drains, most)
	}
}

// TestMegabyteAtOnce: all of it waits in memory, and Close delivers it.
func TestMegabyteAtOnce(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	text := strings.Repeat("0123456789abcdef", 1<<16)
	var out output
	p := start(t, loop, exec.Command("cat"), command.Config{Input: true, Stdout: &out})
	fmt.Fprint(p.Stdin(), text)
	p.Stdin().Close()
	looptest.Run(t, loop)
	out.expect(t, text, nil)
}

// TestHundred runs a hundred at once, each with its own output and status.
func TestHundred(t *testing.T) {
	fdtest.Check(t)
	loop, log := looptest.New(t)
	const n = 100
	outs := make([]output, n)
	ended := map[int]int{}
	pids := map[int]bool{}
	for i := range n {
		exit := func(p *command.Process, e procwatch.Event) error {
			if e.Kind != procwatch.Exited || e.Code != i || e.PID != p.PID() {
				t.Errorf("the end of %d: %v", i, e)
			}
			ended[i]++
			return nil
		}
		p := start(t, loop, shell("cat; exit $0", fmt.Sprint(i)), command.Config{Input: true, Stdout: &outs[i], Exit: exit})
		fmt.Fprintf(p.Stdin(), "input of %d", i)
		p.Stdin().Close()
		pids[p.PID()] = true
	}
	looptest.Run(t, loop)
	for i := range n {
		outs[i].expect(t, fmt.Sprintf("input of %d", i), nil)
		if ended[i] != 1 {
			t.Errorf("the Exit of %d was called %d times", i, ended[i])
		}
	}
	for pid := range pids {
		if !gone(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
	if len(pids) != n || len(log.Records()) > 0 {
		t.Errorf("%d processes; logged: %q", len(pids), log.Records())
	}
}

// TestNext: an Exit starts the next command; in the end nothing is left.
func TestNext(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var codes []int
	var next func(p *command.Process, e procwatch.Event) error
	next = func(_ *command.Process, e procwatch.Event) error {
		if codes = append(codes, e.Code); e.Code == 5 {
			return nil
		}
		_, err := command.Start(loop, shell("exit $0", fmt.Sprint(e.Code+1)), command.Config{Exit: next})
		return err
	}
	start(t, loop, shell("exit 1"), command.Config{Exit: next})
	looptest.Run(t, loop)
	if want := []int{1, 2, 3, 4, 5}; !slices.Equal(codes, want) {
		t.Errorf("they ended with %v, want %v", codes, want)
	}
}

// TestUnread: a command that ends before it has read its input is no failure.
func TestUnread(t *testing.T) {
	fdtest.Check(t)
	loop, log := looptest.New(t)
	var ends exits
	var p *command.Process
	exit := func(_ *command.Process, e procwatch.Event) error {
		if n, err := fmt.Fprint(p.Stdin(), "more"); n != 0 || err != connection.ErrClosed { //nolint:errorlint // the sentinel itself
			t.Errorf("Write after the end: %d, %v", n, err)
		}
		return ends.exit(p, e)
	}
	p = start(t, loop, shell("exec <&-; exit 0"), command.Config{Input: true, Exit: exit})
	fmt.Fprint(p.Stdin(), strings.Repeat("x", 1<<20))
	looptest.Run(t, loop)
	ends.expect(t, procwatch.Exited, 0, 0)
	if len(log.Records()) > 0 || p.Err() != nil {
		t.Errorf("logged: %q; error %v", log.Records(), p.Err())
	}
}

// TestHandlerFails: the stream closes, and the command gets SIGPIPE. So it does when it is closed in another way.
func TestHandlerFails(t *testing.T) {
	for _, how := range []string{"error", "Close"} {
		t.Run(how, func(t *testing.T) {
			fdtest.Check(t)
			loop, log := looptest.New(t)
			calls := 0
			h := connection.DataFunc(func(s *connection.Stream, data []byte) (int, error) {
				if calls++; how == "error" {
					return 0, errTest
				}
				s.Close()
				return len(data), nil
			})
			var ends exits
			start(t, loop, shell("while echo text; do :; done"), command.Config{Stdout: h, Exit: ends.exit})
			looptest.Run(t, loop)
			ends.expect(t, procwatch.Killed, 0, syscall.SIGPIPE)
			failed := len(log.Containing(errTest.Error()))
			if calls != 1 || failed != 1 && how == "error" {
				t.Errorf("%d calls; logged: %q", calls, log.Records())
			}
		})
	}
}

// TestExitFails: its error is logged.
func TestExitFails(t *testing.T) {
	loop, log := looptest.New(t)
	start(t, loop, exec.Command("true"), command.Config{Exit: func(*command.Process, procwatch.Event) error { return errTest }})
	looptest.Run(t, loop)
	if len(log.Containing(errTest.Error())) != 1 {
		t.Errorf("logged: %q", log.Records())
	}
}

// TestPaused: a command waits while nobody reads what it writes, and nothing is lost.
func TestPaused(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	const size = 1 << 20
	var out output
	var ends exits
	p := start(t, loop, exec.Command("head", "-c", fmt.Sprint(size), "/dev/zero"), command.Config{Stdout: &out, Exit: ends.exit})
	p.Stdout().Pause()
	turns := 0
	var wait func()
	wait = func() {
		if turns++; turns < 1000 {
			_ = loop.Post(wait)
			return
		}
		if !p.Running() || out.Len() > 0 || len(ends) > 0 {
			t.Errorf("running: %v, %d bytes, %d ends", p.Running(), out.Len(), len(ends))
		}
		p.Stdout().Resume()
	}
	_ = loop.Post(wait)
	looptest.Run(t, loop)
	ends.expect(t, procwatch.Exited, 0, 0)
	out.expect(t, strings.Repeat("\x00", size), nil)
}

// keeper doesn't close its stream at the end of the output.
type keeper struct {
	output
	rest string
}

func (k *keeper) HandleData(_ *connection.Stream, data []byte) (int, error) { return 0, nil }

func (k *keeper) HandleEOF(_ *connection.Stream, rest []byte) error {
	k.rest = string(rest)
	return nil
}

// TestKept: a stream is closed before Exit, also one that its handler keeps.
func TestKept(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var out keeper
	exited := 0
	exit := func(*command.Process, procwatch.Event) error {
		if exited++; out.closed != 1 || out.cause != nil || out.rest != "text\n" {
			t.Errorf("closed %d times with %v, rest %q", out.closed, out.cause, out.rest)
		}
		return nil
	}
	start(t, loop, exec.Command("echo", "text"), command.Config{Stdout: &out, Exit: exit})
	looptest.Run(t, loop)
	if exited != 1 {
		t.Errorf("Exit was called %d times", exited)
	}
}
