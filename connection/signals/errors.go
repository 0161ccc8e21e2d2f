//go:build linux

package signals

import "errors"

var (
	// ErrNoSignals is returned by Notify when it is given no signals.
	ErrNoSignals = errors.New("signals: none to notify of")
	// ErrUncatchable is returned by Notify for a signal that never comes to a Go program: SIGKILL and SIGSTOP, which
	// the kernel keeps for itself, and those that the runtime needs (SIGPROF, 32 to 34) or takes for a fault of the
	// program (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGSTKFLT).
	ErrUncatchable = errors.New("signals: it can't be caught")
	// ErrInterrupted is what Run returns when Terminate's second signal has come.
	ErrInterrupted = errors.New("signals: interrupted before the shutdown was over")
)
