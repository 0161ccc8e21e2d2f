//go:build linux

package sys

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kinds of sockets.
const (
	Stream   = unix.SOCK_STREAM
	Datagram = unix.SOCK_DGRAM
)

// Sockaddr is a socket address as the kernel has it. The zero value is no address; it can be reused
// for many calls, so that none of them allocates.
type Sockaddr struct {
	raw unix.RawSockaddrAny
	len uint32
}

// Hooks are set by tests to inject faults. They are not for concurrent use with what they hook.
var Hooks struct {
	// Accept runs before each Accept; an error from it is the result.
	Accept func(fd int) error
}

// ErrPath is returned for a path that a Unix socket can't have.
var ErrPath = errors.New("a Unix socket path has 1 to 107 bytes, none of them NUL")

// SetAddrPort makes it an IPv4 or IPv6 address. A zone that names no interface is a *net.AddrError, and
// left out.
func (a *Sockaddr) SetAddrPort(ap netip.AddrPort) (err error) {
	*a = Sockaddr{}
	addr := ap.Addr()
	if addr.Is4() {
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.raw))
		sa.Family = unix.AF_INET
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], ap.Port())
		sa.Addr = addr.As4()
		a.len = unix.SizeofSockaddrInet4
		return nil
	}
	sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&a.raw))
	sa.Family = unix.AF_INET6
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], ap.Port())
	sa.Addr = addr.As16()
	sa.Scope_id, err = scope(addr.Zone())
	a.len = unix.SizeofSockaddrInet6
	return err
}

// scope is the number of the interface that a zone names; 0 without a zone.
func scope(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, &net.AddrError{Err: "no such interface", Addr: zone}
	}
	return uint32(i.Index), nil
}

// SetPath makes it the address of a Unix socket; a path that begins with @ is an abstract name. A file
// whose name begins so is "./@name": see Path.
func (a *Sockaddr) SetPath(path string) error {
	*a = Sockaddr{}
	sa := (*unix.RawSockaddrUnix)(unsafe.Pointer(&a.raw))
	abstract := strings.HasPrefix(path, "@")
	if name, ok := strings.CutPrefix(path, "./"); ok && strings.HasPrefix(name, "@") {
		path = name // as long as such a name may be, it comes and goes
	}
	if path == "" || len(path) >= len(sa.Path) || strings.IndexByte(path, 0) >= 0 {
		return ErrPath
	}
	sa.Family = unix.AF_UNIX
	for i := range len(path) {
		sa.Path[i] = int8(path[i])
	}
	const family = uint32(unsafe.Sizeof(sa.Family))
	a.len = family + uint32(len(path))
	if abstract {
		sa.Path[0] = 0
	} else {
		a.len++ // the NUL behind a file's name
	}
	return nil
}

// AddrPort returns an IP address, with IPv4 never mapped into IPv6; invalid if it is none.
func (a *Sockaddr) AddrPort() netip.AddrPort {
	switch a.raw.Addr.Family {
	case unix.AF_INET:
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.raw))
		port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:])
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), port)
	case unix.AF_INET6:
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&a.raw))
		port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:])
		addr := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.Scope_id != 0 && addr.Is6() {
			addr = addr.WithZone(strconv.Itoa(int(sa.Scope_id)))
		}
		return netip.AddrPortFrom(addr, port)
	}
	return netip.AddrPort{}
}

// Path returns a Unix address, an abstract name with its @; empty if it has no name. A file whose name
// begins with @ gets "./" in front, so that nobody takes it for an abstract name.
func (a *Sockaddr) Path() string {
	const family = uint32(unsafe.Sizeof(a.raw.Addr.Family))
	if a.raw.Addr.Family != unix.AF_UNIX || a.len <= family {
		return ""
	}
	sa := (*unix.RawSockaddrUnix)(unsafe.Pointer(&a.raw))
	path := make([]byte, 0, len(sa.Path))
	for _, b := range sa.Path[:min(int(a.len-family), len(sa.Path))] {
		path = append(path, byte(b))
	}
	if path[0] == 0 {
		path[0] = '@'
		return string(path)
	}
	if path[0] == '@' {
		return "./" + unix.ByteSliceToString(path)
	}
	return unix.ByteSliceToString(path)
}

// IsUnix tells whether it is the address of a Unix socket.
func (a *Sockaddr) IsUnix() bool { return a.raw.Addr.Family == unix.AF_UNIX }

// Socket makes a non-blocking socket for addresses like a.
func Socket(a *Sockaddr, kind int) (fd int, err error) {
	err = retry("socket", func() (err error) {
		fd, err = unix.Socket(int(a.raw.Addr.Family), kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		return err
	})
	return fd, err
}

// Bind gives a socket its address. That of a Unix socket may have to wait for a disk.
func Bind(fd int, a *Sockaddr) error {
	_, _, errno := unix.Syscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&a.raw)), uintptr(a.len))
	return wrap("bind", errno)
}

// BindAny makes a socket and binds it to an address, or, with the zero Addr and a port, to all
// addresses of the machine, IPv4 and IPv6, or IPv4 alone where there is no IPv6. setup sets options
// before.
func BindAny(addr netip.AddrPort, kind int, setup func(fd int) error) (int, error) {
	if addr.Addr().IsValid() {
		return bindTo(addr, kind, setup)
	}
	fd, err := bindTo(netip.AddrPortFrom(netip.IPv6Unspecified(), addr.Port()), kind, setup)
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) {
		return bindTo(netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port()), kind, setup)
	}
	return fd, err
}

func bindTo(addr netip.AddrPort, kind int, setup func(fd int) error) (int, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	var sa Sockaddr
	if err := sa.SetAddrPort(addr); err != nil {
		return NoFD, err
	}
	fd, err := Socket(&sa, kind)
	if err != nil {
		return NoFD, err
	}
	if addr.Addr().Is6() {
		only := 1
		if addr.Addr().IsUnspecified() {
			only = 0
		}
		err = SetOption(fd, IPv6Only, only)
	}
	if err == nil {
		err = setup(fd)
	}
	if err == nil {
		err = Bind(fd, &sa)
	}
	if err != nil {
		return NoFD, errors.Join(err, Close(fd))
	}
	return fd, nil
}

// CheckKind tells whether fd is a socket of that kind: ENOTSOCK or EPROTOTYPE if not.
func CheckKind(fd, kind int) error {
	return retry("getsockopt", func() error {
		n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		if err == nil && n != kind {
			err = unix.EPROTOTYPE
		}
		return err
	})
}

// Listen lets a socket accept connections.
func Listen(fd, backlog int) error {
	return retry("listen", func() error { return unix.Listen(fd, backlog) })
}

// Accept takes a connection; the new descriptor is non-blocking and close-on-exec, a is the peer's
// address.
func Accept(fd int, a *Sockaddr) (int, error) {
	if Hooks.Accept != nil {
		if err := Hooks.Accept(fd); err != nil {
			return NoFD, err
		}
	}
	for {
		a.len = unix.SizeofSockaddrAny
		conn, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&a.raw)),
			uintptr(unsafe.Pointer(&a.len)), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0, 0)
		if errno == 0 {
			return int(conn), nil
		}
		if errno != unix.EINTR {
			return NoFD, wrap("accept4", errno)
		}
	}
}

// Connect begins a connection: nil if it stands, ErrInProgress if the descriptor becomes writable
// when it does, ErrWouldBlock if a Unix socket's backlog is full.
func Connect(fd int, a *Sockaddr) error {
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&a.raw)), uintptr(a.len))
	if errno == unix.EINPROGRESS || errno == unix.EINTR {
		return ErrInProgress
	}
	return wrap("connect", errno)
}

// ConnectError is the outcome of a connection that was in progress.
func ConnectError(fd int) error {
	var n int
	err := retry("getsockopt", func() (err error) {
		n, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		return err
	})
	if err != nil || n == 0 {
		return err
	}
	return &os.SyscallError{Syscall: "connect", Err: syscall.Errno(n)}
}

// LocalAddr reads a socket's own address into a.
func LocalAddr(fd int, a *Sockaddr) error {
	a.len = unix.SizeofSockaddrAny
	_, _, errno := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&a.raw)), uintptr(unsafe.Pointer(&a.len)))
	return wrap("getsockname", errno)
}

// RemoteAddr reads the address of a socket's peer into a.
func RemoteAddr(fd int, a *Sockaddr) error {
	a.len = unix.SizeofSockaddrAny
	_, _, errno := unix.RawSyscall(unix.SYS_GETPEERNAME, uintptr(fd), uintptr(unsafe.Pointer(&a.raw)), uintptr(unsafe.Pointer(&a.len)))
	return wrap("getpeername", errno)
}

// Option is a socket option that is a number, or a switch: 0 or 1.
type Option struct {
	level, name int
}

// The options that the transports set.
var (
	ReuseAddr     = Option{unix.SOL_SOCKET, unix.SO_REUSEADDR}
	SendBuffer    = Option{unix.SOL_SOCKET, unix.SO_SNDBUF}
	ReceiveBuffer = Option{unix.SOL_SOCKET, unix.SO_RCVBUF}
	NoDelay       = Option{unix.IPPROTO_TCP, unix.TCP_NODELAY}
	IPv6Only      = Option{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY}
	ReusePort     = Option{unix.SOL_SOCKET, unix.SO_REUSEPORT}
	KeepAlive     = Option{unix.SOL_SOCKET, unix.SO_KEEPALIVE}
	KeepIdle      = Option{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}
	KeepInterval  = Option{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}
	KeepCount     = Option{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}
	UserTimeout   = Option{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}
	// BindNoPort lets Bind with port 0 leave the choice of the port to Connect, which takes any that is
	// free for that peer.
	BindNoPort = Option{unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT}

	Broadcast      = Option{unix.SOL_SOCKET, unix.SO_BROADCAST}
	TTL            = Option{unix.IPPROTO_IP, unix.IP_TTL}
	MulticastTTL   = Option{unix.IPPROTO_IP, unix.IP_MULTICAST_TTL}
	MulticastLoop  = Option{unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP}
	MulticastAll   = Option{unix.IPPROTO_IP, unix.IP_MULTICAST_ALL}
	MTUDiscover    = Option{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER} // see DontFragment
	HopLimit       = Option{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS}
	MulticastHops  = Option{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS}
	MulticastLoop6 = Option{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP}
	MulticastAll6  = Option{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL}
	MulticastIf6   = Option{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF}
	MTUDiscover6   = Option{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER} // see DontFragment
)

// DontFragment is the value of MTUDiscover, and of MTUDiscover6, that has the kernel refuse what is
// longer than the path's MTU, by EMSGSIZE, rather than cut it into fragments.
const DontFragment = unix.IP_PMTUDISC_DO

// SetOption sets a socket option.
func SetOption(fd int, o Option, value int) error {
	return retry("setsockopt", func() error { return unix.SetsockoptInt(fd, o.level, o.name, value) })
}

// SetMode sets the mode of a socket's file before Bind makes it; what the umask forbids is left
// out.
func SetMode(fd int, mode os.FileMode) error {
	return retry("fchmod", func() error { return unix.Fchmod(fd, uint32(mode.Perm())) })
}
