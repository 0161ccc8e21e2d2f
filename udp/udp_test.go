//go:build linux

package udp_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/udp"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

// once echoes one datagram.
var once = connection.DatagramFunc(func(d *connection.Datagram, data []byte, from connection.Peer) error {
	err := d.WriteTo(data, from)
	d.Close()
	return err
})

func TestListenErrors(t *testing.T) {
	used, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	for _, tt := range []struct {
		address string
		want    error
	}{
		{used.LocalAddr().String(), syscall.EADDRINUSE},
		{"203.0.113.7:0", syscall.EADDRNOTAVAIL}, // of the block for documentation
		{"127.0.0.1", nil},
		{"127.0.0.1:99999", nil},
		{"127.0.0.1:nonsense", nil},
	} {
		_, err := udp.Listen(looptest.NewLogging(t, slog.DiscardHandler), tt.address, once, udp.ListenConfig{})
		var opError *net.OpError
		if !errors.As(err, &opError) || opError.Op != "listen" || opError.Net != "udp" {
			t.Errorf("%q: %v, want a *net.OpError of listen udp", tt.address, err)
			continue
		}
		if tt.want != nil && (!errors.Is(err, tt.want) || opError.Addr == nil || opError.Addr.String() != tt.address) {
			t.Errorf("%q: %v, want %v with the address", tt.address, err, tt.want)
		}
	}
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	_ = loop.Close()
	if _, err := udp.Listen(loop, "127.0.0.1:0", once, udp.ListenConfig{}); !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("a loop that has ended: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		listen, from string
		ipv6         bool
	}{
		{"127.0.0.1", "127.0.0.1", false},
		{"localhost", "", false},
		{"", "127.0.0.1", false},
		{"", "::1", true},
		{"::1", "::1", true},
		{"::", "127.0.0.1", true},
		{"0.0.0.0", "127.0.0.1", false},
		{"::ffff:127.0.0.1", "127.0.0.1", false},
	} {
		t.Run(tt.listen+"_"+tt.from, func(t *testing.T) {
			if tt.ipv6 {
				l, err := net.Listen("tcp6", "[::1]:0")
				if err != nil {
					t.Skipf("this machine has no IPv6: %v", err)
				}
				_ = l.Close()
			}
			loop := looptest.NewLogging(t, slog.DiscardHandler)
			var peer connection.Peer
			d, err := udp.Listen(loop, net.JoinHostPort(tt.listen, "0"), connection.DatagramFunc(
				func(d *connection.Datagram, data []byte, from connection.Peer) error {
					peer = from
					return once(d, data, from)
				}), udp.ListenConfig{})
			if err != nil {
				t.Fatal(err)
			}
			addr := d.Addr().(*net.UDPAddr)
			if addr.Port == 0 || addr.Network() != "udp" {
				t.Errorf("listens at %v", addr)
			}
			to := addr
			if tt.from != "" {
				to = net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(tt.from), uint16(addr.Port)))
			}
			conn, err := net.DialUDP("udp", nil, to)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(looptest.Patience))
			if _, err := conn.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			looptest.Run(t, loop)
			buf := make([]byte, 100)
			if n, err := conn.Read(buf); string(buf[:n]) != "hello" || err != nil {
				t.Errorf("the echo is %q, %v", buf[:n], err)
			}
			if want := conn.LocalAddr().(*net.UDPAddr).AddrPort(); peer != connection.PeerFrom(want) || peer.AddrPort().Addr().Is4In6() {
				t.Errorf("came from %v, want %v", peer, want)
			}
		})
	}
}

// TestBetweenTwo has two sockets of a loop write to each other first, one of them IPv4 and one for both.
func TestBetweenTwo(t *testing.T) {
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	a, err := udp.Listen(loop, ":0", once, udp.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	b, err := udp.Listen(loop, "127.0.0.1:0", connection.DatagramFunc(func(d *connection.Datagram, data []byte, from connection.Peer) error {
		got = string(data)
		d.Close()
		return nil
	}), udp.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(a.Addr().(*net.UDPAddr).Port))
	if err := b.WriteTo([]byte("hello"), connection.PeerFrom(to)); err != nil {
		t.Fatal(err)
	}
	if err := a.WriteTo(nil, connection.PeerFrom(b.Addr().(*net.UDPAddr).AddrPort())); err != nil {
		t.Errorf("IPv4 from a socket for both: %v", err)
	}
	looptest.Run(t, loop)
	if got != "" && got != "hello" {
		t.Errorf("got %q", got)
	}
	if b.Received() != 1 || b.Sent() != 1 || a.Sent() < 1 {
		t.Errorf("%d received, %d and %d sent", b.Received(), b.Sent(), a.Sent())
	}
	a.Close()
}

func TestBuffers(t *testing.T) {
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	const size = 50_000
	if _, err := udp.Listen(loop, "127.0.0.1:0", once, udp.ListenConfig{SendBuffer: size, ReceiveBuffer: size}); err != nil {
		t.Fatal(err)
	}
	fd := loop.Sources()[0].FD
	for _, option := range []int{unix.SO_SNDBUF, unix.SO_RCVBUF} {
		if n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option); n != 2*size || err != nil {
			t.Errorf("option %d is %d, %v, want %d", option, n, err, 2*size)
		}
	}
}

func ExampleListen() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var server *connection.Datagram
	greet := message.HandlerFunc(func(from message.Sender, m *message.Message) error {
		defer server.Close() // one is enough here
		return from.Send(m.Reply("HELLO").Set("name", m.Get("name")))
	})
	server, err = udp.Listen(loop, "127.0.0.1:0", connection.NewMessageDatagrams(greet, connection.MessageDatagramConfig{}), udp.ListenConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := net.Dial("udp", server.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	fmt.Fprint(client, "GREET name=Ada")
	if err := loop.Run(context.Background()); err != nil {
		fmt.Println(err)
	}
	reply := make([]byte, 1500)
	n, err := client.Read(reply)
	fmt.Println(string(reply[:n]), err)
	// Output: HELLO name=Ada <nil>
}
