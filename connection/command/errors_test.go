//go:build linux

package command_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/command"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestErrors: what can't be started leaves nothing behind.
func TestErrors(t *testing.T) {
	text := t.TempDir() + "/text"
	if err := os.WriteFile(text, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out output
	file := os.Stdin
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, tt := range []struct {
		name string
		cmd  *exec.Cmd
		c    command.Config
		want error
	}{
		{"not found", exec.Command("there-is-no-such-command"), command.Config{Stdout: &out, Input: true}, exec.ErrNotFound},
		{"no such file", exec.Command("/there/is/no/such/command"), command.Config{Stdout: &out, Stderr: &out, Input: true}, os.ErrNotExist},
		{"not executable", exec.Command(text), command.Config{Stdout: &out, Group: true}, os.ErrPermission},
		{"no folder", &exec.Cmd{Path: "/bin/true", Dir: text}, command.Config{Stdout: &out}, syscall.ENOTDIR},
		{"Stdin no file", &exec.Cmd{Path: "/bin/true", Stdin: strings.NewReader("")}, command.Config{}, command.ErrNotFile},
		{"Stdout no file", &exec.Cmd{Path: "/bin/true", Stdout: &out.Buffer}, command.Config{}, command.ErrNotFile},
		{"Stderr no file", &exec.Cmd{Path: "/bin/true", Stderr: &out.Buffer}, command.Config{}, command.ErrNotFile},
		{"Stdin twice", &exec.Cmd{Path: "/bin/true", Stdin: file}, command.Config{Input: true}, command.ErrTwice},
		{"Stdout twice", &exec.Cmd{Path: "/bin/true", Stdout: file}, command.Config{Stdout: &out}, command.ErrTwice},
		{"Stderr twice", &exec.Cmd{Path: "/bin/true", Stderr: file}, command.Config{Stderr: &out}, command.ErrTwice},
		{"Combined twice", &exec.Cmd{Path: "/bin/true", Stderr: file}, command.Config{Stdout: &out, Combined: true}, command.ErrTwice},
		{"Combined and Stderr", &exec.Cmd{Path: "/bin/true"}, command.Config{Stderr: &out, Combined: true}, command.ErrTwice},
		{"context", exec.CommandContext(ctx, "true"), command.Config{}, command.ErrContext},
		{"WaitDelay", &exec.Cmd{Path: "/bin/true", WaitDelay: 1}, command.Config{}, command.ErrContext},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fdtest.Check(t)
			loop, log := looptest.New(t)
			p, err := command.Start(loop, tt.cmd, tt.c)
			if p != nil || !errors.Is(err, tt.want) {
				t.Errorf("Start: %v, want %v", err, tt.want)
			}
			if n := len(loop.Sources()); n > 0 {
				t.Errorf("%d sources are in the loop", n)
			}
			looptest.Run(t, loop)
			if _, err := command.Start(loop, exec.Command("true"), command.Config{Stdout: &out, Input: true}); !errors.Is(err, communicator.ErrClosed) {
				t.Errorf("Start on a loop that has ended: %v", err)
			}
			if len(log.Records()) > 0 || out.closed > 0 {
				t.Errorf("logged: %q; %d outputs closed", log.Records(), out.closed)
			}
		})
	}
}

// only leaves the process so many numbers for new descriptors until they are given back.
func only(tb testing.TB, room int) (giveBack func()) {
	tb.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		tb.Fatal(err)
	}
	lowest, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	_ = unix.Close(lowest)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(lowest + room), Max: old.Max}); err != nil {
		tb.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			tb.Error(err)
		}
	})
}

// TestNoDescriptors gives Start one more each time, until it has enough.
func TestNoDescriptors(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var ends exits
	var out output
	failed := 0
	for room := 0; ; room++ {
		giveBack := only(t, room)
		cmd := exec.Command("/bin/true")
		_, err := command.Start(loop, cmd, command.Config{Input: true, Stdout: &out, Stderr: &out, Exit: ends.exit})
		if cmd.Process != nil && err != nil {
			await(t, "the process is gone", func() bool { return gone(cmd.Process.Pid) })
		}
		giveBack()
		if err == nil {
			break
		}
		if failed++; !errors.Is(err, syscall.EMFILE) || failed > 100 {
			t.Fatalf("%d times it failed, with %v", failed, err)
		}
	}
	looptest.Run(t, loop)
	ends.expect(t, procwatch.Exited, 0, 0)
	if failed < 5 {
		t.Errorf("it failed %d times", failed)
	}
}
