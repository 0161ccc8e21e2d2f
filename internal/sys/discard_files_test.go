//go:build linux

package sys_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// patience is how long a test waits for what has to happen. It only matters when something is broken.
const patience = 20 * time.Second

// isOpen tells whether a descriptor is. Nothing else opens any in these tests.
func isOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

// untilClosed waits for that.
func untilClosed(tb testing.TB, fds ...int) {
	tb.Helper()
	for end := time.Now().Add(patience); len(fds) > 0; runtime.Gosched() {
		if !isOpen(fds[0]) {
			fds = fds[1:]
		} else if time.Now().After(end) {
			tb.Fatalf("%d descriptors are still open", len(fds))
		}
	}
}

func mustOpen(tb testing.TB, fd int, err error) int {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	return fd
}

func openFile(tb testing.TB, path string, flags int) int {
	tb.Helper()
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o600)
	return mustOpen(tb, fd, err)
}

// TestDiscardAtOnce: what has no file system behind it is closed when Discard returns.
func TestDiscardAtOnce(t *testing.T) {
	fdtest.Check(t)
	var fds []int
	add := func(fd int, err error) { fds = append(fds, mustOpen(t, fd, err)) }
	add(sys.MemFD("test", 4096))
	add(sys.NewDoorbell())
	add(unix.EpollCreate1(unix.EPOLL_CLOEXEC))
	add(unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC))
	for _, kind := range []int{sys.Stream, sys.Datagram, sys.SeqPacket} {
		add(unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0))
	}
	add(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
	var ends [2]int
	err := unix.Pipe2(ends[:], unix.O_CLOEXEC)
	add(ends[0], err)
	add(ends[1], err)
	sys.Discard(fds)
	for i, fd := range fds {
		if isOpen(fd) {
			t.Errorf("number %d is open", i)
			_ = sys.Close(fd)
		}
	}
	sys.Discard(nil)
}

// TestDiscardFiles: what has a file system behind it is closed soon, however much it is.
func TestDiscardFiles(t *testing.T) {
	fdtest.Check(t)
	path := filepath.Join(t.TempDir(), "file")
	fds := []int{
		openFile(t, path, unix.O_RDWR|unix.O_CREAT), openFile(t, path, unix.O_PATH), openFile(t, filepath.Dir(path), unix.O_DIRECTORY),
		openFile(t, os.DevNull, unix.O_RDONLY),
	}
	untilClosed(t, discarded(fds)...)
	const many = 1000
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < many+100 {
		t.Skip("this needs more descriptors: ", limit.Cur, err)
	}
	fds = fds[:0]
	for range many {
		fds = append(fds, openFile(t, path, unix.O_RDONLY))
	}
	goroutines := runtime.NumGoroutine()
	for part := fds; len(part) > 0; part = part[10:] {
		sys.Discard(part[:10])
		if more := runtime.NumGoroutine() - goroutines; more > mostClosers {
			t.Fatalf("%d goroutines close files", more)
		}
	}
	untilClosed(t, fds...)
}

// mostClosers is how many files are closed at the same time.
const mostClosers = 4

func discarded(fds []int) []int {
	sys.Discard(fds)
	return fds
}

// TestDiscardHangs: a file whose closing hangs holds up neither who discards it nor what else is discarded, but files
// when there are too many of those. A process of its own tries, because nothing takes a filter of system calls away.
func TestDiscardHangs(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChildHangs$", "-test.count=1", "-test.timeout=60s", "-test.v")
	child.Env = append(os.Environ(), hangs+"=1", "GORACE=atexit_sleep_ms=0") // else a second at its end
	out, err := child.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("%v: %s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("%s", out)
	}
}

const hangs = "EDTEST_SYS_CLOSE_HANGS"

func TestChildHangs(t *testing.T) {
	if os.Getenv(hangs) == "" {
		t.Skip("it is for TestDiscardHangs")
	}
	const first, more = 500, 2 // descriptors from the first on hang
	dir := t.TempDir()
	var hanging []int
	for i := range mostClosers + more {
		fd := openFile(t, filepath.Join(dir, "hangs"), unix.O_RDWR|unix.O_CREAT)
		if err := errors.Join(unix.Dup3(fd, first+i, unix.O_CLOEXEC), sys.Close(fd)); err != nil {
			t.Fatal(err)
		}
		hanging = append(hanging, first+i)
	}
	late := openFile(t, filepath.Join(dir, "late"), unix.O_RDWR|unix.O_CREAT)
	memory, err := sys.MemFD("memory", 4096)
	mustOpen(t, memory, err)
	listener := holdCloses(t, first)

	sys.Discard(hanging)
	var held []notification
	for range mostClosers {
		held = append(held, listener.next(t))
	}
	sys.Discard([]int{late, memory})
	if isOpen(memory) {
		t.Error("memory waits for files")
	}
	if !isOpen(late) || listener.has(t, 0) {
		t.Errorf("more than %d files are closed at once", mostClosers)
	}
	for _, n := range held {
		listener.letGo(t, n)
	}
	for range more {
		listener.letGo(t, listener.next(t))
	}
	untilClosed(t, append(hanging, late)...)
}

// listener is told of system calls that wait until they are let go: seccomp_unotify(2).
type listener int

// notification is struct seccomp_notif.
type notification struct {
	id         uint64
	pid, flags uint32
	call       int32
	arch       uint32
	at         uint64
	args       [6]uint64
}

// holdCloses holds close(2) of this process from now on, of descriptors from first on.
func holdCloses(t *testing.T, first uint32) listener {
	t.Helper()
	const callAt, argumentAt = 0, 16 // in struct seccomp_data; the lower half of the first one, on little-endian machines
	if b := [2]byte{1}; *(*uint16)(unsafe.Pointer(&b)) != 1 {
		t.Skip("a big-endian machine")
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: callAt},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLOSE, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: argumentAt},
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: first, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread() // who asks for all threads has to have this itself
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Skip(err)
	}
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		t.Skip("seccomp: ", errno)
	}
	return listener(fd)
}

// has tells whether a call waits, or does within the time.
func (l listener) has(t *testing.T, within time.Duration) bool {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(l), Events: unix.POLLIN}}, int(within.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return n > 0
	}
}

func (l listener) next(t *testing.T) (n notification) {
	t.Helper()
	if !l.has(t, patience) {
		t.Fatal("nothing is closed")
	}
	l.control(t, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n))
	return n
}

// letGo lets a call go on.
func (l listener) letGo(t *testing.T, n notification) {
	t.Helper()
	response := struct {
		id    uint64
		value int64
		error int32
		flags uint32
	}{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	l.control(t, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&response))
}

func (l listener) control(t *testing.T, request uintptr, argument unsafe.Pointer) {
	t.Helper()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(l), request, uintptr(argument)); errno != 0 {
		t.Fatal(errno)
	}
}
