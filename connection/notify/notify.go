//go:build linux

// Package notify tells the service manager how a service is: ready, reloading, stopping, alive. It is the protocol
// of systemd's sd_notify(3), for units with Type=notify, Type=notify-reload and WatchdogSec=.
//
// In a service that has a loop these lines do it:
//
//	n, err := notify.FromEnvironment() // a warning is enough for err: n can be used in any case
//	err = n.Attach(loop)               // ready when the loop runs, stopping when it is shut down
//	err = n.Watchdog(loop, communicator.Options{})
//
// Without a service manager, from a shell, all of it does nothing.
//
// Do not use it to tell other programs anything: the manager takes what it knows, and from the processes that
// NotifyAccess= allows. For sockets that the manager opens there is package activation.
package notify

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// MaxSize is the most bytes that a manager reads of one notification: systemd's NOTIFY_BUFFER_MAX, which is
// PIPE_BUF.
const MaxSize = 4096

// The variables by which the manager asks for notifications.
const (
	socketVariable  = "NOTIFY_SOCKET"
	timeoutVariable = "WATCHDOG_USEC"
	pidVariable     = "WATCHDOG_PID"
)

// Notifier sends notifications. The zero Notifier sends nothing. Its methods but Attach and Watchdog may be called
// from any goroutine; they neither block nor keep a descriptor open. Besides the errors that they name, all return
// those of the socket, such as ECONNREFUSED from a manager that has gone.
type Notifier struct {
	path     string // a Unix socket's, with @ if it is abstract; empty: nobody wants to know
	watchdog time.Duration
}

// FromEnvironment makes a Notifier for the manager that has started this process; without one, it does nothing. It
// can be used with an error, too: after ErrAddress and ErrVsock it does nothing, after ErrWatchdog all but that.
//
// It removes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment, so that no child takes them for
// its own: the second call finds none. Call it first thing in main, before any child is started.
func FromEnvironment() (*Notifier, error) {
	path, timeout, pid := os.Getenv(socketVariable), os.Getenv(timeoutVariable), os.Getenv(pidVariable)
	for _, variable := range []string{socketVariable, timeoutVariable, pidVariable} {
		_ = os.Unsetenv(variable) // it fails for impossible names only
	}
	if path == "" {
		return &Notifier{}, nil
	}
	if err := checkAddress(path); err != nil {
		return &Notifier{}, err
	}
	watchdog, err := parseWatchdog(timeout, pid)
	return &Notifier{path: path, watchdog: watchdog}, err
}

func checkAddress(path string) error {
	if strings.HasPrefix(path, "vsock") {
		return fmt.Errorf("%w: %s=%q", ErrVsock, socketVariable, path)
	}
	var a sys.Sockaddr
	if len(path) < 2 || path[0] != '/' && path[0] != '@' || a.SetPath(path) != nil {
		return fmt.Errorf("%w: %s=%q", ErrAddress, socketVariable, path)
	}
	return nil
}

// parseWatchdog returns the time in which the manager wants to hear of this process; 0 if it doesn't.
func parseWatchdog(timeout, pid string) (time.Duration, error) {
	if timeout == "" {
		return 0, nil
	}
	if pid != "" {
		n, err := strconv.ParseInt(pid, 10, 32)
		if err != nil || n < 1 {
			return 0, fmt.Errorf("%w: %s=%q", ErrWatchdog, pidVariable, pid)
		}
		if int(n) != os.Getpid() {
			return 0, nil
		}
	}
	n, err := strconv.ParseInt(timeout, 10, 64)
	if err != nil || n < 1 || n > math.MaxInt64/int64(time.Microsecond) {
		return 0, fmt.Errorf("%w: %s=%q", ErrWatchdog, timeoutVariable, timeout)
	}
	return time.Duration(n) * time.Microsecond, nil
}

// Wanted tells whether there is a service manager that wants to know.
func (n *Notifier) Wanted() bool { return n.path != "" }

// WatchdogTimeout is the time after which the manager takes the service for dead when it hears nothing; 0 if it
// doesn't look.
func (n *Notifier) WatchdogTimeout() time.Duration { return n.watchdog }

// Ready says that the service has started, or has read its configuration again. Its own error is ErrFull.
func (n *Notifier) Ready() error { return n.send("READY=1") }

// Reloading says that the service reads its configuration again; Ready has to follow. Its own error is ErrFull.
func (n *Notifier) Reloading() error {
	now, err := sys.Monotonic()
	if err != nil {
		return err
	}
	return n.send("RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(now.Microseconds(), 10))
}

// Stopping says that the service is about to end. Its own error is ErrFull.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

// Status says in a line of UTF-8 for people what the service is doing; "systemctl status" shows it. Its own errors
// are ErrFull and ErrValue.
func (n *Notifier) Status(text string) error { return n.Send("STATUS", text) }

// Send says anything else that sd_notify(3) lists, such as EXTEND_TIMEOUT_USEC, ERRNO, MAINPID. Its own errors are
// ErrFull and ErrValue.
func (n *Notifier) Send(name, value string) error {
	strange := func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' }
	if name == "" || strings.ContainsFunc(name, strange) || strings.ContainsAny(value, "\n\x00") ||
		!utf8.ValidString(value) || len(name)+1+len(value) > MaxSize {
		return ErrValue
	}
	return n.send(name + "=" + value)
}

// send sends a datagram by a socket of its own: it happens rarely, and a manager that has been started anew is
// found.
func (n *Notifier) send(text string) error {
	if n.path == "" {
		return nil
	}
	var a sys.Sockaddr
	if err := a.SetPath(n.path); err != nil {
		return err
	}
	fd, err := sys.Socket(&a, sys.Datagram)
	if err == nil {
		err = errors.Join(sys.SendTo(fd, []byte(text), &a), sys.Close(fd))
	}
	if errors.Is(err, sys.ErrWouldBlock) {
		return ErrFull
	}
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}
