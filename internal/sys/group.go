//go:build linux

package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// SignalGroup sends a signal to all processes of a process group: ESRCH if there is none.
func SignalGroup(group int, sig syscall.Signal) error {
	if group <= 1 { // for kill(2), the caller's own group, or every process there is
		return wrap("kill", unix.ESRCH)
	}
	return retry("kill", func() error { return unix.Kill(-group, sig) })
}
