//go:build linux

package procwatch

import (
	"errors"
	"fmt"
	"net"
	"os"
)

var (
	// ErrNoProcess is returned by PID for a number that no process has, or can have.
	ErrNoProcess = errors.New("procwatch: no such process")
	// ErrThread is returned by PID for the number of a thread that is not its process's first.
	ErrThread = errors.New("procwatch: the number of a thread, not of a process")
	// ErrSelf is returned by PID for this process, whose end it can't be told of.
	ErrSelf = errors.New("procwatch: a process doesn't see its own end")
	// ErrNotChild is returned by Child for a process that is no child of this one or was waited for elsewhere, and
	// by PID when it is to tell of stops.
	ErrNotChild = errors.New("procwatch: not a child of this process")
	// ErrReaped is in the event of a child that somebody else has waited for, or the kernel, as it does when SIGCHLD is
	// ignored: how it ended is not known.
	ErrReaped = errors.New("procwatch: somebody else has waited for the child")
	// ErrClosed is returned by Signal when the watch has left the loop; errors.Is(err, net.ErrClosed) holds.
	ErrClosed = fmt.Errorf("procwatch: the watch is closed: %w", net.ErrClosed)
	// ErrNoProcEvents is returned by Machine where the kernel has no process events (CONFIG_CONNECTOR and
	// CONFIG_PROC_EVENTS); errors.Is(err, errors.ErrUnsupported) holds.
	ErrNoProcEvents = fmt.Errorf("procwatch: this kernel reports no process events: %w", errors.ErrUnsupported)
)

// PermissionError is returned by Machine when the process may not have the events of the machine;
// errors.Is(err, os.ErrPermission) holds.
type PermissionError struct {
	// Missing is what the process would have to have: "the capability CAP_NET_ADMIN", or "the initial network
	// namespace", "user namespace", "PID namespace".
	Missing string
}

func (e *PermissionError) Error() string {
	return "procwatch: the events of the machine are only for a process with " + e.Missing
}

// Unwrap is os.ErrPermission.
func (e *PermissionError) Unwrap() error { return os.ErrPermission }
