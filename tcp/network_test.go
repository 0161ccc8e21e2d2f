//go:build linux

package tcp_test

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

func onlyOf(network string) tcp.Options { return tcp.Options{Network: network} }

// TestListenNetwork: one family, and no address of the other.
func TestListenNetwork(t *testing.T) {
	requireIPv6(t)
	for _, tt := range []struct {
		network, listen, host string // the host of the listener's address; empty: it can't be
		ipv4, ipv6            bool   // answered there
	}{
		{"tcp", "", "::", true, true},
		{"tcp", "[::]", "::", true, true},
		{"tcp", "0.0.0.0", "0.0.0.0", true, false},
		{"tcp4", "", "0.0.0.0", true, false},
		{"tcp4", "0.0.0.0", "0.0.0.0", true, false},
		{"tcp4", "localhost", "127.0.0.1", true, false},
		{"tcp6", "", "::", false, true},
		{"tcp6", "[::]", "::", false, true},
		{"tcp6", "[::1]", "::1", false, true},
		{"tcp4", "[::1]", "", false, false},
		{"tcp4", "[::]", "0.0.0.0", true, false}, // as in package net, "::" is just all of them
		{"tcp6", "127.0.0.1", "", false, false},
		{"tcp6", "0.0.0.0", "", false, false},
	} {
		t.Run(tt.network+"_"+tt.listen, func(t *testing.T) {
			fdtest.Check(t)
			loop := looptest.NewLogging(t, slog.DiscardHandler)
			l, err := tcp.Listen(loop, tt.listen+":0", refuse, tcp.ListenConfig{Options: onlyOf(tt.network)})
			if tt.host == "" {
				var opError *net.OpError
				if !errors.As(err, &opError) || opError.Op != "listen" || opError.Net != tt.network {
					t.Errorf("%v, want a *net.OpError of listen %s", err, tt.network)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			host, port, _ := net.SplitHostPort(l.Addr().String())
			if host != tt.host {
				t.Errorf("listens at %v, want %s", l.Addr(), tt.host)
			}
			for at, want := range map[string]bool{"127.0.0.1": tt.ipv4, "::1": tt.ipv6} {
				conn, err := net.Dial("tcp", net.JoinHostPort(at, port)) // the backlog answers
				if err == nil {
					_ = conn.Close()
				}
				if (err == nil) != want || err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("%s: %v, want an answer: %v", at, err, want)
				}
			}
			l.Close()
			looptest.Run(t, loop)
		})
	}
}

// TestListenBothNetworks: a listener of each family on one port.
func TestListenBothNetworks(t *testing.T) {
	requireIPv6(t)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	six, err := tcp.Listen(loop, ":0", refuse, tcp.ListenConfig{Options: onlyOf("tcp6")})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(six.Addr().String())
	four, err := tcp.Listen(loop, ":"+port, refuse, tcp.ListenConfig{Options: onlyOf("tcp4")})
	if errors.Is(err, syscall.EADDRINUSE) {
		t.Skip("somebody else has the port for IPv4")
	}
	if err != nil {
		t.Fatal(err)
	}
	six.Close()
	four.Close()
	looptest.Run(t, loop)
}

// TestDialNetwork: addresses of one family alone are dialled.
func TestDialNetwork(t *testing.T) {
	requireIPv6(t)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	var l *connection.Listener
	l, err := tcp.Listen(loop, ":0", func(loop connection.Loop, transport connection.Transport) error {
		if l.Accepted() == 6 {
			l.Close()
		}
		return transport.Close()
	}, tcp.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, tt := range []struct {
		network, host, want string
	}{
		{"tcp4", "", "127.0.0.1"},
		{"tcp6", "", "::1"},
		{"tcp4", "localhost", "127.0.0.1"},
		{"tcp4", "127.0.0.1", "127.0.0.1"},
		{"tcp4", "::ffff:127.0.0.1", "127.0.0.1"},
		{"tcp6", "::1", "::1"},
	} {
		c := greeted(t, loop, tcp.Dialer{Address: net.JoinHostPort(tt.host, port), Options: onlyOf(tt.network)})
		c.open = func(s *connection.Stream) {
			if host, _, _ := net.SplitHostPort(s.RemoteAddr().String()); host != tt.want {
				t.Errorf("%s %q: connected to %s, want %s", tt.network, tt.host, host, tt.want)
			}
		}
		defer func() {
			if !c.opened {
				t.Errorf("%s %q: %v", tt.network, tt.host, c.cause)
			}
		}()
	}
	looptest.Run(t, loop)
}

func TestDialOtherNetwork(t *testing.T) {
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	four, six := netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("[::1]:0")
	for _, d := range []tcp.Dialer{
		{Address: "[::1]:1", Options: onlyOf("tcp4")},
		{Address: "127.0.0.1:1", Options: onlyOf("tcp6")},
		{Address: "[::ffff:127.0.0.1]:1", Options: onlyOf("tcp6")},
		{Address: "[::1]:1", Local: four},
		{Address: "127.0.0.1:1", Local: six},
		{Address: "localhost:1", Local: six, Options: onlyOf("tcp4")},
		{Address: "localhost:1", Local: four, Options: onlyOf("tcp6")},
	} {
		_, err := connection.DialStream(loop, d, &client{}, connection.StreamConfig{})
		var opError *net.OpError
		var addrError *net.AddrError
		if !errors.As(err, &opError) || opError.Op != "dial" || !errors.As(err, &addrError) {
			t.Errorf("%+v: %v, want a *net.OpError of dial with a *net.AddrError", d, err)
		}
	}
	looptest.Run(t, loop)
}

// TestLocal: the peer sees the address that was asked for.
func TestLocal(t *testing.T) {
	fdtest.Check(t)
	port := freePort(t)
	loopback := netip.MustParseAddr("127.0.0.2")
	for name, local := range map[string]netip.AddrPort{
		"none":    {},
		"address": netip.AddrPortFrom(loopback, 0),
		"mapped":  netip.AddrPortFrom(netip.AddrFrom16(loopback.As16()), 0),
		"both":    netip.AddrPortFrom(loopback, port),
		"again":   netip.AddrPortFrom(loopback, port), // to another peer, with the connection before in TIME_WAIT
		"port":    netip.AddrPortFrom(netip.Addr{}, port),
	} {
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		var l *connection.Listener
		l, err := tcp.Listen(loop, "127.0.0.1:0", greet(&l), tcp.ListenConfig{})
		if err != nil {
			t.Fatal(err)
		}
		c := greeted(t, loop, tcp.Dialer{Address: l.Addr().String(), Local: local})
		c.open = func(s *connection.Stream) {
			got := s.LocalAddr().(*net.TCPAddr).AddrPort()
			if want := local.Addr().Unmap(); want.IsValid() && got.Addr() != want {
				t.Errorf("%s: connected from %v", name, got)
			}
			if local.Port() != 0 && got.Port() != local.Port() || got.Port() == 0 {
				t.Errorf("%s: connected from %v", name, got)
			}
			s.Close() // first, so that this side has the TIME_WAIT
		}
		looptest.Run(t, loop)
		if !c.opened {
			t.Errorf("%s: %v", name, c.cause)
		}
	}
}

// freePort is a port that was free for 127.0.0.2 just now.
func freePort(tb testing.TB) uint16 {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 2}}); err != nil {
		tb.Fatal(err)
	}
	return netip.MustParseAddrPort(socketAddress(tb, fd)).Port()
}

// TestLocalByName: of a name's addresses those of the other family are left out.
func TestLocalByName(t *testing.T) {
	d := nowhere(t).(tcp.Dialer)
	_, port, _ := net.SplitHostPort(d.Address)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	c := greeted(t, loop, tcp.Dialer{Address: "localhost:" + port, Local: netip.MustParseAddrPort("127.0.0.3:0")})
	looptest.Run(t, loop)
	if addrs := dialled(c.cause); len(addrs) != 1 || addrs[0].String() != "127.0.0.1:"+port {
		t.Errorf("dialled %v: %v", addrs, c.cause)
	}
}

func TestLocalErrors(t *testing.T) {
	fdtest.Check(t)
	d := nowhere(t).(tcp.Dialer)
	used := netip.MustParseAddrPort(d.Address) // bound, without SO_REUSEADDR
	for local, want := range map[netip.AddrPort]error{
		netip.MustParseAddrPort("203.0.113.7:0"): syscall.EADDRNOTAVAIL, // of the block for documentation
		used:                                     syscall.EADDRINUSE,
	} {
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		c := greeted(t, loop, tcp.Dialer{Address: d.Address, Local: local})
		looptest.Run(t, loop)
		var opError *net.OpError
		if !errors.Is(c.cause, want) || !errors.As(c.cause, &opError) || opError.Op != "dial" {
			t.Errorf("from %v: %v, want %v", local, c.cause, want)
		}
	}
}

// dialled are the addresses that an error of dialling tells of.
func dialled(err error) (addrs []netip.AddrPort) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			addrs = append(addrs, dialled(err)...)
		}
		return addrs
	}
	var opError *net.OpError
	if errors.As(err, &opError) && opError.Addr != nil {
		return []netip.AddrPort{opError.Addr.(*net.TCPAddr).AddrPort()}
	}
	return nil
}

// TestDialZone: an interface that isn't there is an error, not another one.
func TestDialZone(t *testing.T) {
	loop, _ := looptest.New(t)
	c := greeted(t, loop, tcp.Dialer{Address: "[fe80::1%nowhere]:1"})
	looptest.Run(t, loop)
	var addrError *net.AddrError
	if !errors.As(c.cause, &addrError) {
		t.Errorf("ended with %v", c.cause)
	}
}
