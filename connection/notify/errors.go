//go:build linux

package notify

import (
	"errors"
	"fmt"
)

var (
	// ErrAddress is returned by FromEnvironment for a NOTIFY_SOCKET that is neither a path from the root nor an
	// abstract name, or too long for one.
	ErrAddress = errors.New("notify: not the address of a Unix socket")
	// ErrVsock is returned by FromEnvironment for a NOTIFY_SOCKET in another machine (vsock:...); errors.Is(err,
	// errors.ErrUnsupported) holds.
	ErrVsock = fmt.Errorf("notify: a socket of another machine: %w", errors.ErrUnsupported)
	// ErrWatchdog is returned by FromEnvironment for a WATCHDOG_USEC or WATCHDOG_PID that is not a number, or out of
	// range.
	ErrWatchdog = errors.New("notify: malformed watchdog")
	// ErrFull is returned when the service manager has not read what came before. Nothing was sent; later it may go.
	ErrFull = errors.New("notify: the service manager is behind")
	// ErrValue is returned by Send and Status for what can't be one assignment: a name that isn't made of capital
	// letters, digits and _, a value with a line feed or a NUL or that isn't UTF-8, or more than MaxSize bytes.
	ErrValue = errors.New("notify: not one assignment")
)
