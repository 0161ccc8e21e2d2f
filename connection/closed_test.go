//go:build linux

package connection_test

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// TestListenerClosed: Closed is told, once, why no connection is accepted any more.
func TestListenerClosed(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(tb testing.TB, l *connection.Listener)
		want error // nil: an orderly end
		addr bool  // the error is one of accept, with the address
	}{
		{"EBADF", func(tb testing.TB, _ *connection.Listener) {
			hookAccept(tb, func(int) error { return acceptError(syscall.EBADF) })
		}, syscall.EBADF, true},
		{"EINVAL", func(tb testing.TB, _ *connection.Listener) {
			hookAccept(tb, func(int) error { return acceptError(syscall.EINVAL) })
		}, syscall.EINVAL, true},
		{"Close", func(_ testing.TB, l *connection.Listener) { l.Close() }, nil, false},
		{"Stop", func(_ testing.TB, l *connection.Listener) { l.Handle().Loop().Stop(nil) }, communicator.ErrClosed, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fdtest.Check(t)
			loop, log := looptest.New(t)
			netListener := listenTCP(t)
			addr := netListener.Addr()
			var causes []error
			var l *connection.Listener
			l = listenOn(t, loop, netListener, greet, connection.ListenConfig{Closed: func(closed *connection.Listener, cause error) {
				if closed != l || closed.Handle().Active() {
					t.Errorf("told of %p, want %p, active: %v", closed, l, closed.Handle().Active())
				}
				causes = append(causes, cause)
			}})
			conn := dial(t, addr) // somebody to accept
			tt.end(t, l)
			run(t, loop)
			if len(causes) != 1 || !errors.Is(causes[0], tt.want) {
				t.Fatalf("closed with %v, want %v, once", causes, tt.want)
			}
			var opError *net.OpError
			if tt.addr && (!errors.As(causes[0], &opError) || opError.Op != "accept" || opError.Addr.String() != addr.String()) {
				t.Errorf("closed with %v, want a *net.OpError of accept with the address", causes[0])
			}
			if len(log.Records()) != 0 {
				t.Errorf("told and logged: %q", log.Records())
			}
			_ = conn.Close()
		})
	}
}

// TestPeerSender: a handler finds out who asked, and over which socket.
func TestPeerSender(t *testing.T) {
	loop, _ := looptest.New(t)
	var d *connection.Datagram
	var asked []*connection.PeerSender
	layer := connection.NewMessageDatagrams(message.HandlerFunc(func(from message.Sender, m *message.Message) error {
		sender, ok := from.(*connection.PeerSender)
		if !ok {
			t.Errorf("the sender is a %T", from)
			return nil
		}
		asked = append(asked, sender)
		if m.Command() == "STOP" {
			d.Close()
		}
		return nil
	}), connection.MessageDatagramConfig{})
	d = newDatagram(t, loop, udpSocket(t), layer, connection.DatagramConfig{})
	conns := []net.Conn{client(t, d), client(t, d)}
	send(t, conns[0], "HELLO")
	send(t, conns[1], "STOP")
	run(t, loop)
	if len(asked) != len(conns) {
		t.Fatalf("%d messages came", len(asked))
	}
	for i, sender := range asked {
		want := peerOf(conns[i])
		if sender.Peer() != want || sender.Datagram() != d || sender.String() != want.String() {
			t.Errorf("message %d came from %v, want %v", i, sender, want)
		}
		if p := connection.PeerFromAddr(conns[i].LocalAddr()); p != want {
			t.Errorf("PeerFromAddr: %v, want %v", p, want)
		}
	}
}

func TestPeerFromAddr(t *testing.T) {
	four := connection.PeerFrom(netip.MustParseAddrPort("192.0.2.1:53"))
	for _, tt := range []struct {
		addr net.Addr
		want connection.Peer
	}{
		{&net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 53}, four}, // 16 bytes
		{&net.UDPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 53}, four},
		{&net.UDPAddr{IP: net.ParseIP("2001:db8::1"), Port: 53}, connection.PeerFrom(netip.MustParseAddrPort("[2001:db8::1]:53"))},
		{&net.UDPAddr{IP: net.ParseIP("fe80::1"), Port: 53, Zone: "1"}, connection.PeerFrom(netip.MustParseAddrPort("[fe80::1%1]:53"))},
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 53}, connection.Peer{}},
		{&net.UnixAddr{Name: "s", Net: "unixgram"}, connection.PeerFromPath("s")},
		{&net.UnixAddr{Name: "@s", Net: "unixgram"}, connection.PeerFromPath("@s")},
		{(*net.UnixAddr)(nil), connection.Peer{}},
		{(*net.UDPAddr)(nil), connection.Peer{}},
		{nil, connection.Peer{}},
	} {
		if got := connection.PeerFromAddr(tt.addr); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.addr, got, tt.want)
		}
	}

	loop, _ := looptest.New(t)
	d := newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(func(d *connection.Datagram, data []byte, _ connection.Peer) error {
		if string(data) != "to itself" {
			t.Errorf("got %q", data)
		}
		d.Close()
		return nil
	}), connection.DatagramConfig{})
	if err := d.WriteTo([]byte("nobody"), connection.Peer{}); err == nil {
		t.Error("sent to the zero Peer")
	}
	if err := d.WriteTo([]byte("to itself"), connection.PeerFromAddr(d.Addr())); err != nil {
		t.Fatal(err)
	}
	run(t, loop)
}
