//go:build linux

package sys

import (
	"errors"
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

// SendMsg writes to a Unix socket, with descriptors that go along with the first byte; they stay
// the caller's. It neither blocks nor raises SIGPIPE; on a stream socket it may take less than all
// of p, and a p without a byte takes no descriptors along. a is the address of a datagram; nil on a
// socket that is connected.
func SendMsg(fd int, p []byte, a *Sockaddr, fds []int) (int, error) {
	if len(fds) > MaxDescriptors {
		return 0, ErrDescriptors
	}
	var c control
	iov := unix.Iovec{Base: unsafe.SliceData(p)}
	iov.SetLen(len(p))
	msg := header(&iov, a)
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
// closed, and the error is ErrDescriptors; the bytes are in p nevertheless.
func RecvMsg(fd int, p []byte, a *Sockaddr, fds []int) (n, nfds int, cut bool, err error) {
	var c control
	iov := unix.Iovec{Base: unsafe.SliceData(p)}
	iov.SetLen(len(p))
	msg := header(&iov, a)
	room := min(len(fds), MaxDescriptors)
	if a != nil {
		msg.Namelen = unix.SizeofSockaddrAny
	}
	if room > 0 {
		msg.Control = (*byte)(unsafe.Pointer(&c))
		msg.SetControllen(controlHeader + room*sizeofFD)
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
	nfds = c.collect(int(msg.Controllen), fds)
	if msg.Flags&unix.MSG_CTRUNC != 0 {
		CloseAll(fds[:nfds])
		nfds, err = 0, ErrDescriptors
	}
	return n, nfds, msg.Flags&unix.MSG_TRUNC != 0, err
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

// CloseAll closes descriptors of which nobody wants to know how their end went.
func CloseAll(fds []int) {
	for _, fd := range fds {
		_ = Close(fd)
	}
}
