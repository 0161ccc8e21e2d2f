//go:build linux

package sys

import (
	"errors"

	"golang.org/x/sys/unix"
)

// HasWriter tells whether somebody has a regular file open for writing, or mapped into memory after that. The
// kernel says so to one who asks for a read lease, see fcntl(2); it is given back at once. Without the right to
// ask there is an error: the file must belong to the user, or the process have CAP_LEASE, and the file system
// must have leases.
//
// Opening and closing the file is told to those who watch it. One who opens it for writing at that very moment waits
// for the lease, and this process gets SIGURG, which is ignored unless a program asks for it.
func HasWriter(path string) (bool, error) {
	var fd int
	err := retry("open", func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return false, err
	}
	defer func() { _ = Close(fd) }()
	if err := setControl(fd, unix.F_SETSIG, int(unix.SIGURG)); err != nil {
		return false, err
	}
	switch err := setControl(fd, unix.F_SETLEASE, unix.F_RDLCK); {
	case errors.Is(err, ErrWouldBlock):
		return true, nil
	case err != nil:
		return false, err
	}
	// Close alone doesn't give it back while a process that was just forked has the descriptor, too.
	return false, setControl(fd, unix.F_SETLEASE, unix.F_UNLCK)
}

func setControl(fd, command, argument int) error {
	return retry("fcntl", func() error {
		_, err := unix.FcntlInt(uintptr(fd), command, argument)
		return err
	})
}
