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

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/udp"
)

// TestOptions: what the configuration says is what the kernel has.
func TestOptions(t *testing.T) {
	config := udp.ListenConfig{
		ReuseAddr: true, ReusePort: true, Broadcast: true, TTL: 7, MulticastTTL: 8, NoMulticastLoop: true,
		MulticastInterface: "lo", DontFragment: true,
	}
	four := map[[2]int]int{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR}: 1, {unix.SOL_SOCKET, unix.SO_REUSEPORT}: 1, {unix.SOL_SOCKET, unix.SO_BROADCAST}: 1,
		{unix.IPPROTO_IP, unix.IP_TTL}: 7, {unix.IPPROTO_IP, unix.IP_MULTICAST_TTL}: 8, {unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP}: 0,
		{unix.IPPROTO_IP, unix.IP_MULTICAST_ALL}: 0, {unix.IPPROTO_IP, unix.IP_MTU_DISCOVER}: unix.IP_PMTUDISC_DO,
	}
	six := map[[2]int]int{
		{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS}: 7, {unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS}: 8,
		{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP}: 0, {unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL}: 0,
		{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER}: unix.IPV6_PMTUDISC_DO,
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip("no loopback interface:", err)
	}
	six[[2]int{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF}] = lo.Index
	for _, address := range []string{"127.0.0.1:0", "[::]:0"} {
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		d, err := udp.Listen(loop, address, once, config)
		if errors.Is(err, syscall.EAFNOSUPPORT) {
			continue // a machine without IPv6
		}
		if err != nil {
			t.Fatal(err)
		}
		check := func(want map[[2]int]int) {
			for option, value := range want {
				if n, err := unix.GetsockoptInt(d.FD(), option[0], option[1]); n != value || err != nil {
					t.Errorf("%s: option %d of level %d is %d, %v, want %d", address, option[1], option[0], n, err, value)
				}
			}
		}
		check(four)
		if address == "[::]:0" {
			check(six)
		}
		// shared, as ReuseAddr and ReusePort say
		if _, err := udp.Listen(loop, d.Addr().String(), once, config); err != nil {
			t.Errorf("a second one: %v", err)
		}
	}
}

func TestIPv6Only(t *testing.T) {
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	six, err := udp.Listen(loop, "[::]:0", once, udp.ListenConfig{IPv6Only: true})
	if errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Skip("this machine has no IPv6")
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := udp.Listen(loop, fmt.Sprintf("0.0.0.0:%d", six.Addr().(*net.UDPAddr).Port), once, udp.ListenConfig{}); err != nil {
		t.Errorf("IPv4 beside it: %v", err)
	}
	to := connection.PeerFrom(netip.MustParseAddrPort("127.0.0.1:9"))
	if err := six.WriteTo([]byte("x"), to); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("to IPv4: %v", err)
	}
}

func TestGroupErrors(t *testing.T) {
	fdtest.Check(t)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	group := netip.MustParseAddr("239.1.2.3")
	var addrError *net.AddrError
	var opError *net.OpError
	for _, config := range []udp.ListenConfig{
		{Groups: []udp.Group{{Addr: netip.MustParseAddr("127.0.0.1")}}},
		{Groups: []udp.Group{{}}},
		{Groups: []udp.Group{{Addr: group, Interface: "no such"}}},
		{MulticastInterface: "no such"},
	} {
		if _, err := udp.Listen(loop, "0.0.0.0:0", once, config); !errors.As(err, &addrError) || !errors.As(err, &opError) || opError.Op != "listen" {
			t.Errorf("Listen: %v, want a *net.AddrError", err)
		}
	}
	d, err := udp.Listen(loop, "0.0.0.0:0", once, udp.ListenConfig{Groups: []udp.Group{{group, "lo"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		err  error
		op   string
		want error
	}{
		{udp.Join(d, group, "lo"), "join", syscall.EADDRINUSE},
		{udp.Leave(d, netip.MustParseAddr("239.9.9.9"), "lo"), "leave", syscall.EADDRNOTAVAIL},
		{udp.Leave(d, group, "lo"), "", nil},
		{udp.Leave(d, group, "lo"), "leave", syscall.EADDRNOTAVAIL},
		{func() error { d.Close(); return udp.Join(d, group, "lo") }(), "join", net.ErrClosed},
	} {
		if !errors.Is(tt.err, tt.want) || tt.want != nil && (!errors.As(tt.err, &opError) || opError.Op != tt.op) {
			t.Errorf("%v, want %v of %s", tt.err, tt.want, tt.op)
		}
	}
}

func TestConnect(t *testing.T) {
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	server, err := udp.Listen(loop, "127.0.0.1:0", once, udp.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	box := &inbox{then: func(d *connection.Datagram, _ string) error { d.Close(); return nil }}
	c, err := udp.Connect(loop, server.Addr().String(), box, udp.ConnectConfig{Local: netip.MustParseAddrPort("127.0.0.1:0"), TTL: 9})
	if err != nil {
		t.Fatal(err)
	}
	to := connection.PeerFromAddr(server.Addr())
	if c.Remote() != to || server.Remote() != (connection.Peer{}) {
		t.Errorf("connected to %v", c.Remote())
	}
	if n, err := c.Write([]byte("hello")); n != 5 || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
	if _, err := server.Write([]byte("x")); !errors.Is(err, syscall.EDESTADDRREQ) {
		t.Errorf("Write to nobody: %v, want EDESTADDRREQ", err)
	}
	other := connection.PeerFrom(netip.MustParseAddrPort("127.0.0.1:9"))
	if err := c.WriteTo([]byte("x"), other); !errors.Is(err, syscall.EISCONN) {
		t.Errorf("WriteTo another: %v, want EISCONN", err)
	}
	looptest.Run(t, loop)
	if len(box.texts) != 1 || box.texts[0] != "hello" || box.from[0] != to {
		t.Errorf("got %q from %v", box.texts, box.from)
	}
}

func TestConnectErrors(t *testing.T) {
	fdtest.Check(t)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	for _, tt := range []struct {
		address string
		config  udp.ConnectConfig
	}{
		{"", udp.ConnectConfig{}},
		{"127.0.0.1", udp.ConnectConfig{}},
		{"127.0.0.1:nonsense", udp.ConnectConfig{}},
		{"127.0.0.1:9", udp.ConnectConfig{Local: netip.MustParseAddrPort("203.0.113.7:0")}},
		{"127.0.0.1:9", udp.ConnectConfig{MulticastInterface: "no such"}},
	} {
		var opError *net.OpError
		if _, err := udp.Connect(loop, tt.address, once, tt.config); !errors.As(err, &opError) || opError.Op != "dial" {
			t.Errorf("%q: %v, want a *net.OpError of dial", tt.address, err)
		}
	}
	var opError *net.OpError
	if _, err := udp.PathMTU(netip.AddrPort{}); !errors.As(err, &opError) {
		t.Errorf("PathMTU of nothing: %v", err)
	}
}

func ExampleConnect() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := udp.Listen(loop, "127.0.0.1:0", once, udp.ListenConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	show := connection.DatagramFunc(func(d *connection.Datagram, data []byte, _ connection.Peer) error {
		fmt.Printf("%s\n", data)
		d.Close()
		return nil
	})
	client, err := udp.Connect(loop, server.Addr().String(), show, udp.ConnectConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprint(client, "hello")
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// hello
	// <nil>
}

// A socket that asks whoever is in the group, and one that has joined it.
func ExampleJoin() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	group := netip.MustParseAddr("239.1.2.3")
	member, err := udp.Listen(loop, "0.0.0.0:0", once, udp.ListenConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := udp.Join(member, group, "lo"); err != nil {
		fmt.Println(err)
		return
	}
	show := connection.DatagramFunc(func(d *connection.Datagram, data []byte, _ connection.Peer) error {
		fmt.Printf("%s\n", data)
		d.Close()
		return nil
	})
	asking, err := udp.Listen(loop, "127.0.0.1:0", show, udp.ListenConfig{MulticastInterface: "lo"})
	if err != nil {
		fmt.Println(err)
		return
	}
	port := uint16(member.Addr().(*net.UDPAddr).Port)
	if err := asking.WriteTo([]byte("anybody?"), connection.PeerFrom(netip.AddrPortFrom(group, port))); err != nil {
		fmt.Println(err)
	}
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// anybody?
	// <nil>
}
