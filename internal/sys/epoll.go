//go:build linux

package sys

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The conditions of a descriptor, as epoll has them.
const (
	Readable      = unix.EPOLLIN
	Writable      = unix.EPOLLOUT
	HangUp        = unix.EPOLLHUP
	Failed        = unix.EPOLLERR
	Exceptional   = unix.EPOLLPRI
	EdgeTriggered = unix.EPOLLET
)

// Event is what epoll reports. Its Fd and Pad are the 64 bits that the caller of [EpollAdd] chose.
type Event = unix.EpollEvent

// EpollCreate makes an epoll set.
func EpollCreate() (epfd int, err error) {
	err = retry("epoll_create1", func() (err error) {
		epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		return err
	})
	return epfd, err
}

// EpollAdd adds fd to the set; its events carry slot and generation.
func EpollAdd(epfd, fd int, events uint32, slot int32, generation uint32) error {
	return epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &Event{Events: events, Fd: slot, Pad: int32(generation)})
}

// EpollModify changes the events of a descriptor of the set.
func EpollModify(epfd, fd int, events uint32, slot int32, generation uint32) error {
	return epollCtl(epfd, unix.EPOLL_CTL_MOD, fd, &Event{Events: events, Fd: slot, Pad: int32(generation)})
}

// EpollDelete takes a descriptor out of the set.
func EpollDelete(epfd, fd int) error {
	return epollCtl(epfd, unix.EPOLL_CTL_DEL, fd, &Event{})
}

func epollCtl(epfd, op, fd int, event *Event) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epfd), uintptr(op), uintptr(fd),
		uintptr(unsafe.Pointer(event)), 0, 0)
	if errno != 0 {
		return &os.SyscallError{Syscall: "epoll_ctl", Err: errno}
	}
	return nil
}

// EpollWait blocks until the set has events; it returns none when a signal interrupts it.
func EpollWait(epfd int, events []Event) (int, error) {
	n, err := unix.EpollWait(epfd, events, -1)
	if err == nil || err == unix.EINTR {
		return max(n, 0), nil
	}
	return 0, os.NewSyscallError("epoll_wait", err)
}

// EpollPoll looks for events without blocking.
func EpollPoll(epfd int, events []Event) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd),
			uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, &os.SyscallError{Syscall: "epoll_pwait", Err: errno}
		}
	}
}

// InError tells whether a descriptor has an error or is hung up at this moment.
func InError(fd int) bool {
	set := []unix.PollFd{{Fd: int32(fd)}} // these two conditions are always told
	for {
		n, err := unix.Poll(set, 0)
		if err != unix.EINTR {
			return err == nil && n > 0
		}
	}
}

// EventFD makes a non-blocking eventfd whose count is 0.
func EventFD() (fd int, err error) {
	err = retry("eventfd", func() (err error) {
		fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		return err
	})
	return fd, err
}

// Signal adds 1 to the count of an eventfd.
func Signal(fd int) error {
	one := [8]byte{}
	*(*uint64)(unsafe.Pointer(&one)) = 1
	_, err := Write(fd, one[:])
	return err
}

// TimerFD makes a disarmed timer descriptor on the monotonic clock.
func TimerFD() (fd int, err error) {
	err = retry("timerfd_create", func() (err error) {
		fd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
		return err
	})
	return fd, err
}

// TimerArm lets a timer descriptor fire once, after d; 0 disarms it. An expiry that nobody has seen
// yet is forgotten.
func TimerArm(fd int, d time.Duration) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	_, _, errno := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(fd), 0,
		uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	return wrap("timerfd_settime", errno)
}
