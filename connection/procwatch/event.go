//go:build linux

package procwatch

import (
	"fmt"
	"os"
	"syscall"
)

// Kind is what has happened to a process.
type Kind uint8

// What can happen to a process.
const (
	Exited    Kind = iota + 1 // it has ended by itself, with a status
	Killed                    // a signal has ended it
	Stopped                   // a signal has stopped it; with Options.Stops
	Continued                 // it goes on; with Options.Stops
	Gone                      // it has ended, and how is not known
)

// String names the kind: "exited", "killed", "stopped", "continued", "gone".
func (k Kind) String() string {
	switch k {
	case Exited:
		return "exited"
	case Killed:
		return "killed"
	case Stopped:
		return "stopped"
	case Continued:
		return "continued"
	case Gone:
		return "gone"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Event is what has happened to a process that is watched.
type Event struct {
	PID  int
	Kind Kind
	// Code is the exit status, 0 to 255, of a process that has exited; -1 for every other kind.
	Code int
	// Signal is what has killed, stopped or continued it.
	Signal syscall.Signal
	// CoreDumped tells whether it was killed with a core dump.
	CoreDumped bool
	// State has more of a child that has exited or was killed, as the time that it used: UserTime, SystemTime,
	// SysUsage. Nil for every other kind.
	State *os.ProcessState
	// Err says why it is not known how a child ended: ErrReaped, or what waiting for it has failed with. Nil for
	// every other kind, and for a Gone of PID.
	Err error
}

// Success tells whether the process has exited with status 0.
func (e Event) Success() bool { return e.Kind == Exited && e.Code == 0 }

// String is the event in a few words, as "process 17 exited with status 3".
func (e Event) String() string {
	text := fmt.Sprintf("process %d %v", e.PID, e.Kind)
	switch e.Kind {
	case Exited:
		text += fmt.Sprintf(" with status %d", e.Code)
	case Killed, Stopped:
		text += fmt.Sprintf(" by signal %d (%v)", int(e.Signal), e.Signal)
	}
	if e.CoreDumped {
		text += ", core dumped"
	}
	if e.Err != nil {
		text += fmt.Sprintf(" (%v)", e.Err)
	}
	return text
}
