//go:build linux

package netnstest

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// vethInfoPeer is VETH_INFO_PEER of linux/veth.h.
const vethInfoPeer = 1

// operUp is IF_OPER_UP of linux/if.h.
const operUp = 6

// patience is how long the kernel may take to switch an interface on.
const patience = 20 * time.Second

var errShort = errors.New("netlink: a short answer")

// up switches an interface on.
func up(t *testing.T, name string) {
	t.Helper()
	index, err := indexOf(name)
	if err == nil {
		b := link(index)
		info := (*unix.IfInfomsg)(unsafe.Pointer(&b[0]))
		info.Flags, info.Change = unix.IFF_UP, unix.IFF_UP
		err = request(unix.RTM_NEWLINK, 0, b)
	}
	if err != nil {
		t.Errorf("switching %s on: %v", name, err)
	}
}

// awaitUp waits until the kernel has seen that both ends of a wire are on: what is sent earlier is
// lost. It lets the interface send under the lock that the next request takes.
func awaitUp(t *testing.T, name string) {
	t.Helper()
	for end := time.Now().Add(patience); ; <-time.After(time.Millisecond) {
		state, err := operState(name)
		switch {
		case err != nil:
			t.Errorf("the state of %s: %v", name, err)
			return
		case state == operUp:
			return
		case time.Now().After(end):
			t.Errorf("%s doesn't come up", name)
			return
		}
	}
}

// operState is the state of an interface: RFC 2863.
func operState(name string) (byte, error) {
	index, err := indexOf(name)
	if err != nil {
		return 0, err
	}
	answer, err := ask(unix.RTM_GETLINK, 0, link(index))
	if err != nil {
		return 0, err
	}
	if len(answer) < unix.SizeofNlMsghdr+unix.SizeofIfInfomsg {
		return 0, errShort
	}
	for rest := answer[unix.SizeofNlMsghdr+unix.SizeofIfInfomsg:]; len(rest) > unix.SizeofRtAttr; {
		size := int(binary.NativeEndian.Uint16(rest))
		if size < unix.SizeofRtAttr || size > len(rest) {
			return 0, errShort
		}
		if binary.NativeEndian.Uint16(rest[2:]) == unix.IFLA_OPERSTATE && size > unix.SizeofRtAttr {
			return rest[unix.SizeofRtAttr], nil
		}
		rest = rest[min(len(rest), (size+3)&^3):]
	}
	return 0, errShort
}

func indexOf(name string) (int, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return i.Index, nil
}

// newVeth makes a pair of interfaces; the other end goes to a namespace, if there is one.
func newVeth(name, other string, mtu, namespace int) error {
	peer := append(link(0), text(unix.IFLA_IFNAME, other)...)
	peer = append(peer, number(unix.IFLA_MTU, mtu)...)
	if namespace >= 0 {
		peer = append(peer, number(unix.IFLA_NET_NS_FD, namespace)...)
	}
	info := append(text(unix.IFLA_INFO_KIND, "veth"), attribute(unix.IFLA_INFO_DATA, attribute(vethInfoPeer, peer))...)
	b := append(link(0), text(unix.IFLA_IFNAME, name)...)
	b = append(b, number(unix.IFLA_MTU, mtu)...)
	b = append(b, attribute(unix.IFLA_LINKINFO, info)...)
	return request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, b)
}

// addAddress gives an interface an address, which is of use at once.
func addAddress(name string, address netip.Prefix) error {
	index, err := indexOf(name)
	if err != nil {
		return err
	}
	family := byte(unix.AF_INET)
	if address.Addr().Is6() {
		family = unix.AF_INET6
	}
	head := make([]byte, unix.SizeofIfAddrmsg)
	*(*unix.IfAddrmsg)(unsafe.Pointer(&head[0])) = unix.IfAddrmsg{
		Family: family, Prefixlen: uint8(address.Bits()), Flags: unix.IFA_F_NODAD, Index: uint32(index),
	}
	ip := address.Addr().AsSlice()
	b := slices.Concat(head, attribute(unix.IFA_LOCAL, ip))
	b = append(b, attribute(unix.IFA_ADDRESS, ip)...)
	if family == unix.AF_INET {
		last := binary.BigEndian.Uint32(ip) | uint32(1)<<(32-address.Bits()) - 1
		b = append(b, attribute(unix.IFA_BROADCAST, binary.BigEndian.AppendUint32(nil, last))...)
	}
	return request(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, b)
}

func link(index int) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	(*unix.IfInfomsg)(unsafe.Pointer(&b[0])).Index = int32(index)
	return b
}

func text(kind int, value string) []byte { return attribute(kind, append([]byte(value), 0)) }

func number(kind, value int) []byte {
	return attribute(kind, binary.NativeEndian.AppendUint32(nil, uint32(value)))
}

// attribute is one of rtnetlink(7): its length, its kind, its value, and zeros up to a multiple of four.
func attribute(kind int, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, uint16(kind))
	b = append(b, value...)
	return append(b, make([]byte, -len(b)&3)...)
}

// request has the kernel do something with the network of this thread.
func request(kind uint16, flags int, body []byte) error {
	_, err := ask(kind, unix.NLM_F_ACK|flags, body)
	return err
}

// ask sends a request and returns the first message of the answer.
func ask(kind uint16, flags int, body []byte) ([]byte, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	b := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(body))
	*(*unix.NlMsghdr)(unsafe.Pointer(&b[0])) = unix.NlMsghdr{
		Len: uint32(cap(b)), Type: kind, Flags: uint16(unix.NLM_F_REQUEST | flags),
	}
	b = append(b, body...)
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, os.NewSyscallError("sendto", err)
	}
	answer := make([]byte, 16<<10)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return nil, os.NewSyscallError("recvfrom", err)
	}
	if n < unix.SizeofNlMsghdr+4 {
		return nil, errShort
	}
	answer = answer[:n]
	if binary.NativeEndian.Uint16(answer[4:]) == unix.NLMSG_ERROR {
		if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
			return nil, os.NewSyscallError("netlink", unix.Errno(-code))
		}
	}
	return answer, nil
}
