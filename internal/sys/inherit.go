//go:build linux

package sys

import "golang.org/x/sys/unix"

// CloseOnExec lets a descriptor end with this program: what it executes doesn't get it. EBADF if the
// descriptor isn't open.
func CloseOnExec(fd int) error {
	return retry("fcntl", func() error {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
		return err
	})
}
