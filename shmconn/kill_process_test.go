//go:build linux

package shmconn_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// otherProcess is the test binary once more, as the other side of connections. It begins when it is let go.
type otherProcess struct {
	tb     testing.TB
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Scanner
	stderr bytes.Buffer
	ended  bool
}

// inherited is the descriptor that startOther gives to the process as shared.
const inherited = 3

// startOther starts a process that runs one test, with a variable of its environment set. Whoever waits for it limits its
// time.
func startOther(tb testing.TB, test, variable string, shared *sharedTally) *otherProcess {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	p := &otherProcess{tb: tb, cmd: exec.Command(self, "-test.run=^"+test+"$", "-test.timeout=0")}
	p.cmd.Env = append(os.Environ(), variable, "GORACE=atexit_sleep_ms=0")
	p.cmd.ExtraFiles = []*os.File{shared.file}
	p.cmd.Stderr = &p.stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	p.stdout = bufio.NewScanner(stdout)
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if !p.ended {
			p.kill()
			_ = p.wait()
		}
	})
	return p
}

// letGo lets the process begin.
func (p *otherProcess) letGo() {
	p.tb.Helper()
	if _, err := p.stdin.Write([]byte{'\n'}); err != nil {
		p.tb.Fatal(err)
	}
}

// otherLetGo waits, in the other process, to be let go; false if nobody does.
func otherLetGo() bool {
	n, _ := os.Stdin.Read(make([]byte, 1))
	return n == 1
}

// says waits for a line.
func (p *otherProcess) says(want string) {
	p.tb.Helper()
	if !p.stdout.Scan() || p.stdout.Text() != want {
		p.tb.Fatalf("the process says %q (%v) and not %q\n%s", p.stdout.Text(), p.stdout.Err(), want, &p.stderr)
	}
}

// kill ends the process as kill -9 does.
func (p *otherProcess) kill() { _ = p.cmd.Process.Kill() }

// wait waits until the process has gone.
func (p *otherProcess) wait() error {
	p.ended = true
	return errors.Join(p.stdin.Close(), p.cmd.Wait())
}

// wasKilled waits until the process has gone, which has to be by kill.
func (p *otherProcess) wasKilled() {
	p.tb.Helper()
	_ = p.wait()
	status, _ := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != syscall.SIGKILL {
		p.tb.Errorf("the process has ended by itself: %v\n%s", p.cmd.ProcessState, &p.stderr)
	}
}

// sharedTally is a count that two processes share: what one has stored the other can read after a kill.
type sharedTally struct {
	*atomic.Uint64
	file *os.File // nil in the process that has inherited it
}

func newTally(tb testing.TB) *sharedTally {
	tb.Helper()
	fd, err := sys.MemFD("tally", os.Getpagesize())
	if err != nil {
		tb.Fatal(err)
	}
	s := mapTally(tb, fd)
	s.file = os.NewFile(uintptr(fd), "tally")
	tb.Cleanup(func() { _ = s.file.Close() })
	return s
}

// mapTally maps the count of a descriptor, which stays open.
func mapTally(tb testing.TB, fd int) *sharedTally {
	tb.Helper()
	mem, err := sys.MapShared(fd, os.Getpagesize(), true)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = sys.Unmap(mem) })
	return &sharedTally{Uint64: (*atomic.Uint64)(unsafe.Pointer(unsafe.SliceData(mem)))}
}

// runLoopBeside runs the loop on a goroutine of its own until the test ends.
func runLoopBeside(tb testing.TB, loop *communicator.Communicator) {
	tb.Helper()
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(context.Background()) }()
	tb.Cleanup(func() {
		loop.Stop(nil)
		if err := looptest.Await(tb, ended, "the loop's end"); err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
}

// ringHoldings says what this process has of what a ring needs: descriptors and mappings.
func ringHoldings(tb testing.TB) string {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	descriptors := map[string]int{}
	for _, e := range entries {
		target, _ := os.Readlink("/proc/self/fd/" + e.Name())
		for _, kind := range []string{"socket:", "/memfd:", "[eventfd]"} {
			if strings.Contains(target, kind) {
				descriptors[kind]++
			}
		}
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf("descriptors %v, mapped areas %d and records %d",
		descriptors, bytes.Count(maps, []byte("memfd:ring")), bytes.Count(maps, []byte("memfd:record")))
}
