//go:build linux

package sys

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DateFD makes a disarmed timer descriptor on the clock of the date, CLOCK_REALTIME.
func DateFD() (fd int, err error) {
	err = retry("timerfd_create", func() (err error) {
		fd, err = unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
		return err
	})
	return fd, err
}

// DateArm lets a descriptor of DateFD fire once, at a date or as soon as the clock is set to later; at once if
// that has been. An expiry that nobody has seen yet is forgotten. The error is ERANGE for a date that the
// machine can't count.
func DateArm(fd int, date time.Time) error {
	if first := time.Unix(0, 1); date.Before(first) {
		date = first // 0 would disarm it, and less is refused
	}
	when, err := unix.TimeToTimespec(date)
	if err != nil {
		return wrap("timerfd_settime", unix.ERANGE)
	}
	spec := unix.ItimerSpec{Value: when}
	_, _, errno := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(fd), unix.TFD_TIMER_ABSTIME,
		uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	return wrap("timerfd_settime", errno)
}
