//go:build linux

package unixsock_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// TestTwoReplaceAStaleFile lets several listen at once on a path where somebody has left a file
// behind. One gets it and can be reached; the others are told that it is in use.
func TestTwoReplaceAStaleFile(t *testing.T) {
	fdtest.Check(t)
	const rounds, rivals = 400, 2
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	for round := range rounds {
		if err := unix.Close(rawListen(t, path, 1)); err != nil {
			t.Fatal(err)
		}
		var loops [rivals]*communicator.Communicator
		for i := range loops {
			loops[i] = looptest.NewLogging(t, slog.DiscardHandler)
		}
		var errs [rivals]error
		var listeners [rivals]*connection.Listener
		var group sync.WaitGroup
		begin := make(chan struct{})
		for i := range rivals {
			group.Go(func() {
				<-begin
				listeners[i], errs[i] = unixsock.Listen(loops[i], path, calls(i), unixsock.ListenConfig{})
			})
		}
		close(begin)
		group.Wait()

		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner >= 0:
				t.Errorf("round %d: %d and %d both listen", round, winner, i)
			case err == nil:
				winner = i
			case !errors.Is(err, syscall.EADDRINUSE):
				t.Errorf("round %d: %d was refused with %v, want EADDRINUSE", round, i, err)
			}
		}
		switch {
		case winner < 0:
			t.Errorf("round %d: nobody listens: %v", round, errs)
			_ = os.Remove(path)
		case !t.Failed():
			if got := answer(t, loops[winner], path); got != winner {
				t.Errorf("round %d: %d listens, and %d answers", round, winner, got)
			}
		}
		for _, l := range listeners {
			if l != nil {
				l.Close()
			}
		}
		for _, loop := range loops {
			_ = loop.Close()
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("round %d: left behind %v, %v", round, left, err)
		}
		if t.Failed() {
			return
		}
	}
}

// calls serves each connection by a number.
func calls(number int) connection.Serve {
	return func(_ connection.Loop, transport connection.Transport) error {
		_, err := transport.Write([]byte{byte(number)})
		return errors.Join(err, transport.Close())
	}
}

// answer connects to the path and returns the number that comes, or -1; the loop is the one that
// ought to send it.
func answer(t *testing.T, loop *communicator.Communicator, path string) int {
	t.Helper()
	conn, err := net.Dial("unix", path) // the kernel accepts, and the loop may find it later
	if err != nil {
		t.Error(err)
		return -1
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(looptest.Patience))
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = loop.Run(ctx)
	}()
	defer func() { <-ended }()
	defer end()
	var b [1]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		t.Error(err)
		return -1
	}
	return int(b[0])
}

// TestNULInPath: the kernel would cut the path there, and make another file.
func TestNULInPath(t *testing.T) {
	fdtest.Check(t)
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "a\x00b"), filepath.Join(dir, "a\x00"), "\x00abstract", "@a\x00b"} {
		_, err := unixsock.Listen(looptest.NewLogging(t, slog.DiscardHandler), path, welcome, unixsock.ListenConfig{})
		var opError *net.OpError
		if !errors.Is(err, sys.ErrPath) || !errors.As(err, &opError) || opError.Op != "listen" {
			t.Errorf("Listen on %q: %v, want %v", path, err, sys.ErrPath)
		}
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		c := &client{}
		dial(t, loop, path, c)
		looptest.Run(t, loop)
		if !errors.Is(c.cause, sys.ErrPath) || !errors.As(c.cause, &opError) || opError.Op != "dial" {
			t.Errorf("dialling %q: %v, want %v", path, c.cause, sys.ErrPath)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
}

// TestStaleFileLeavesNothing: what is replaced, and what is not, leaves no other file.
func TestStaleFileLeavesNothing(t *testing.T) {
	fdtest.Check(t)
	dir := t.TempDir()
	stale, used := filepath.Join(dir, "stale"), filepath.Join(dir, "used")
	if err := unix.Close(rawListen(t, stale, 1)); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(rawListen(t, used, 10))
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	l := mustListen(t, loop, stale, unixsock.ListenConfig{})
	if _, err := unixsock.Listen(loop, used, welcome, unixsock.ListenConfig{}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen: %v", err)
	}
	var names []string
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); err != nil || got != "stale used" {
		t.Errorf("the folder has %s, %v", got, err)
	}
	l.Close()
	looptest.Run(t, loop)
}
