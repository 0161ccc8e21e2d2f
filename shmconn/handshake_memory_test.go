//go:build linux

package shmconn_test

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
)

// expectSealed holds that nothing can be changed about a memory: neither its size nor its pages nor, but by who has it
// mapped already, what is in it.
func expectSealed(t *testing.T, fd, size int) {
	t.Helper()
	again, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDWR|unix.O_CLOEXEC, 0)
	for name, fd := range map[string]int{"as passed": fd, "opened again": held(t, again, err)} {
		for what, try := range map[string]func() error{
			"truncate":   func() error { return unix.Ftruncate(fd, int64(size-4096)) },
			"empty":      func() error { return unix.Ftruncate(fd, 0) },
			"grow":       func() error { return unix.Ftruncate(fd, int64(size+4096)) },
			"fallocate":  func() error { return unix.Fallocate(fd, 0, int64(size), 4096) },
			"punch":      func() error { return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096) },
			"write":      func() error { _, err := unix.Pwrite(fd, []byte("x"), 0); return err },
			"write more": func() error { _, err := unix.Pwrite(fd, []byte("x"), int64(size)); return err },
			"seal":       func() error { _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE); return err },
			"map": func() error {
				p, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
				if err == nil {
					_ = unix.Munmap(p)
				}
				return err
			},
		} {
			if err := try(); !errors.Is(err, unix.EPERM) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
	var stat unix.Stat_t
	must(t, unix.Fstat(fd, &stat))
	if stat.Size != int64(size) || stat.Blocks*512 < int64(size) {
		t.Errorf("it has %d bytes in %d blocks, want %d", stat.Size, stat.Blocks, size)
	}
	p, err := sys.MapShared(fd, size, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { must(t, sys.Unmap(p)) }()
	if err := unix.Mprotect(p, unix.PROT_READ|unix.PROT_WRITE); !errors.Is(err, unix.EACCES) {
		t.Errorf("write to what was mapped for reading: %v", err)
	}
}

// TestWhatIsPassedIsSealed: what this package passes along, either side.
func TestWhatIsPassedIsSealed(t *testing.T) {
	fdtest.Check(t)
	loop, _ := runs(t)
	config := shmconn.Config{Capacity: 4 * tiny}
	path := listens(t, loop, shmconn.RecordFunc(echo), shmconn.ListenConfig{Ring: config})
	fd := rawDial(t, path)
	proper(t, tiny).send(t, fd)
	memory, _, capacity := hears(t, fd)
	if capacity != config.Capacity {
		t.Errorf("the listener's ring has %d bytes", capacity)
	}
	expectSealed(t, memory, ring.Size(capacity))

	path = ringPath(t)
	listener := rawListen(t, path, 1)
	t.Cleanup(func() { _ = sys.Close(listener) })
	done := dials(t, loop, shmconn.Dialer{Path: path, Ring: config})
	fd = rawAccept(t, listener)
	memory, _, capacity = hears(t, fd)
	if capacity != config.Capacity {
		t.Errorf("the dialler's ring has %d bytes", capacity)
	}
	expectSealed(t, memory, ring.Size(capacity))
	proper(t, tiny).send(t, fd)
	must(t, looptest.Await(t, done, "the end of the dialling"))
}

// TestSealedForItsOwner: a peer whose memory was taken can't take it away any more, though it made it, nor through what
// it has mapped.
func TestSealedForItsOwner(t *testing.T) {
	memory, area := newArea(t, tiny)
	expectSealed(t, memory, len(area))
	if err := unix.Madvise(area, unix.MADV_REMOVE); !errors.Is(err, unix.EPERM) {
		t.Errorf("take the pages away: %v", err)
	}
	area[len(area)-1] = 1 // it alone may write
}

// TestCapacities: the two sides needn't have the same.
func TestCapacities(t *testing.T) {
	for _, test := range []struct{ server, client int }{
		{tiny, tiny}, {tiny, 1 << 20}, {1 << 20, tiny}, {0, 2 * tiny}, {8 * tiny, 0},
	} {
		loop, _ := runs(t)
		path := ringPath(t)
		accepted := make(chan *shmconn.Transport, 1)
		dialled := make(chan *shmconn.Transport, 1)
		looptest.Do(t, loop, func() {
			_, err := shmconn.Listen(loop, path, func(loop connection.Loop, transport connection.Transport) error {
				accepted <- transport.(*shmconn.Transport)
				return nil
			}, shmconn.ListenConfig{Ring: shmconn.Config{Capacity: test.server, MaxCapacity: max(test.client, shmconn.DefaultCapacity)}})
			must(t, err)
			_, err = shmconn.Dialer{Path: path, Ring: shmconn.Config{Capacity: test.client}}.Dial(loop, func(transport connection.Transport, err error) {
				must(t, err)
				dialled <- transport.(*shmconn.Transport)
			})
			must(t, err)
		})
		server, client := looptest.Await(t, accepted, "the server's end"), looptest.Await(t, dialled, "the client's end")
		looptest.Do(t, loop, func() {
			there, back := cmp.Or(test.client, shmconn.DefaultCapacity), cmp.Or(test.server, shmconn.DefaultCapacity)
			if out, in := server.Capacity(); out != back || in != there {
				t.Errorf("%+v: the server has %d out and %d in", test, out, in)
			}
			if out, in := client.Capacity(); out != there || in != back {
				t.Errorf("%+v: the client has %d out and %d in", test, out, in)
			}
			for _, end := range []struct{ from, to *shmconn.Transport }{{server, client}, {client, server}} {
				text := make([]byte, 3<<20) // more than either has room for
				n, err := end.from.Write(text)
				out, _ := end.from.Capacity()
				if !errors.Is(err, connection.ErrWouldBlock) || n == 0 || n > out {
					t.Errorf("wrote %d bytes to a ring of %d, %v", n, out, err)
				}
				if got, err := end.to.Read(text); got != n || err != nil {
					t.Errorf("read %d of %d bytes, %v", got, n, err)
				}
			}
			must(t, server.Close())
			must(t, client.Close())
		})
	}
}

// TestCapacityBounds: what a Config may not say.
func TestCapacityBounds(t *testing.T) {
	loop, _ := looptest.New(t)
	for _, capacity := range []int{-1, 1, 64, tiny / 2, tiny - 1, tiny + 1, 3 * tiny, 2 * shmconn.MaxCapacity, 1 << 62} {
		config := shmconn.Config{Capacity: capacity}
		_, err := shmconn.Listen(loop, ringPath(t), shmconn.Records(shmconn.RecordFunc(echo), shmconn.RecordConfig{}), shmconn.ListenConfig{Ring: config})
		expectBounds(t, err, "listen")
		_, err = shmconn.DialRecords(loop, shmconn.Dialer{Path: "nowhere", Ring: config}, shmconn.RecordFunc(echo), shmconn.RecordConfig{})
		expectBounds(t, err, "dial")
	}
}

func expectBounds(t *testing.T, err error, op string) {
	t.Helper()
	var opError *net.OpError
	if !errors.Is(err, shmconn.ErrCapacity) || !errors.As(err, &opError) || opError.Op != op || opError.Net != "shm" {
		t.Errorf("%s: %v", op, err)
	}
}

// TestMaxCapacity: as large as that a peer's ring may be, and no larger.
func TestMaxCapacity(t *testing.T) {
	for _, test := range []struct {
		limit, capacity int
		taken           bool
	}{
		{tiny, tiny, true}, {tiny, 2 * tiny, false}, {2*tiny - 1, 2 * tiny, false}, {2*tiny - 1, tiny, true}, {1, tiny, false},
		{-1, shmconn.DefaultCapacity, true},
	} {
		loop, _ := runs(t)
		path := listens(t, loop, shmconn.RecordFunc(echo), shmconn.ListenConfig{Ring: shmconn.Config{Capacity: tiny, MaxCapacity: test.limit}})
		err := looptest.Await(t, dials(t, loop, shmconn.Dialer{Path: path, Ring: shmconn.Config{Capacity: test.capacity}}), "the end of the dialling")
		var refused *shmconn.RefusedError
		if test.taken && err != nil || !test.taken && !errors.As(err, &refused) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}
