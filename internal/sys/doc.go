// Package sys is the one place of system calls.
//
// Every call is repeated when a signal interrupts it, and its error is wrapped once, here, as an
// *os.SyscallError. The two results that are no failures have plain sentinels: [ErrWouldBlock] and
// [ErrInProgress].
//
// Calls on non-blocking descriptors go through RawSyscall: they return at once, so telling the
// scheduler about them would cost more than it gains. Only [EpollWait] tells it.
package sys
