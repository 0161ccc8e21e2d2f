//go:build linux

package connection_test

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
)

// blackHole is a listener that never accepts and whose backlog is full: the kernel drops what comes.
func blackHole(tb testing.TB) netip.AddrPort {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(fd) })
	if err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err == nil {
		err = unix.Listen(fd, 0)
	}
	if err != nil {
		tb.Fatal(err)
	}
	addr := boundTo(tb, fd)
	for { // until one doesn't come about
		conn, err := net.DialTimeout("tcp", addr.String(), 50*time.Millisecond)
		if err != nil {
			return addr
		}
		tb.Cleanup(func() { _ = conn.Close() })
	}
}

func boundTo(tb testing.TB, fd int) netip.AddrPort {
	tb.Helper()
	sa, err := unix.Getsockname(fd)
	if err != nil {
		tb.Fatal(err)
	}
	in := sa.(*unix.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port))
}

// dialErrors are the *net.OpErrors in err, which may be several errors joined; errors.As would find
// the first only.
func dialErrors(err error) (found []*net.OpError) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			found = append(found, dialErrors(err)...)
		}
		return found
	}
	var opError *net.OpError
	if errors.As(err, &opError) {
		found = append(found, opError)
	}
	return found
}

// TestConnectTimeoutNamesTheAddress: who waited in vain wants to know for whom.
func TestConnectTimeoutNamesTheAddress(t *testing.T) {
	fdtest.Check(t)
	refusing, silent := closedPort(t), blackHole(t)
	o := connect(t, connection.Connect{
		Attempts: []connection.Attempt{connection.TCPAttempt(refusing, nil), connection.TCPAttempt(silent, nil)},
		Timeout:  30 * time.Millisecond,
	})
	if !errors.Is(o.err, connection.ErrDialTimeout) || !errors.Is(o.err, syscall.ECONNREFUSED) {
		t.Errorf("failed with %v, want the outcomes of both", o.err)
	}
	for _, e := range dialErrors(o.err) {
		if e.Timeout() != errors.Is(e, connection.ErrDialTimeout) {
			t.Errorf("%v: Timeout is %v", e, e.Timeout())
		}
	}
	late := slices.IndexFunc(dialErrors(o.err), func(e *net.OpError) bool { return errors.Is(e, connection.ErrDialTimeout) })
	if late < 0 {
		t.Fatalf("failed with %v, want a *net.OpError with %v", o.err, connection.ErrDialTimeout)
	}
	e := dialErrors(o.err)[late]
	if e.Op != "dial" || e.Net != "tcp" || e.Addr == nil || e.Addr.String() != silent.String() {
		t.Errorf("failed with %#v, want dial tcp %v", e, silent)
	}
}

// TestConnectToItself: TCP lets a socket connect to itself when the kernel has given it the very port
// that it dials. There is nobody else, so it is refused.
func TestConnectToItself(t *testing.T) {
	fdtest.Check(t)
	reuse := func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) }
	reserved, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) // so that nobody else gets the port
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(reserved)
	if err = reuse(reserved); err == nil {
		err = unix.Bind(reserved, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		t.Fatal(err)
	}
	addr := boundTo(t, reserved)
	bind := func(fd int) error {
		return errors.Join(reuse(fd), unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}))
	}
	o := connect(t, connection.Connect{Attempts: []connection.Attempt{connection.TCPAttempt(addr, bind)}})
	if !errors.Is(o.err, syscall.ECONNREFUSED) {
		t.Fatalf("%v, %v, want %v", o.transport, o.err, syscall.ECONNREFUSED)
	}
	if e := dialErrors(o.err); len(e) != 1 || e[0].Addr == nil || e[0].Addr.String() != addr.String() {
		t.Errorf("failed with %v, want an error with the address", o.err)
	}

	l := listenTCP(t)
	defer l.Close()
	o = connect(t, connection.Connect{Attempts: []connection.Attempt{
		connection.TCPAttempt(addr, bind), connection.TCPAttempt(addrPort(l), nil), // the next one is tried
	}})
	if o.err != nil {
		t.Error(o.err)
	}
}

// TestSetupFails: what can't be set up is the outcome, and the socket is closed.
func TestSetupFails(t *testing.T) {
	fdtest.Check(t)
	addr := closedPort(t)
	o := connect(t, connection.Connect{Attempts: []connection.Attempt{
		connection.TCPAttempt(addr, func(int) error { return errTest }),
	}})
	if e := dialErrors(o.err); !errors.Is(o.err, errTest) || len(e) != 1 || e[0].Addr.String() != addr.String() {
		t.Errorf("failed with %v", o.err)
	}
}

// TestConnectPastABlackHole: an address that never answers doesn't eat the time of those behind it.
func TestConnectPastABlackHole(t *testing.T) {
	l := listenTCP(t)
	defer l.Close()
	o := connect(t, connection.Connect{
		Attempts: []connection.Attempt{connection.TCPAttempt(blackHole(t), nil), connection.TCPAttempt(addrPort(l), nil)},
		Timeout:  time.Second, AttemptDelay: time.Millisecond,
	})
	if o.err != nil {
		t.Fatal(o.err)
	}
	if a := o.transport.(*connection.Socket).RemoteAddr(); a.String() != l.Addr().String() {
		t.Errorf("connected to %v, want %v", a, l.Addr())
	}
}
