//go:build linux

package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Raise sends a signal to this process.
func Raise(sig syscall.Signal) error {
	return retry("kill", func() error { return unix.Kill(unix.Getpid(), sig) })
}
