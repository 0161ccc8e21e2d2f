//go:build linux

package sys_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

const pageSize = 4096

// newMemory makes memory, of which nothing was touched.
func newMemory(tb testing.TB, size int) (fd int) {
	tb.Helper()
	fd, err := sys.MemFD("test", size)
	mustOpen(tb, fd, err)
	tb.Cleanup(func() { _ = sys.Close(fd) })
	return fd
}

// touch has its pages be there.
func touch(tb testing.TB, fd, size int) {
	tb.Helper()
	p, err := sys.MapShared(fd, size, true)
	if err == nil {
		err = sys.Unmap(p)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// TestMemoryOf: memory is whole when every page of it is there, which mapping it for writing brings about.
func TestMemoryOf(t *testing.T) {
	fdtest.Check(t)
	const size = 16*pageSize - 1
	punch := func(t *testing.T, fd int, at int64) {
		t.Helper()
		if err := unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, pageSize); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, fd int) // nil: it is not even touched
		whole bool
	}{
		"touched":         {func(*testing.T, int) {}, true},
		"allocated alone": {nil, false},
		"a hole at the beginning": {func(t *testing.T, fd int) {
			t.Helper()
			punch(t, fd, 0)
		}, false},
		"a hole in the middle": {func(t *testing.T, fd int) {
			t.Helper()
			punch(t, fd, 7*pageSize)
		}, false},
		"a hole at the end": {func(t *testing.T, fd int) {
			t.Helper()
			punch(t, fd, 15*pageSize)
		}, false},
		"a hole, and a page behind the end": {func(t *testing.T, fd int) {
			t.Helper()
			punch(t, fd, 7*pageSize)
			if err := unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 16*pageSize, pageSize); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			fd := newMemory(t, size)
			if tt.spoil != nil {
				touch(t, fd, size)
				tt.spoil(t, fd)
			}
			const seals = sys.SealGrow | sys.SealShrink
			if err := sys.Seal(fd, seals); err != nil {
				t.Fatal(err)
			}
			m, err := sys.MemoryOf(fd)
			m.Seals &^= unix.F_SEAL_EXEC // which newer kernels set by themselves
			if want := (sys.Memory{Size: size, Seals: seals, Whole: tt.whole}); m != want || err != nil {
				t.Errorf("%+v, %v; want %+v", m, err, want)
			}
		})
	}
	if m, err := sys.MemoryOf(newMemory(t, 1)); m.Size != 1 || m.Whole || err != nil {
		t.Errorf("a byte: %+v, %v", m, err)
	}
}

// TestMemoryOfOthers: what is no memory is refused, and not touched.
func TestMemoryOfOthers(t *testing.T) {
	fdtest.Check(t)
	a, _ := socketPair(t, sys.Stream)
	file := openFile(t, filepath.Join(t.TempDir(), "file"), unix.O_RDWR|unix.O_CREAT)
	null := openFile(t, os.DevNull, unix.O_RDWR)
	defer sys.CloseAll([]int{file, null})
	for name, fd := range map[string]int{"a socket": a, "a file": file, "/dev/null": null} {
		if m, err := sys.MemoryOf(fd); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	if _, err := sys.MemoryOf(sys.NoFD); !errors.Is(err, unix.EBADF) {
		t.Errorf("nothing: %v", err)
	}
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_HUGETLB)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(fd)
	if m, err := sys.MemoryOf(fd); !errors.Is(err, unix.EINVAL) {
		t.Errorf("huge pages: %+v, %v", m, err)
	}
}

// TestMappings: what is written through one is read through the others.
func TestMappings(t *testing.T) {
	fdtest.Check(t)
	const size = 3 * pageSize
	fd := newMemory(t, size)
	mine, err := sys.MapShared(fd, size, true)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(mine, make([]byte, size)) {
		t.Error("it is not zero")
	}
	if err := sys.Seal(fd, sys.SealFutureWrite); err != nil {
		t.Fatal(err)
	}
	if p, err := sys.MapShared(fd, size, true); !errors.Is(err, unix.EPERM) {
		t.Errorf("mapped for writing, though it is sealed: %d bytes, %v", len(p), err)
	}
	if err := sys.Seal(fd, sys.SealWrite); !errors.Is(err, unix.EBUSY) {
		t.Errorf("sealed though it is mapped: %v", err)
	}
	theirs, err := sys.MapShared(fd, size, false)
	if err != nil {
		t.Fatal(err)
	}
	copy(mine[size-5:], "hello")
	if got := string(theirs[size-5:]); got != "hello" {
		t.Errorf("read %q", got)
	}
	if err := errors.Join(sys.Unmap(mine), sys.Unmap(theirs), sys.Unmap(nil), sys.Seal(fd, sys.SealWrite)); err != nil {
		t.Fatal(err)
	}
	private, err := sys.MapPrivate(fd, size)
	if err != nil || string(private[size-5:]) != "hello" {
		t.Fatalf("%q, %v", private[max(0, len(private)-5):], err)
	}
	if err := sys.Unmap(private); err != nil {
		t.Error(err)
	}
}

// doorbells is an epoll set that watches a bell as its owner does.
func doorbells(tb testing.TB, bell int) (rung func() bool) {
	tb.Helper()
	set, err := sys.EpollCreate()
	mustOpen(tb, set, err)
	tb.Cleanup(func() { _ = sys.Close(set) })
	if err := sys.EpollAdd(set, bell, sys.Writable|sys.EdgeTriggered, 0, 0); err != nil {
		tb.Fatal(err)
	}
	return func() bool {
		tb.Helper()
		var events [1]unix.EpollEvent
		n, err := unix.EpollWait(set, events[:], 0)
		if err != nil && !errors.Is(err, unix.EINTR) {
			tb.Fatal(err)
		}
		return n > 0
	}
}

// TestDoorbell: each ring is an event, nobody has to answer it, and a blocking descriptor doesn't let who rings wait.
func TestDoorbell(t *testing.T) {
	fdtest.Check(t)
	bell, err := sys.NewDoorbell()
	mustOpen(t, bell, err)
	defer func() { _ = sys.Close(bell) }()
	rung := doorbells(t, bell)
	rung() // that there is room
	for range 3 {
		if rung() {
			t.Error("rung by nobody")
		}
		for range 2 {
			if err := sys.RingDoorbell(bell); err != nil {
				t.Fatal(err)
			}
		}
		if !rung() {
			t.Error("not rung")
		}
	}
	empty, err := unix.Eventfd(0, unix.EFD_CLOEXEC) // blocking
	mustOpen(t, empty, err)
	defer unix.Close(empty)
	if err := sys.RingDoorbell(empty); !errors.Is(err, sys.ErrWouldBlock) {
		t.Errorf("an empty one: %v", err)
	}
	if err := sys.CheckDoorbell(bell, bell); err != nil {
		t.Error(err)
	}
	var ends [2]int
	err = unix.Pipe2(ends[:], unix.O_CLOEXEC)
	mustOpen(t, ends[0], err)
	defer sys.CloseAll(ends[:])
	for _, fd := range []int{ends[0], ends[1], newMemory(t, pageSize), sys.NoFD} {
		if err := sys.CheckDoorbell(fd, bell); err == nil {
			t.Errorf("descriptor %d is taken for a bell", fd)
		}
	}
}
