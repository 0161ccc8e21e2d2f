//go:build linux

package sys

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrNotFIFO is returned by OpenFIFO for a file of another kind.
var ErrNotFIFO = errors.New("not a FIFO")

// Access is for what a descriptor is opened, as open(2) has it.
type Access int

// The ways to open a descriptor.
const (
	ForReading Access = unix.O_RDONLY
	ForWriting Access = unix.O_WRONLY
)

// FileKind is the type of a file as stat(2) has it: one of the constants below, or another.
type FileKind uint32

// The types of files that are told apart.
const (
	KindFIFO   FileKind = unix.S_IFIFO
	KindSocket FileKind = unix.S_IFSOCK
)

// Mkfifo makes a FIFO; what the umask forbids of mode is left out.
func Mkfifo(path string, mode os.FileMode) error {
	return retry("mkfifo", func() error { return unix.Mkfifo(path, uint32(mode.Perm())) })
}

// KindOf tells what a descriptor refers to.
func KindOf(fd int) (FileKind, error) {
	st, err := stat(fd)
	return FileKind(st.Mode & unix.S_IFMT), err
}

func stat(fd int) (st unix.Stat_t, err error) {
	err = retry("fstat", func() error { return unix.Fstat(fd, &st) })
	return st, err
}

// OpenFIFO opens a FIFO in non-blocking mode: ENXIO for writing to one that nobody has open for
// reading. What is no FIFO is not opened, because that might have effects.
func OpenFIFO(path string, a Access) (int, error) {
	place := NoFD
	err := retry("open", func() (err error) {
		place, err = unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return NoFD, err
	}
	defer func() { _ = Close(place) }()
	kind, err := KindOf(place)
	if err == nil && kind != KindFIFO {
		err = ErrNotFIFO
	}
	if err != nil {
		return NoFD, err
	}
	return Reopen(place, path, a)
}

// Reopen opens the file of a descriptor again, in non-blocking mode. The new descriptor has its own
// mode and shares none with other processes. path is where the file is looked for where there is no
// /proc; ENOENT if it isn't the same any more.
func Reopen(fd int, path string, a Access) (again int, err error) {
	flags := int(a) | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY
	err = retry("open", func() (err error) {
		again, err = unix.Open("/proc/self/fd/"+strconv.Itoa(fd), flags, 0)
		return err
	})
	if !errors.Is(err, unix.ENOENT) || path == "" {
		return again, err
	}
	err = retry("open", func() (err error) {
		again, err = unix.Open(path, flags, 0)
		return err
	})
	if err != nil {
		return NoFD, err
	}
	was, err := stat(fd)
	is, err2 := stat(again)
	if err = errors.Join(err, err2); err == nil && (was.Dev != is.Dev || was.Ino != is.Ino) {
		err = os.NewSyscallError("open", unix.ENOENT)
	}
	if err != nil {
		return NoFD, errors.Join(err, Close(again))
	}
	return again, nil
}

// Poll asks what a descriptor is ready for, without waiting: Readable, HangUp, Failed.
func Poll(fd int) (events uint32, err error) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	err = retry("poll", func() error {
		_, err := unix.Poll(fds, 0)
		return err
	})
	return uint32(fds[0].Revents), err // poll's numbers are those of epoll
}

// Pollable tells whether a descriptor can be waited for. A regular file can't: it is always ready.
func Pollable(fd int) (bool, error) {
	epfd, err := EpollCreate()
	if err != nil {
		return false, err
	}
	defer func() { _ = Close(epfd) }()
	err = EpollAdd(epfd, fd, 0, 0, 0)
	if errors.Is(err, unix.EPERM) {
		return false, nil
	}
	return err == nil, err
}

// Pipe makes a pipe whose ends block.
func Pipe() (r, w int, err error) {
	var p [2]int
	err = retry("pipe2", func() error { return unix.Pipe2(p[:], unix.O_CLOEXEC) })
	return p[0], p[1], err
}

// SocketPair makes two connected Unix stream sockets that block.
func SocketPair() (a, b int, err error) {
	var p [2]int
	err = retry("socketpair", func() (err error) {
		p, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	return p[0], p[1], err
}

// Flags are what a descriptor was opened for, and its mode: F_GETFL. Processes may share them.
type Flags int

// Nonblocking tells whether the mode is non-blocking.
func (f Flags) Nonblocking() bool { return f&unix.O_NONBLOCK != 0 }

// Allow tells whether the descriptor was opened for that.
func (f Flags) Allow(a Access) bool {
	mode := int(f) & unix.O_ACCMODE
	return f&unix.O_PATH == 0 && (mode == unix.O_RDWR || mode == int(a))
}

// GetFlags returns the flags of a descriptor.
func GetFlags(fd int) (f Flags, err error) {
	err = retry("fcntl", func() error {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		f = Flags(n)
		return err
	})
	return f, err
}

// SetFlags changes the mode of a descriptor to what GetFlags has returned.
func SetFlags(fd int, f Flags) error {
	return retry("fcntl", func() error {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, int(f))
		return err
	})
}

// IsTerminal tells whether a descriptor is a terminal, and whether it is the master of one, of which
// opening it again would make another.
func IsTerminal(fd int) (terminal, master bool) {
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		return false, false
	}
	_, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	return true, err == nil
}

// Empty puts /dev/null in the place of a descriptor, which so stays open and means nothing.
func Empty(fd int) error {
	var null int
	err := retry("open", func() (err error) {
		null, err = unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(retry("dup3", func() error { return unix.Dup3(null, fd, 0) }), Close(null))
}

// ReadFile and WriteFile are Read and Write for a file that may have to wait for its disk: they tell
// the scheduler.
func ReadFile(fd int, p []byte) (n int, err error) {
	err = retry("read", func() (err error) {
		n, err = unix.Read(fd, p)
		return err
	})
	return max(n, 0), err
}

// WriteFile writes to a file: see ReadFile.
func WriteFile(fd int, p []byte) (n int, err error) {
	err = retry("write", func() (err error) {
		n, err = unix.Write(fd, p)
		return err
	})
	return max(n, 0), err
}
