//go:build linux

package shmconn_test

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
)

// childTest is the test program once more, for that test alone. It ends with the test at the latest.
func childTest(t *testing.T, test, value string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), looptest.Patience)
	t.Cleanup(cancel)
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+test+"$", "-test.count=1")
	child.Env = append(os.Environ(), childVariable+"="+value, "GORACE=atexit_sleep_ms=0") // else a second at its end
	child.WaitDelay = time.Second
	return child
}

const childVariable = "EDTEST_SHMCONN_CHILD"

// bellTricks are what a peer can do to a bell so that who rings it would wait.
var bellTricks = map[string]func(t *testing.T, bell int){
	// As full as it gets by writing.
	"full": func(t *testing.T, bell int) {
		add(bell, math.MaxUint64-1)
		block(t, bell)
	},
	"empty": func(t *testing.T, bell int) {
		var count [8]byte
		for range 10 { // of a semaphore that takes one at a time
			if _, err := unix.Read(bell, count[:]); err != nil {
				break
			}
		}
		block(t, bell)
	},
	// Fuller than it gets by writing, which takes a completion of the kernel's own asynchronous input and output.
	"overflow": func(t *testing.T, bell int) {
		add(bell, math.MaxUint64-1)
		complete(t, bell)
		block(t, bell)
	},
}

// add makes the count of an eventfd that, however much it is before.
func add(bell int, count uint64) {
	var b [8]byte
	for piece := count; piece > 0; piece /= 2 {
		binary.NativeEndian.PutUint64(b[:], piece)
		for {
			if _, err := unix.Write(bell, b[:]); err != nil {
				break // there is no room for it
			}
		}
	}
}

// block takes O_NONBLOCK off.
func block(t *testing.T, fd int) {
	t.Helper()
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
}

// complete has the kernel add 1 to the count of an eventfd: io_submit(2) with IOCB_FLAG_RESFD.
func complete(t *testing.T, eventfd int) {
	t.Helper()
	var aio uintptr
	if _, _, errno := unix.Syscall(unix.SYS_IO_SETUP, 1, uintptr(unsafe.Pointer(&aio)), 0); errno != 0 {
		t.Skip(errno)
	}
	defer func() { _, _, _ = unix.Syscall(unix.SYS_IO_DESTROY, aio, 0, 0) }()
	zero := opened(t, "/dev/zero", unix.O_RDONLY)
	b := make([]byte, 8)
	// struct iocb of linux/aio_abi.h, in words: reading is the operation 0, and the flag 1 says that the eventfd is told.
	op := &[8]uint64{
		2: uint64(zero) << 32, 3: uint64(uintptr(unsafe.Pointer(&b[0]))), 4: uint64(len(b)), 7: 1 | uint64(eventfd)<<32,
	}
	if _, _, errno := unix.Syscall(unix.SYS_IO_SUBMIT, aio, 1, uintptr(unsafe.Pointer(&op))); errno != 0 {
		t.Fatal(errno)
	}
}

// TestBellTricks: no peer can let this side wait for the bell that it rings. A process of its own tries, because what
// waits in the kernel can't be stopped.
func TestBellTricks(t *testing.T) {
	for name := range bellTricks {
		t.Run(name, func(t *testing.T) {
			if out, err := childTest(t, "TestChildRings", name).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// TestChildRings rings a bell again and again that a peer has tricked.
func TestChildRings(t *testing.T) {
	trick := bellTricks[os.Getenv(childVariable)]
	if trick == nil {
		t.Skip("it is for TestBellTricks")
	}
	loop, _ := runs(t)
	conns := make(chan *shmconn.RecordConn, 1)
	h := &hooks{open: func(c *shmconn.RecordConn) error { conns <- c; return nil }}
	path := listens(t, loop, h, shmconn.ListenConfig{})
	g := proper(t, tiny)
	memory, area := newArea(t, tiny)
	g.fds[memoryFD] = memory
	fd := rawDial(t, path)
	g.send(t, fd)
	theirs, bell, capacity := hears(t, fd)
	their, err := sys.MapShared(theirs, ring.Size(capacity), false)
	if err != nil {
		t.Fatal(err)
	}
	_, in, err := ring.New(area, their)
	if err != nil {
		t.Fatal(err)
	}
	trick(t, g.fds[bellFD])
	trick(t, bell)
	c := looptest.Await(t, conns, "the connection")
	const n = 100
	for range n {
		in.Awake()
		in.Sleep()
		looptest.Do(t, loop, func() { must(t, c.Send([]byte("ring"))) })
		for ok := true; ok; {
			_, _, ok, err = in.Next()
			must(t, err)
		}
		in.Release()
	}
	looptest.Do(t, loop, func() {
		if got := c.Transport().Stats().Bells; got != n {
			t.Errorf("%d bells were rung, want %d", got, n)
		}
	})
}
