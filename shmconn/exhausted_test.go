//go:build linux

package shmconn_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

// TestDescriptorsExhausted: with however few descriptors left a dial fails with an error that says so, the loop goes
// on, and so does the listener when there are some again.
func TestDescriptorsExhausted(t *testing.T) {
	if out, err := childTest(t, "TestChildExhausted", "exhausted").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestChildExhausted has its limit of descriptors to itself.
func TestChildExhausted(t *testing.T) {
	if os.Getenv(childVariable) != "exhausted" {
		t.Skip("it is for TestDescriptorsExhausted")
	}
	var all unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &all); err != nil {
		t.Fatal(err)
	}
	made := 0
	const most = 12 // of both ends together
	for left := range uint64(most) {
		t.Run(fmt.Sprint(left), func(t *testing.T) {
			fdtest.Check(t)
			nothingMapped(t)
			loop, _ := runs(t)
			path := listens(t, loop, shmconn.RecordFunc(echo), shmconn.ListenConfig{})
			var err error
			var cancel func()
			done := make(chan error, 1)
			looptest.Do(t, loop, func() {
				must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: fillHoles(t) + left, Max: all.Max}))
				cancel, err = shmconn.Dialer{Path: path}.Dial(loop, func(transport connection.Transport, err error) {
					if transport != nil {
						err = errors.Join(err, transport.Close())
					}
					done <- err
				})
			})
			if err == nil {
				err = looptest.Await(t, done, "the end of the dialling")
				looptest.Do(t, loop, cancel) // which is over
			}
			must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &all))
			var refused *shmconn.RefusedError
			switch {
			case err == nil:
				made++
			case errors.Is(err, unix.EMFILE), errors.Is(err, connection.ErrDescriptors):
			case errors.As(err, &refused) && refused.Reason == wire.NoResources.String():
			case errors.Is(err, unix.ECONNRESET): // the listener itself has none left
			default:
				t.Errorf("%v (%T)", err, err)
			}
			t.Log(err)
			expectService(t, path)
		})
	}
	if made == 0 || made == most {
		t.Errorf("%d of %d connections were made", made, most)
	}
}

// fillHoles opens descriptors until the end of the test so that the lowest number that is free, which it returns, is above
// all that are in use.
func fillHoles(t *testing.T) uint64 {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	highest := 0
	for _, entry := range entries {
		if n, err := strconv.Atoi(entry.Name()); err == nil {
			highest = max(highest, n)
		}
	}
	for {
		fd, err := sys.Dup(0)
		if err != nil {
			t.Fatal(err)
		}
		if fd > highest {
			must(t, sys.Close(fd))
			return uint64(fd)
		}
		held(t, fd, nil)
	}
}
