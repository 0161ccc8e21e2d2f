//go:build linux

package sys

import (
	"encoding/binary"
	"errors"
	"math"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's process events are messages of its connector (<linux/connector.h>, <linux/cn_proc.h>): a netlink
// header, the connector's, and the event.
const (
	connectorProc   = 1 // CN_IDX_PROC, CN_VAL_PROC, and the group of the messages
	connectorListen = 1 // PROC_CN_MCAST_LISTEN
	connectorIgnore = 2 // PROC_CN_MCAST_IGNORE
	connectorHeader = 20
	eventHeader     = 16 // what, cpu, timestamp
)

// ProcKind is a set of kinds of process events, as the kernel numbers them.
type ProcKind uint32

// The kinds of process events. ProcAck, which is none, answers a subscription.
const (
	ProcAck      ProcKind = 0
	ProcFork     ProcKind = 0x1
	ProcExec     ProcKind = 0x2
	ProcUID      ProcKind = 0x4
	ProcGID      ProcKind = 0x40
	ProcSID      ProcKind = 0x80
	ProcPtrace   ProcKind = 0x100
	ProcComm     ProcKind = 0x200
	ProcCoreDump ProcKind = 0x40000000
	ProcExit     ProcKind = 0x80000000
)

// ProcEvent is a process event. TID is a task, PID its process.
type ProcEvent struct {
	Kind     ProcKind
	CPU      int
	Time     time.Duration // on the monotonic clock
	TID, PID int
	OtherTID int    // fork, exit, core dump: the parent; ptrace: the tracer, 0 when it lets go
	OtherPID int    // its process
	ID, EID  uint32 // the new real and effective user or group
	Status   syscall.WaitStatus
	Name     string
	Answer   syscall.Errno // of ProcAck
	Token    uint32        // of ProcAck: that of the subscription
}

// ErrNotProcEvent is returned by ParseProcEvent for bytes that are none.
var ErrNotProcEvent = errors.New("not a process event of the kernel")

// ParseProcEvent reads a message of the connector. An event of a kind that is not known has its kind only.
func ParseProcEvent(p []byte) (e ProcEvent, err error) {
	order := binary.NativeEndian
	if len(p) < unix.SizeofNlMsghdr+connectorHeader+eventHeader {
		return e, ErrNotProcEvent
	}
	size := order.Uint32(p)
	if size > uint32(len(p)) || size < unix.SizeofNlMsghdr+connectorHeader+eventHeader {
		return e, ErrNotProcEvent
	}
	c := p[unix.SizeofNlMsghdr:size]
	if order.Uint32(c) != connectorProc || order.Uint32(c[4:]) != connectorProc {
		return e, ErrNotProcEvent
	}
	b := c[connectorHeader:]
	n := int(order.Uint16(c[16:]))
	if n < eventHeader || n > len(b) {
		return e, ErrNotProcEvent
	}
	b = b[:n]
	e.Kind, e.CPU, e.Time = ProcKind(order.Uint32(b)), int(order.Uint32(b[4:])), time.Duration(order.Uint64(b[8:]))
	var data [24]byte // the largest of them; what is missing is 0
	if copy(data[:], b[eventHeader:]) < e.Kind.size() {
		return e, ErrNotProcEvent
	}
	field := func(i int) uint32 { return order.Uint32(data[4*i:]) }
	number := func(i int) int { return int(int32(field(i))) }
	e.TID, e.PID = number(0), number(1)
	switch e.Kind {
	case ProcAck:
		e.TID, e.PID, e.Answer, e.Token = 0, 0, syscall.Errno(field(0)), order.Uint32(c[12:])-1
	case ProcFork:
		e.OtherTID, e.OtherPID, e.TID, e.PID = number(0), number(1), number(2), number(3)
	case ProcUID, ProcGID:
		e.ID, e.EID = field(2), field(3)
	case ProcPtrace, ProcCoreDump:
		e.OtherTID, e.OtherPID = number(2), number(3)
	case ProcComm:
		e.Name = unix.ByteSliceToString(data[8:])
	case ProcExit:
		e.Status, e.OtherTID, e.OtherPID = syscall.WaitStatus(field(2)), number(4), number(5)
	case ProcExec, ProcSID:
	default:
		e.TID, e.PID = 0, 0
	}
	return e, nil
}

// size is how many bytes the data of an event of the kind has at least.
func (k ProcKind) size() int {
	switch k {
	case ProcAck:
		return 4
	case ProcExec, ProcSID:
		return 8
	case ProcFork, ProcUID, ProcGID, ProcPtrace, ProcCoreDump:
		return 16
	case ProcComm:
		return 24
	case ProcExit:
		return 16 // 24 since Linux 4.18, with the parent
	}
	return 0
}

// OpenProcEvents makes a socket that gets the process events of the kernel once SubscribeProcEvents has asked for
// them, with room for buffer bytes. EPERM without CAP_NET_ADMIN before Linux 6.6; EPROTONOSUPPORT from a kernel
// without CONFIG_CONNECTOR.
func OpenProcEvents(buffer int) (fd int, err error) {
	err = retry("socket", func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.NETLINK_CONNECTOR)
		return err
	})
	if err != nil {
		return NoFD, err
	}
	BufferProcEvents(fd, buffer)
	err = retry("bind", func() error {
		return unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: connectorProc})
	})
	if err != nil {
		_ = Close(fd)
		return NoFD, err
	}
	return fd, nil
}

// BufferProcEvents changes the room to that many bytes, 1 GiB at most; without CAP_NET_ADMIN the kernel gives what it
// allows.
func BufferProcEvents(fd, buffer int) {
	buffer = min(buffer, math.MaxInt32/2) // the kernel takes an int, and doubles it
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)
	}
}

// SubscribeProcEvents asks the kernel for events; with kinds for these only, which a kernel before Linux 6.6 doesn't
// answer. The answer is an event with the token. ECONNREFUSED: in this network namespace nobody listens.
func SubscribeProcEvents(fd int, kinds ProcKind, token uint32) error {
	order := binary.NativeEndian
	data := order.AppendUint32(nil, connectorListen)
	if kinds != 0 {
		data = order.AppendUint32(data, uint32(kinds))
	}
	return sendProc(fd, token, data)
}

// UnsubscribeProcEvents undoes SubscribeProcEvents. Before Linux 6.6 the end of the socket doesn't, and the kernel
// would go on to make events for nobody.
func UnsubscribeProcEvents(fd int) error {
	return sendProc(fd, 0, binary.NativeEndian.AppendUint32(nil, connectorIgnore))
}

func sendProc(fd int, token uint32, data []byte) error {
	order := binary.NativeEndian
	p := order.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+connectorHeader+len(data)))
	p = order.AppendUint16(p, unix.NLMSG_DONE)
	p = order.AppendUint16(p, 0) // flags
	p = order.AppendUint32(p, 0) // sequence: the kernel overwrites it in its answer
	p = order.AppendUint32(p, 0) // port: the kernel fills it in
	p = order.AppendUint32(p, connectorProc)
	p = order.AppendUint32(p, connectorProc)
	p = order.AppendUint32(p, 0)     // sequence
	p = order.AppendUint32(p, token) // comes back, plus one
	p = order.AppendUint16(p, uint16(len(data)))
	p = order.AppendUint16(p, 0) // flags
	p = append(p, data...)
	return retry("sendto", func() error { return unix.Sendto(fd, p, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) })
}

// RecvProcEvent reads one message into p. Only what the kernel itself has sent counts: false for anything else.
// ENOBUFS: messages were lost, and more may be until all that wait have been read, without another ENOBUFS.
func RecvProcEvent(fd int, p []byte) (n int, kernel bool, err error) {
	for {
		var from unix.RawSockaddrNetlink
		size := uint32(unix.SizeofSockaddrNetlink)
		r, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
			uintptr(len(p)), unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)))
		if errno == 0 {
			return int(r), size == unix.SizeofSockaddrNetlink && from.Family == unix.AF_NETLINK && from.Pid == 0, nil
		}
		if errno != unix.EINTR {
			return 0, false, wrap("recvfrom", errno)
		}
	}
}
