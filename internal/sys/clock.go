//go:build linux

package sys

import (
	"time"

	"golang.org/x/sys/unix"
)

// Monotonic reads CLOCK_MONOTONIC, which all processes of the machine share: the time since it was started.
func Monotonic() (time.Duration, error) {
	var ts unix.Timespec
	err := retry("clock_gettime", func() error { return unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) })
	return time.Duration(ts.Nano()), err
}
