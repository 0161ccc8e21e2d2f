//go:build linux

package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

const (
	sigint  = syscall.SIGINT
	sigterm = syscall.SIGTERM
	sigkill = syscall.SIGKILL

	askFirst  = syscall.Signal(0) // the step that sends no signal, but a message
	maxSignal = 64                // SIGRTMAX
	maxSteps  = 20

	// lastWait is how long a process has after SIGTERM, as recorded of the C++ library's tool, and after SIGKILL.
	lastWait = 10 * time.Second
)

// step is something that is done to a process, and how long the process may take to end before the next.
type step struct {
	signal syscall.Signal
	wait   time.Duration
}

// continues tells whether SIGCONT follows the signal, so that a process that is stopped takes it.
func (s step) continues() bool {
	switch s.signal {
	case syscall.SIGKILL, syscall.SIGCONT, syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU:
		return false
	}
	return true
}

// signals are those that have a name on every architecture.
var signals = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "ILL": syscall.SIGILL, "TRAP": syscall.SIGTRAP,
	"ABRT": syscall.SIGABRT, "BUS": syscall.SIGBUS, "FPE": syscall.SIGFPE, "KILL": syscall.SIGKILL, "USR1": syscall.SIGUSR1,
	"SEGV": syscall.SIGSEGV, "USR2": syscall.SIGUSR2, "PIPE": syscall.SIGPIPE, "ALRM": syscall.SIGALRM,
	"TERM": syscall.SIGTERM, "CHLD": syscall.SIGCHLD, "CONT": syscall.SIGCONT, "STOP": syscall.SIGSTOP,
	"TSTP": syscall.SIGTSTP, "TTIN": syscall.SIGTTIN, "TTOU": syscall.SIGTTOU, "URG": syscall.SIGURG, "XCPU": syscall.SIGXCPU,
	"XFSZ": syscall.SIGXFSZ, "VTALRM": syscall.SIGVTALRM, "PROF": syscall.SIGPROF, "WINCH": syscall.SIGWINCH,
	"IO": syscall.SIGIO, "PWR": syscall.SIGPWR, "SYS": syscall.SIGSYS,
}

func signalNames() []string { return slices.Sorted(maps.Keys(signals)) }

// signalName is "SIGINT", or "signal 40".
func signalName(sig syscall.Signal) string {
	for name, number := range signals {
		if number == sig {
			return "SIG" + name
		}
	}
	return fmt.Sprintf("signal %d", int(sig))
}

// parseSignal reads a name, with or without SIG, in capitals or not, or a number.
func parseSignal(text string) (syscall.Signal, error) {
	if sig, found := signals[strings.TrimPrefix(strings.ToUpper(text), "SIG")]; found {
		return sig, nil
	}
	if n, err := strconv.ParseUint(text, 10, 8); err == nil && n > 0 && n <= maxSignal {
		return syscall.Signal(n), nil
	}
	return 0, fmt.Errorf("no such signal: %q", text)
}

// parseSequence reads signals with the times after them, as TERM:5,QUIT:2; wait is the time of those that name none.
func parseSequence(list string, wait time.Duration) (steps []step, err error) {
	for part := range strings.SplitSeq(list, ",") {
		if len(steps) == maxSteps {
			return nil, fmt.Errorf("more than %d signals", maxSteps)
		}
		name, limit, limited := strings.Cut(part, ":")
		s := step{wait: wait}
		if s.signal, err = parseSignal(name); err != nil {
			return nil, err
		}
		if limited {
			err = cli.Seconds(&s.wait).Set(limit)
			if err == nil {
				err = checkWait(s.wait)
			}
			if err != nil {
				return nil, fmt.Errorf("%q: %w", part, err)
			}
		}
		steps = append(steps, s)
	}
	return steps, nil
}
