//go:build linux

package sys

import (
	"math"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// OpenProcess makes a pidfd: a descriptor that stands for the process of that number and becomes readable when it
// ends. The number of a thread is EINVAL or ENOENT, one that nobody has is ESRCH.
func OpenProcess(pid int) (fd int, err error) {
	if pid > math.MaxInt32 { // the kernel would take the lower half
		return NoFD, wrap("pidfd_open", unix.ESRCH)
	}
	err = retry("pidfd_open", func() (err error) {
		fd, err = unix.PidfdOpen(pid, 0)
		return err
	})
	return fd, err
}

// SignalProcess sends a signal to the process of a pidfd; ESRCH if it is gone.
func SignalProcess(pidfd int, sig syscall.Signal) error {
	return retry("pidfd_send_signal", func() error { return unix.PidfdSendSignal(pidfd, sig, nil, 0) })
}

// ChildState is what has become of a child.
type ChildState uint8

// What can become of a child.
const (
	ChildSame      ChildState = iota // nothing that wasn't told before
	ChildEnded                       // it has exited, or a signal has killed it
	ChildStopped                     // by the signal that comes with it
	ChildContinued                   // by SIGCONT
)

// PeekChild tells whether the child of a pidfd has ended, with stops also whether it was stopped or continued, and
// leaves it for the next to see. ECHILD: it is no child, or somebody has waited for it.
func PeekChild(pidfd int, stops bool) (ChildState, error) {
	options := unix.WEXITED | unix.WNOWAIT
	if stops {
		options |= unix.WSTOPPED | unix.WCONTINUED
	}
	state, _, err := waitChild(unix.P_PIDFD, pidfd, options)
	return state, err
}

// PeekChildPID is PeekChild for the number of a child, where there is no pidfd. Another child may have got it.
func PeekChildPID(pid int) (ChildState, error) {
	state, _, err := waitChild(unix.P_PID, pid, unix.WEXITED|unix.WNOWAIT)
	return state, err
}

// PeekStop tells whether the child of a pidfd was stopped or continued, and leaves it for TakeStop.
func PeekStop(pidfd int) (bool, error) {
	state, _, err := waitChild(unix.P_PIDFD, pidfd, unix.WSTOPPED|unix.WCONTINUED|unix.WNOWAIT)
	return state != ChildSame, err
}

// TakeStop is PeekStop that also says what has happened, by which signal, and takes it: nobody sees it again.
func TakeStop(pidfd int) (ChildState, syscall.Signal, error) {
	return waitChild(unix.P_PIDFD, pidfd, unix.WSTOPPED|unix.WCONTINUED)
}

// childInfo is siginfo_t for SIGCHLD.
type childInfo struct {
	_      [3]int32
	_      [0]uintptr // which aligns what follows as the kernel does
	_      int32      // the process
	_      uint32     // its user
	status int32
}

func waitChild(kind, id, options int) (state ChildState, sig syscall.Signal, err error) {
	var info unix.Siginfo
	err = retry("waitid", func() error { return unix.Waitid(kind, id, &info, options|unix.WNOHANG, nil) })
	if err != nil || info.Signo == 0 {
		return ChildSame, 0, err
	}
	const (
		exited = iota + 1 // CLD_EXITED and the following of <asm-generic/siginfo.h>
		killed
		dumped
		trapped
		stopped
		continued
	)
	sig = syscall.Signal((*childInfo)(unsafe.Pointer(&info)).status)
	switch info.Code {
	case exited, killed, dumped:
		return ChildEnded, 0, nil
	case trapped, stopped:
		return ChildStopped, sig, nil
	case continued:
		return ChildContinued, sig, nil
	}
	return ChildSame, 0, nil
}
