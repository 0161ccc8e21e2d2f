//go:build linux

package sys

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// ResetOnClose lets Close throw away what is unsent and reset the connection: SO_LINGER with a time of
// 0. There is no function for other times: with one, close(2) blocks even on a non-blocking socket.
func ResetOnClose(fd int) error {
	return retry("setsockopt", func() error {
		return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
}

// NoLinger switches off what makes close(2) block, SO_LINGER with a time; with a time of 0 it stays.
func NoLinger(fd int) error {
	return retry("setsockopt", func() error {
		l, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER)
		if err != nil || l.Onoff == 0 || l.Linger == 0 {
			return err
		}
		return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
	})
}

// SetDuration sets a socket option that is a whole number of a unit of time. d is rounded up, and cut
// to what the option's type can hold.
func SetDuration(fd int, o Option, d, unit time.Duration) error {
	n := d / unit
	if d%unit > 0 {
		n++
	}
	return SetOption(fd, o, int(min(n, math.MaxInt32)))
}

// CheckListening tells whether a socket accepts connections: EINVAL, as accept(2) has it, if not.
func CheckListening(fd int) error {
	return retry("getsockopt", func() error {
		n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		if err == nil && n == 0 {
			err = unix.EINVAL
		}
		return err
	})
}
