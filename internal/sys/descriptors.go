//go:build linux

package sys

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MaxDescriptors is how many descriptors the kernel passes along with one message: SCM_MAX_FD of
// unix(7).
const MaxDescriptors = 253

// ErrDescriptors is returned when more descriptors have come than there is room for, or than the
// process may open.
var ErrDescriptors = errors.New("more descriptors than the limit allows")

// The sizes of a control message: its header, and all of one with as many descriptors as can be.
const (
	sizeofFD      = 4
	controlHeader = (unix.SizeofCmsghdr + sizeofWord - 1) &^ (sizeofWord - 1)
	controlSize   = controlHeader + (MaxDescriptors*sizeofFD+sizeofWord-1)&^(sizeofWord-1)
	sizeofWord    = int(unsafe.Sizeof(uintptr(0)))
)

// control is room for control messages, aligned as the kernel has them.
type control [controlSize / sizeofWord]uintptr

func (c *control) header(offset int) *unix.Cmsghdr {
	return (*unix.Cmsghdr)(unsafe.Add(unsafe.Pointer(c), offset))
}

func (c *control) descriptors(offset, n int) []int32 {
	return unsafe.Slice((*int32)(unsafe.Add(unsafe.Pointer(c), offset+controlHeader)), n)
}

// CheckPassing tells whether the kernel would take these descriptors along now: ETOOMANYREFS if more of
// this user's are under way than RLIMIT_NOFILE allows. It tries to send a byte that can't be read, which
// the kernel finds out only after it has asked that.
func CheckPassing(fd int, fds []int) error {
	var iov unix.Iovec
	iov.SetLen(1)
	if _, err := sendMsg(fd, &iov, nil, fds); errors.Is(err, unix.ETOOMANYREFS) {
		return err
	}
	return nil
}

// SendMsg writes to a Unix socket, with descriptors that go along with the first byte; they stay
// the caller's. It neither blocks nor raises SIGPIPE; on a stream socket it may take less than all
// of p, and a p without a byte takes no descriptors along. a is the address of a datagram; nil on a
// socket that is connected.
func SendMsg(fd int, p []byte, a *Sockaddr, fds []int) (int, error) {
	if len(fds) > MaxDescriptors {
		return 0, ErrDescriptors
	}
	iov := unix.Iovec{Base: unsafe.SliceData(p)}
	iov.SetLen(len(p))
	return sendMsg(fd, &iov, a, fds)
}

func sendMsg(fd int, iov *unix.Iovec, a *Sockaddr, fds []int) (int, error) {
	var c control
	msg := header(iov, a)
	if len(fds) > 0 {
		size := controlHeader + len(fds)*sizeofFD
		h := c.header(0)
		h.Level, h.Type = unix.SOL_SOCKET, unix.SCM_RIGHTS
		h.SetLen(size)
		for i, passed := range fds {
			c.descriptors(0, len(fds))[i] = int32(passed)
		}
		msg.Control = (*byte)(unsafe.Pointer(&c))
		msg.SetControllen(size)
	}
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, wrap("sendmsg", errno)
		}
	}
}

// RecvMsg reads from a Unix socket, without blocking whatever its mode, and takes the descriptors
// that come along into fds; they are close-on-exec. On a stream socket those of one SendMsg come
// with the read of its first byte, which may be the last of what is read. It returns 0 and no error
// when the peer has ended its side of a stream. a, if not nil, becomes the sender's address. cut
// tells that a datagram was longer than p.
//
// When fds has no room for all of them, or the process can't open them, those that did come are
// discarded, and the error is ErrDescriptors, in the second case EMFILE too; the bytes are in p nevertheless. With nil for fds the
// kernel doesn't open them at all, and closes them in this call: see RefuseDescriptors.
func RecvMsg(fd int, p []byte, a *Sockaddr, fds []int) (n, nfds int, cut bool, err error) {
	var c control
	iov := unix.Iovec{Base: unsafe.SliceData(p)}
	iov.SetLen(len(p))
	msg := header(&iov, a)
	if a != nil {
		msg.Namelen = unix.SizeofSockaddrAny
	}
	if fds != nil { // for all that can come: what has no room the kernel would close here and now
		msg.Control = (*byte)(unsafe.Pointer(&c))
		msg.SetControllen(controlSize)
	}
	for { // an interrupted call has written nothing
		r, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if errno == 0 {
			n = int(r)
			break
		}
		if errno != unix.EINTR {
			return 0, 0, false, wrap("recvmsg", errno)
		}
	}
	if a != nil {
		a.len = msg.Namelen
	}
	cut = msg.Flags&unix.MSG_TRUNC != 0
	if msg.Flags&unix.MSG_CTRUNC == 0 && msg.Controllen == 0 { // as mostly
		return n, 0, cut, nil
	}
	var all [MaxDescriptors]int
	nfds = c.collect(int(msg.Controllen), all[:])
	if msg.Flags&unix.MSG_CTRUNC != 0 {
		Discard(all[:nfds])
		return n, 0, cut, fmt.Errorf("%w: %w", ErrDescriptors, os.NewSyscallError("recvmsg", unix.EMFILE)) // there was room for all
	}
	if nfds > len(fds) {
		Discard(all[:nfds])
		return n, 0, cut, ErrDescriptors
	}
	return n, copy(fds, all[:nfds]), cut, nil
}

// header is what sendmsg and recvmsg have in common. It is returned by value, so that nothing of it
// moves to the heap.
func header(iov *unix.Iovec, a *Sockaddr) (msg unix.Msghdr) {
	msg.Iov = iov
	msg.SetIovlen(1)
	if a != nil {
		msg.Name = (*byte)(unsafe.Pointer(&a.raw))
		msg.Namelen = a.len
	}
	return msg
}

// collect copies the descriptors of the control messages, size bytes in all, to fds. The kernel has
// left none that doesn't fit.
func (c *control) collect(size int, fds []int) (n int) {
	for offset := 0; offset+controlHeader <= size; {
		h := c.header(offset)
		length := int(h.Len)
		if length < controlHeader || length > size-offset {
			break
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_RIGHTS {
			for _, passed := range c.descriptors(offset, (length-controlHeader)/sizeofFD) {
				fds[n] = int(passed)
				n++
			}
		}
		offset += (length + sizeofWord - 1) &^ (sizeofWord - 1)
	}
	return n
}

// The bounds of DiscardUnread, far above what a queue holds, and what it can hold of packets without a
// byte, which can't be told from the end.
const (
	maxPeeks      = 1 << 14
	maxEmptyPeeks = 1 << 10
)

// DiscardUnread is for a Unix socket that is to be closed: the kernel then closes the descriptors that
// wait in it unread, and none of them is to block that. It ends the reading side and leaves the bytes,
// so that the peer still learns that they were not read.
func DiscardUnread(fd int) {
	kind, err := SocketKind(fd)
	if err != nil || unix.Shutdown(fd, unix.SHUT_RD) != nil { // or more could come meanwhile
		return
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEEK_OFF, 0) != nil {
		return
	}
	empty := 0
	for range maxPeeks {
		n, passed, errno := peek(fd)
		switch {
		case errno == unix.EINTR, errno == unix.ECONNRESET: // which is reported once, before what there is
		case errno != 0:
			return
		case n > 0 || passed > 0:
			empty = 0
		default:
			if empty++; kind == Stream || empty == maxEmptyPeeks {
				return
			}
		}
	}
}

// peek looks at what comes next, and lets none of its descriptors block when it is closed.
func peek(fd int) (n, passed int, errno syscall.Errno) {
	var p [4096]byte
	var c control
	iov := unix.Iovec{Base: &p[0]}
	iov.SetLen(len(p))
	msg := header(&iov, nil)
	msg.Control = (*byte)(unsafe.Pointer(&c))
	msg.SetControllen(controlSize)
	r, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_PEEK|unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if errno != 0 {
		return 0, 0, errno
	}
	var all [MaxDescriptors]int
	passed = c.collect(int(msg.Controllen), all[:])
	Discard(all[:passed]) // these are duplicates, and the option is the socket's
	return int(r), passed, 0
}

// RefuseDescriptors lets a Unix socket, and those that it accepts, take no descriptors: who sends some
// gets EPERM. Before Linux 6.16, which has no SO_PASSRIGHTS, it does nothing.
func RefuseDescriptors(fd int) error { return passRights(fd, 0) }

// AllowDescriptors undoes RefuseDescriptors, which a socket may have from the one that accepted it.
func AllowDescriptors(fd int) error { return passRights(fd, 1) }

func passRights(fd, value int) error {
	err := SetOption(fd, Option{unix.SOL_SOCKET, unix.SO_PASSRIGHTS}, value)
	if errors.Is(err, unix.ENOPROTOOPT) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// CloseAll closes descriptors of which nobody wants to know how their end went.
func CloseAll(fds []int) {
	for _, fd := range fds {
		_ = Close(fd)
	}
}
