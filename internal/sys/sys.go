//go:build linux

package sys

import (
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// NoFD stands for no descriptor.
const NoFD = -1

var (
	// ErrWouldBlock is returned by a call that could only go on later.
	ErrWouldBlock = errors.New("operation would block")
	// ErrInProgress is returned by Connect when the connection is being made.
	ErrInProgress = errors.New("connection in progress")
)

func wrap(call string, errno syscall.Errno) error {
	switch errno {
	case 0:
		return nil
	case unix.EAGAIN:
		return ErrWouldBlock
	}
	return &os.SyscallError{Syscall: call, Err: errno}
}

// retry calls f until no signal interrupts it, and wraps its error.
func retry(call string, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		var errno syscall.Errno
		if !errors.As(err, &errno) {
			return err
		}
		if errno != unix.EINTR {
			return wrap(call, errno)
		}
	}
}

// Read reads from a non-blocking descriptor. It returns 0 and no error at the end of the file.
func Read(fd int, p []byte) (int, error) {
	return transfer("read", unix.SYS_READ, fd, p, 0)
}

// Write writes to a non-blocking descriptor; it may take less than all.
func Write(fd int, p []byte) (int, error) {
	return transfer("write", unix.SYS_WRITE, fd, p, 0)
}

// Recv reads from a socket, without blocking whatever its mode. It returns 0 and no error when the
// peer has ended its side of a stream.
func Recv(fd int, p []byte) (int, error) {
	return transfer("recvfrom", unix.SYS_RECVFROM, fd, p, unix.MSG_DONTWAIT)
}

// Send writes to a socket, without blocking whatever its mode and without SIGPIPE; it may take less
// than all.
func Send(fd int, p []byte) (int, error) {
	return transfer("sendto", unix.SYS_SENDTO, fd, p, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// transfer makes the calls that take a descriptor, bytes and flags. The arguments behind the flags,
// addresses, are null.
func transfer(call string, trap uintptr, fd int, p []byte, flags uintptr) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
			uintptr(len(p)), flags, 0, 0)
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, wrap(call, errno)
		}
	}
}

// Close closes a descriptor. Linux releases it also when the call is interrupted, so it is never
// repeated.
func Close(fd int) error {
	err := unix.Close(fd)
	if err == nil || errors.Is(err, unix.EINTR) {
		return nil
	}
	return os.NewSyscallError("close", err)
}

// Shutdown ends the writing side of a stream socket.
func Shutdown(fd int) error {
	return retry("shutdown", func() error { return unix.Shutdown(fd, unix.SHUT_WR) })
}

// Dup duplicates a descriptor, close-on-exec.
func Dup(fd int) (dup int, err error) {
	err = retry("fcntl", func() (err error) {
		dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	return dup, err
}

// SetNonblock makes a descriptor non-blocking.
func SetNonblock(fd int) error {
	return retry("fcntl", func() error { return unix.SetNonblock(fd, true) })
}

// lockPatience is how long LockFolder waits for somebody else's lock.
const lockPatience = time.Second

// LockFolder takes the advisory lock of a folder. It ends with the process, too. Whoever may read the
// folder may hold its lock, as programs do to keep theirs from being cleaned up, so LockFolder waits
// for it no longer than a second: ErrWouldBlock.
func LockFolder(path string) (unlock func(), err error) {
	var fd int
	err = retry("open", func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockPatience); ; time.Sleep(time.Millisecond) {
		err = retry("flock", func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
		if err == nil {
			return func() { _ = Close(fd) }, nil
		}
		if !errors.Is(err, ErrWouldBlock) || time.Now().After(end) {
			_ = Close(fd)
			return nil, err
		}
	}
}

// Unread is how many bytes wait in a descriptor to be read; 0 also where the kernel doesn't say.
func Unread(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// OpenReserve opens a descriptor that means nothing, to have one to give up when none is left.
func OpenReserve() (fd int, err error) {
	err = retry("open", func() (err error) {
		fd, err = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// Exhausted tells whether err means that the process (EMFILE) or the machine (ENFILE) has no
// descriptor left.
func Exhausted(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
}

// CheckDescriptor tells whether fd is open: EBADF if not.
func CheckDescriptor(fd int) error {
	return retry("fcntl", func() error {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		return err
	})
}
