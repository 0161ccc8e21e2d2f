//go:build linux

package udp_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/netnstest"
	"github.com/eventdispatcher-go/eventdispatcher/udp"
)

// inbox keeps what comes; then, if not nil, is called for each.
type inbox struct {
	texts []string
	from  []connection.Peer
	then  func(d *connection.Datagram, text string) error
}

func (b *inbox) HandleDatagram(d *connection.Datagram, data []byte, from connection.Peer) error {
	b.texts = append(b.texts, string(data))
	b.from = append(b.from, from)
	if b.then == nil {
		return nil
	}
	return b.then(d, string(data))
}

// on makes a socket on a host.
func on(t *testing.T, host *netnstest.Host, loop connection.Loop, address string, h connection.DatagramHandler, config udp.ListenConfig) (d *connection.Datagram) {
	t.Helper()
	var err error
	host.Do(func() { d, err = udp.Listen(loop, address, h, config) })
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func portOf(d *connection.Datagram) uint16 { return uint16(d.Addr().(*net.UDPAddr).Port) }

func write(t *testing.T, d *connection.Datagram, text string, to netip.Addr, port uint16) {
	t.Helper()
	if err := d.WriteTo([]byte(text), connection.PeerFrom(netip.AddrPortFrom(to, port))); err != nil {
		t.Errorf("%q: %v", text, err)
	}
}

// TestMulticast between two hosts: members get what is sent to the group, sockets that haven't joined it don't, and
// nobody after it has left.
func TestMulticast(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	here, there := netnstest.Wire(t, 1500)
	for _, tt := range []struct {
		listen, from string
		group        netip.Addr
		unicast      netip.Addr
	}{
		{"0.0.0.0:0", here.IPv4.Addr().String(), netip.MustParseAddr("239.1.2.3"), there.IPv4.Addr()},
		{"[::]:0", here.IPv6.Addr().String(), netip.MustParseAddr("ff15::1234"), there.IPv6.Addr()},
		{":0", "", netip.MustParseAddr("239.1.2.4"), there.IPv4.Addr()}, // a socket for both
		{":0", "", netip.MustParseAddr("ff15::1235"), there.IPv6.Addr()},
	} {
		loop, _ := looptest.New(t)
		stranger, member, local := &inbox{}, &inbox{}, &inbox{}
		other := on(t, there, loop, tt.listen, stranger, udp.ListenConfig{ReuseAddr: true})
		port := portOf(other)
		address := netip.AddrPortFrom(netip.MustParseAddrPort("0.0.0.0:0").Addr(), port).String()
		if tt.listen != "0.0.0.0:0" {
			address = fmt.Sprintf("[::]:%d", port)
		}
		groups := []udp.Group{{Addr: tt.group, Interface: there.Interface}}
		receiver := on(t, there, loop, address, member, udp.ListenConfig{ReuseAddr: true, Groups: groups})
		sender := on(t, here, loop, net.JoinHostPort(tt.from, "0"), local, udp.ListenConfig{
			MulticastInterface: here.Interface, MulticastTTL: 3, NoMulticastLoop: true,
		})
		member.then = func(_ *connection.Datagram, text string) (err error) {
			step := func(f func(*connection.Datagram, netip.Addr, string) error) {
				there.Do(func() { err = f(receiver, tt.group, there.Interface) })
			}
			switch text {
			case "first":
				step(udp.Leave)
				write(t, sender, "nobody", tt.group, port)
				write(t, sender, "left", tt.unicast, port)
			case "left":
				step(udp.Join)
				write(t, sender, "second", tt.group, port)
			case "second":
				other.Close()
				receiver.Close()
				sender.Close()
			}
			return err
		}
		write(t, sender, "first", tt.group, port)
		looptest.Run(t, loop)
		if want := []string{"first", "left", "second"}; !slices.Equal(member.texts, want) {
			t.Errorf("%v: a member got %q, want %q", tt.group, member.texts, want)
		}
		if len(stranger.texts) > 0 {
			t.Errorf("%v: a socket that hasn't joined got %q", tt.group, stranger.texts)
		}
		if len(member.from) > 0 && tt.from != "" && member.from[0].AddrPort().Addr().String() != tt.from {
			t.Errorf("%v: came from %v, want %s", tt.group, member.from[0], tt.from)
		}
	}
}

// TestMulticastInterfaces: what is sent through one interface goes to those who have joined on that one, and with IPv6
// perhaps to others.
func TestMulticastInterfaces(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	netnstest.Interface(t, "one", 1500, netip.MustParsePrefix("198.51.100.1/25"), netip.MustParsePrefix("2001:db8:1::1/64"))
	netnstest.Interface(t, "two", 1500, netip.MustParsePrefix("198.51.100.129/25"), netip.MustParsePrefix("2001:db8:2::1/64"))
	for _, group := range []netip.Addr{netip.MustParseAddr("239.1.2.3"), netip.MustParseAddr("ff15::1234")} {
		loop, _ := looptest.New(t)
		one, two := &inbox{}, &inbox{}
		first, err := udp.Listen(loop, ":0", one, udp.ListenConfig{ReuseAddr: true, Groups: []udp.Group{{Addr: group, Interface: "one"}}})
		if err != nil {
			t.Fatal(err)
		}
		port := portOf(first)
		second, err := udp.Listen(loop, fmt.Sprintf(":%d", port), two, udp.ListenConfig{ReuseAddr: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := udp.Join(second, group, "two"); err != nil {
			t.Fatal(err)
		}
		var senders []*connection.Datagram
		end := func(*connection.Datagram, string) error {
			if slices.Contains(one.texts, "through one") && slices.Contains(two.texts, "through two") {
				loop.Stop(nil)
			}
			return nil
		}
		one.then, two.then = end, end
		for _, name := range []string{"two", "one"} {
			s, err := udp.Listen(loop, ":0", once, udp.ListenConfig{MulticastInterface: name})
			if err != nil {
				t.Fatal(err)
			}
			senders = append(senders, s)
			write(t, s, "through "+name, group, port)
		}
		looptest.Run(t, loop)
		if group.Is4() && len(one.texts)+len(two.texts) != 2 { // of IPv6 the kernel compares only the group
			t.Errorf("%v: got %q and %q", group, one.texts, two.texts)
		}
		for _, d := range append(senders, first, second) {
			d.Close()
		}
	}
}

func TestBroadcast(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	here, there := netnstest.Wire(t, 1500)
	loop, _ := looptest.New(t)
	box := &inbox{}
	receiver := on(t, there, loop, "0.0.0.0:0", box, udp.ListenConfig{})
	to := connection.PeerFrom(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.255"), portOf(receiver)))
	shy := on(t, here, loop, "0.0.0.0:0", once, udp.ListenConfig{})
	if err := shy.WriteTo([]byte("forbidden"), to); !errors.Is(err, syscall.EACCES) {
		t.Errorf("without Broadcast: %v, want EACCES", err)
	}
	sender := on(t, here, loop, "0.0.0.0:0", once, udp.ListenConfig{Broadcast: true})
	if err := sender.WriteTo([]byte("to all"), to); err != nil {
		t.Error(err)
	}
	box.then = func(*connection.Datagram, string) error {
		for _, d := range []*connection.Datagram{receiver, shy, sender} {
			d.Close()
		}
		return nil
	}
	looptest.Run(t, loop)
	if !slices.Equal(box.texts, []string{"to all"}) {
		t.Errorf("got %q", box.texts)
	}
}

func TestPathMTU(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	const mtu = 1400
	_, there := netnstest.Wire(t, mtu)
	for _, tt := range []struct {
		addr    netip.Addr
		headers int
	}{{there.IPv4.Addr(), 28}, {there.IPv6.Addr(), 48}} {
		dest := netip.AddrPortFrom(tt.addr, 9)
		if got, err := udp.PathMTU(dest); got != mtu || err != nil {
			t.Errorf("%v: the MTU is %d, %v", dest, got, err)
		}
		size, err := udp.PayloadSize(dest)
		if size != mtu-tt.headers || err != nil {
			t.Errorf("%v: a datagram has %d bytes, %v, want %d", dest, size, err, mtu-tt.headers)
		}
		for _, whole := range []bool{false, true} {
			loop := looptest.NewLogging(t, slog.DiscardHandler)
			d, err := udp.Connect(loop, dest.String(), once, udp.ConnectConfig{DontFragment: whole})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Write(make([]byte, size)); err != nil {
				t.Errorf("%v: %d bytes: %v", dest, size, err)
			}
			if _, err := d.Write(make([]byte, size+1)); errors.Is(err, syscall.EMSGSIZE) != whole {
				t.Errorf("%v: %d bytes, in one piece %v: %v", dest, size+1, whole, err)
			}
			_ = loop.Close()
		}
	}
}

// TestUnreachable: what the kernel says of a host without a route, and another host of a port at which nobody listens.
func TestUnreachable(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	_, there := netnstest.Wire(t, 1500)
	loop, _ := looptest.New(t)
	nowhere := netip.MustParseAddrPort("203.0.113.1:9")
	var opError *net.OpError
	if _, err := udp.Connect(loop, nowhere.String(), once, udp.ConnectConfig{}); !errors.Is(err, syscall.ENETUNREACH) || !errors.As(err, &opError) || opError.Op != "dial" {
		t.Errorf("Connect: %v, want ENETUNREACH", err)
	}
	if _, err := udp.PayloadSize(nowhere); !errors.Is(err, syscall.ENETUNREACH) || !errors.As(err, &opError) {
		t.Errorf("PayloadSize: %v, want ENETUNREACH", err)
	}
	d, err := udp.Listen(loop, "0.0.0.0:0", once, udp.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.WriteTo([]byte("x"), connection.PeerFrom(nowhere)); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("WriteTo: %v, want ENETUNREACH", err)
	}
	d.Close()
	for _, addr := range []netip.Addr{there.IPv4.Addr(), there.IPv6.Addr()} {
		loop, _ := looptest.New(t)
		var told error
		c, err := udp.Connect(loop, netip.AddrPortFrom(addr, 9).String(), once, udp.ConnectConfig{
			Datagram: connection.DatagramConfig{Failed: func(d *connection.Datagram, err error) {
				told = err
				d.Close()
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("anybody?")); err != nil {
			t.Error(err)
		}
		looptest.Run(t, loop)
		if !errors.Is(told, syscall.ECONNREFUSED) || c.Failed() != 1 {
			t.Errorf("%v: told %v, %d failures", addr, told, c.Failed())
		}
	}
}
