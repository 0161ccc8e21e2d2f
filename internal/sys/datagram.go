//go:build linux

package sys

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// ReceiveBatch is how many datagrams a Batch takes in one call.
	ReceiveBatch = 16
	// SendBatch is how many datagrams an Outbox sends in one call.
	SendBatch = 64
)

// messageHeader is the kernel's struct mmsghdr.
type messageHeader struct {
	unix.Msghdr
	length uint32
}

// Batch takes several datagrams in one call. The bytes and descriptors of one are valid until the
// next Receive.
type Batch struct {
	headers [ReceiveBatch]messageHeader
	vectors [ReceiveBatch]unix.Iovec
	addrs   [ReceiveBatch]Sockaddr
	control []control
	limit   int // descriptors that come along with one datagram
	buf     []byte
	size    int
}

// NewBatch makes room for datagrams of size bytes, each with that many descriptors. It is one
// allocation, of which only the pages that datagrams have reached take memory.
func NewBatch(size, descriptors int) *Batch {
	b := &Batch{buf: make([]byte, size*ReceiveBatch), size: size, limit: min(descriptors, MaxDescriptors)}
	if b.limit > 0 {
		b.control = make([]control, ReceiveBatch)
	}
	for i := range b.headers {
		v := &b.vectors[i]
		v.Base = &b.buf[i*size]
		v.SetLen(size)
		h := &b.headers[i]
		h.Iov = v
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&b.addrs[i].raw))
		if b.limit > 0 {
			h.Control = (*byte)(unsafe.Pointer(&b.control[i]))
		}
	}
	return b
}

// Receive takes the datagrams that are there, without blocking, and returns how many: at least one.
// Descriptors of an earlier call that Descriptors was not asked for are lost.
func (b *Batch) Receive(fd int) (int, error) {
	for i := range b.headers {
		h := &b.headers[i]
		h.Namelen = unix.SizeofSockaddrAny
		if b.limit > 0 {
			h.SetControllen(controlSize) // for all that can come: see RecvMsg
		}
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.headers)), ReceiveBatch,
			unix.MSG_DONTWAIT|unix.MSG_TRUNC|unix.MSG_CMSG_CLOEXEC, 0, 0)
		if errno == 0 {
			for i := range int(n) {
				b.addrs[i].len = b.headers[i].Namelen
			}
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, wrap("recvmmsg", errno)
		}
	}
}

// Datagram returns a datagram, and whether it was longer than there is room for.
func (b *Batch) Datagram(i int) (data []byte, cut bool) {
	n := int(b.headers[i].length)
	if n > b.size {
		return nil, true
	}
	from := i * b.size
	return b.buf[from : from+n : from+n], false
}

// From is the sender of a datagram.
func (b *Batch) From(i int) *Sockaddr { return &b.addrs[i] }

// Descriptors appends those that came along with a datagram to fds; they are the caller's. cut
// tells that they are more than the limit, or that some could not be opened.
func (b *Batch) Descriptors(i int, fds []int) (_ []int, cut bool) {
	if b.limit == 0 {
		return fds, false
	}
	var all [MaxDescriptors]int
	h := &b.headers[i]
	n := b.control[i].collect(int(h.Controllen), all[:])
	h.SetControllen(0) // they are not handed out twice
	return append(fds, all[:n]...), n > b.limit || h.Flags&unix.MSG_CTRUNC != 0
}

// SendTo sends a datagram; a is nil on a socket that is connected.
func SendTo(fd int, p []byte, a *Sockaddr) error {
	if a == nil {
		_, err := Send(fd, p)
		return err
	}
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
			uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&a.raw)), uintptr(a.len))
		if errno != unix.EINTR {
			return wrap("sendto", errno)
		}
	}
}

// Outbox sends several datagrams in one call. The zero value is empty.
type Outbox struct {
	headers [SendBatch]messageHeader
	vectors [SendBatch]unix.Iovec
	addrs   [SendBatch]Sockaddr
}

// Set makes a datagram the one with that number; the bytes must stay until it was sent. a is nil on
// a socket that is connected.
func (o *Outbox) Set(i int, p []byte, a *Sockaddr) {
	h, v := &o.headers[i], &o.vectors[i]
	v.Base = unsafe.SliceData(p)
	v.SetLen(len(p))
	h.Iov = v
	h.SetIovlen(1)
	h.Name, h.Namelen = nil, 0
	if a != nil {
		o.addrs[i] = *a
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&o.addrs[i].raw)), a.len
	}
}

// Send sends the datagrams from one number to before another, without blocking, and returns how
// many went. The error is that of the first one, if none did.
func (o *Outbox) Send(fd, from, to int) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&o.headers[from])),
			uintptr(to-from), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, wrap("sendmmsg", errno)
		}
	}
}

// Forget lets go of the bytes of the first n datagrams.
func (o *Outbox) Forget(n int) {
	for i := range n {
		o.vectors[i].Base = nil
	}
}

// Equal tells whether two addresses are the same, byte by byte.
func (a *Sockaddr) Equal(b *Sockaddr) bool {
	if a.len != b.len {
		return false
	}
	n := min(int(a.len), int(unsafe.Sizeof(a.raw)))
	return string(unsafe.Slice((*byte)(unsafe.Pointer(&a.raw)), n)) == string(unsafe.Slice((*byte)(unsafe.Pointer(&b.raw)), n))
}

// SetUnnamed makes it a Unix address without a name: binding to it has the kernel choose an
// abstract name, as unix(7) says under "Autobind feature".
func (a *Sockaddr) SetUnnamed() {
	*a = Sockaddr{}
	a.raw.Addr.Family = unix.AF_UNIX
	a.len = uint32(unsafe.Sizeof(a.raw.Addr.Family))
}

// SocketKind is the kind of a socket: ENOTSOCK if it is none.
func SocketKind(fd int) (kind int, err error) {
	return Option{unix.SOL_SOCKET, unix.SO_TYPE}.get(fd)
}

func (o Option) get(fd int) (n int, err error) {
	err = retry("getsockopt", func() (err error) {
		n, err = unix.GetsockoptInt(fd, o.level, o.name)
		return err
	})
	return n, err
}

// IsIPv6 tells whether a socket is of IPv6, and perhaps of IPv4 too.
func IsIPv6(fd int) (bool, error) {
	domain, err := Option{unix.SOL_SOCKET, unix.SO_DOMAIN}.get(fd)
	return domain == unix.AF_INET6, err
}

// Join makes a socket a member of a multicast group on an interface, a number; 0 leaves the choice
// to the kernel.
func Join(fd int, group netip.Addr, iface int) error {
	return membership(fd, group, iface, unix.IP_ADD_MEMBERSHIP, unix.IPV6_JOIN_GROUP)
}

// Leave ends what Join began.
func Leave(fd int, group netip.Addr, iface int) error {
	return membership(fd, group, iface, unix.IP_DROP_MEMBERSHIP, unix.IPV6_LEAVE_GROUP)
}

func membership(fd int, group netip.Addr, iface, four, six int) error {
	return retry("setsockopt", func() error {
		if group.Is4() {
			return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, four, &unix.IPMreqn{Multiaddr: group.As4(), Ifindex: int32(iface)})
		}
		return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, six, &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(iface)})
	})
}

// MulticastInterface makes an interface the one through which a socket sends to IPv4 groups. For
// IPv6 it is an Option.
func MulticastInterface(fd, iface int) error {
	return retry("setsockopt", func() error {
		return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(iface)})
	})
}

// PathMTU is the longest packet, in bytes, that the kernel knows to reach an address unfragmented.
func PathMTU(addr netip.AddrPort) (mtu int, err error) {
	var sa Sockaddr
	if err := sa.SetAddrPort(addr); err != nil {
		return 0, err
	}
	fd, err := Socket(&sa, Datagram)
	if err != nil {
		return 0, err
	}
	defer func() { _ = Close(fd) }()
	if err := Connect(fd, &sa); err != nil {
		return 0, err
	}
	if addr.Addr().Is4() {
		return Option{unix.IPPROTO_IP, unix.IP_MTU}.get(fd)
	}
	return Option{unix.IPPROTO_IPV6, unix.IPV6_MTU}.get(fd)
}
