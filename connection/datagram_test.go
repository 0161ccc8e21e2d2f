//go:build linux

package connection_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// udpSocket is a socket bound to a free port of 127.0.0.1.
func udpSocket(tb testing.TB) (fd int) {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		tb.Fatal(err)
	}
	return fd
}

func newDatagram(tb testing.TB, loop connection.Loop, fd int, h connection.DatagramHandler, config connection.DatagramConfig) *connection.Datagram {
	tb.Helper()
	d, err := connection.NewDatagram(loop, fd, h, config)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// client is a blocking socket that sends to d.
func client(tb testing.TB, d *connection.Datagram) net.Conn {
	tb.Helper()
	return dial(tb, d.Addr())
}

func send(tb testing.TB, conn net.Conn, text string) {
	tb.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		tb.Fatal(err)
	}
}

func receive(tb testing.TB, conn net.Conn) string {
	tb.Helper()
	buf := make([]byte, 1<<16)
	n, err := conn.Read(buf)
	if err != nil {
		tb.Fatal(err)
	}
	return string(buf[:n])
}

func peerOf(conn net.Conn) connection.Peer {
	return connection.PeerFrom(conn.LocalAddr().(*net.UDPAddr).AddrPort())
}

func TestDatagramEcho(t *testing.T) {
	loop, _ := looptest.New(t)
	var clients [3]net.Conn
	seen := 0
	var d *connection.Datagram
	sizes := []int{0, 1, 1000, 65507} // the last is the longest that UDP has
	d = newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(func(d *connection.Datagram, data []byte, from connection.Peer) error {
		if from != peerOf(clients[seen%len(clients)]) {
			t.Errorf("datagram %d came from %v", seen, from)
		}
		if seen++; seen == len(sizes)*len(clients) {
			d.Close()
			if err := d.WriteTo(data, from); !errors.Is(err, net.ErrClosed) {
				t.Errorf("WriteTo after Close: %v", err)
			}
			return nil
		}
		return d.WriteTo(data, from)
	}), connection.DatagramConfig{})
	for i := range clients {
		clients[i] = client(t, d)
	}
	sent := 0
	for _, size := range sizes {
		for _, conn := range clients {
			send(t, conn, strings.Repeat("x", size))
			sent++
		}
	}
	run(t, loop)
	if int(d.Received()) != sent || int(d.Sent()) != sent-1 || d.Truncated() != 0 || d.Failed() != 0 {
		t.Errorf("counted %d received, %d sent, %d truncated, %d failed", d.Received(), d.Sent(), d.Truncated(), d.Failed())
	}
	for i, size := range sizes[:len(sizes)-1] {
		for _, conn := range clients {
			if got := receive(t, conn); got != strings.Repeat("x", size) {
				t.Errorf("reply %d has %d bytes, want %d", i, len(got), size)
			}
		}
	}
}

// TestDatagramBatch: one callback takes 64, so that others have their turn.
func TestDatagramBatch(t *testing.T) {
	const n = 150
	loop, _ := looptest.New(t)
	byCallback := map[uint64]int{}
	seen := 0
	d := newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(func(d *connection.Datagram, data []byte, _ connection.Peer) error {
		byCallback[loop.Stats().Callbacks]++
		if string(data) != fmt.Sprint(seen) {
			t.Errorf("datagram %d is %q", seen, data)
		}
		if seen++; seen == n {
			d.Close()
		}
		return nil
	}), connection.DatagramConfig{})
	conn := client(t, d)
	for i := range n {
		send(t, conn, fmt.Sprint(i))
	}
	run(t, loop)
	if len(byCallback) != 3 {
		t.Errorf("%d datagrams in callbacks of %v, want three, of 64 at most", n, byCallback)
	}
	for _, taken := range byCallback {
		if taken > 64 {
			t.Errorf("%d datagrams in one callback", taken)
		}
	}
}

// TestDatagramBytes: one callback takes about a buffer's worth of bytes.
func TestDatagramBytes(t *testing.T) {
	const n = 6
	loop, _ := looptest.New(t)
	byCallback := map[uint64]int{}
	seen := 0
	d := newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(func(d *connection.Datagram, _ []byte, _ connection.Peer) error {
		byCallback[loop.Stats().Callbacks]++
		if seen++; seen == n {
			d.Close()
		}
		return nil
	}), connection.DatagramConfig{})
	conn := client(t, d)
	for range n {
		send(t, conn, strings.Repeat("x", 33_000))
	}
	run(t, loop)
	if len(byCallback) != n/2 {
		t.Errorf("callbacks took %v", byCallback)
	}
}

func TestDatagramDisabledWithin(t *testing.T) {
	loop, _ := looptest.New(t)
	seen := 0
	d := newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(func(d *connection.Datagram, _ []byte, _ connection.Peer) error {
		if !d.Handle().Enabled() {
			t.Error("called while disabled")
		}
		seen++
		d.Handle().SetEnabled(false)
		return loop.Post(func() {
			if seen == 3 {
				d.Close()
			}
			d.Handle().SetEnabled(true)
		})
	}), connection.DatagramConfig{})
	conn := client(t, d)
	for range 3 {
		send(t, conn, "x")
	}
	run(t, loop)
	if seen != 3 {
		t.Errorf("%d datagrams handled", seen)
	}
}

// TestDatagramRefused: the kernel reports on a connected socket that nobody listens; the socket survives.
func TestDatagramRefused(t *testing.T) {
	loop, _ := looptest.New(t)
	nobody := udpSocket(t)
	to, err := unix.Getsockname(nobody)
	if err != nil {
		t.Fatal(err)
	}
	fd := udpSocket(t)
	if err := unix.Connect(fd, to); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(nobody); err != nil {
		t.Fatal(err)
	}
	d := newDatagram(t, loop, fd, connection.DatagramFunc(func(*connection.Datagram, []byte, connection.Peer) error { return nil }), connection.DatagramConfig{})
	peer := connection.PeerFrom(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(to.(*unix.SockaddrInet4).Port)))
	if err := d.WriteTo([]byte("anybody?"), peer); err != nil {
		t.Errorf("WriteTo: %v", err)
	}
	var look func()
	look = func() {
		if d.Failed() == 0 {
			_ = loop.Post(look)
			return
		}
		if !d.Handle().Active() {
			t.Error("the socket was closed")
		}
		d.Close()
	}
	_ = loop.Post(look)
	run(t, loop)
	if d.Failed() != 1 {
		t.Errorf("%d failures counted", d.Failed())
	}
}

func TestDatagramErrors(t *testing.T) {
	for _, closed := range []bool{false, true} {
		loop, log := looptest.New(t)
		config := connection.DatagramConfig{Name: "the socket"}
		var causes []error
		if closed {
			config.Closed = func(_ *connection.Datagram, cause error) { causes = append(causes, cause) }
		}
		d := newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(func(*connection.Datagram, []byte, connection.Peer) error {
			return errTest
		}), config)
		conn := client(t, d)
		send(t, conn, "x")
		run(t, loop)
		found := log.Containing("the socket")
		if closed && (len(causes) != 1 || !errors.Is(causes[0], errTest) || len(found) != 0) {
			t.Errorf("ended with %v, logged %q", causes, found)
		}
		if !closed && (len(found) != 1 || !strings.Contains(found[0], errTest.Error())) {
			t.Errorf("logged %q, want the error once", found)
		}
	}
}

func TestDatagramWriteErrors(t *testing.T) {
	loop, _ := looptest.New(t)
	d := newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(func(*connection.Datagram, []byte, connection.Peer) error { return nil }), connection.DatagramConfig{})
	peer := connection.PeerFrom(d.Addr().(*net.UDPAddr).AddrPort())
	var opError *net.OpError
	if err := d.WriteTo(make([]byte, 65508), peer); !errors.As(err, &opError) || !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("WriteTo: %v, want a *net.OpError with EMSGSIZE", err)
	}
	if err := d.WriteTo(nil, connection.Peer{}); !errors.As(err, &opError) {
		t.Errorf("WriteTo nobody: %v, want a *net.OpError", err)
	}
	if d.Sent() != 0 {
		t.Errorf("%d counted as sent", d.Sent())
	}
	if peer.String() != d.Addr().String() || peer.AddrPort() != d.Addr().(*net.UDPAddr).AddrPort() {
		t.Errorf("the peer is %v", peer)
	}
}

func TestDatagramOwnership(t *testing.T) {
	loop, _ := looptest.New(t)
	none := connection.DatagramFunc(func(*connection.Datagram, []byte, connection.Peer) error { return nil })
	d := newDatagram(t, loop, udpSocket(t), none, connection.DatagramConfig{})
	if want := "udp " + d.Addr().String(); d.Handle().Name() != want {
		t.Errorf("it is called %q, want %q", d.Handle().Name(), want)
	}
	_ = loop.Close()
	if _, err := connection.NewDatagram(loop, udpSocket(t), none, connection.DatagramConfig{}); !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("NewDatagram: %v", err)
	}
}

func TestMessageDatagrams(t *testing.T) {
	loop, log := looptest.New(t)
	var d *connection.Datagram
	layer := connection.NewMessageDatagrams(message.HandlerFunc(func(from message.Sender, m *message.Message) error {
		switch m.Command() {
		case "STOP":
			d.Close()
			return nil
		case "FAIL":
			return errTest
		}
		return from.Send(m.Reply("PONG").Set("from", fmt.Sprint(from)))
	}), connection.MessageDatagramConfig{})
	d = newDatagram(t, loop, udpSocket(t), layer, connection.DatagramConfig{})
	a, b := client(t, d), client(t, d)
	for _, conn := range []net.Conn{a, b} {
		for _, text := range []string{"", "\n", "noise", "PING\x00", "\xff\xfe", "PING\n", "FAIL", "PING"} {
			send(t, conn, text)
		}
	}
	send(t, a, "STOP")
	run(t, loop)
	for _, conn := range []net.Conn{a, b} {
		want := fmt.Sprintf("PONG from=%s", conn.LocalAddr())
		for range 2 {
			if got := receive(t, conn); got != want {
				t.Errorf("answered %q, want %q", got, want)
			}
		}
	}
	if layer.Skipped() != 10 || d.Received() != 17 || d.Sent() != 4 {
		t.Errorf("%d skipped, %d received, %d sent", layer.Skipped(), d.Received(), d.Sent())
	}
	if n := len(log.Containing("no message")); n != 1 {
		t.Errorf("noise was logged %d times", n)
	}
	if n := len(log.Containing(errTest.Error())); n != 1 { // two at once; one a second is logged
		t.Errorf("the handler's error was logged %d times", n)
	}
}

// TestSenderIsKept: a sender answers to whom it was made for, whoever has written since.
func TestSenderIsKept(t *testing.T) {
	loop, _ := looptest.New(t)
	var d *connection.Datagram
	var senders []message.Sender
	layer := connection.NewMessageDatagrams(message.HandlerFunc(func(from message.Sender, _ *message.Message) error {
		if senders = append(senders, from); len(senders) < 3 {
			return nil
		}
		for i, s := range senders {
			if err := s.Send(message.New("YOU").Set("are", fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		}
		d.Close()
		return nil
	}), connection.MessageDatagramConfig{})
	d = newDatagram(t, loop, udpSocket(t), layer, connection.DatagramConfig{})
	conns := []net.Conn{client(t, d), client(t, d), client(t, d)}
	for _, conn := range conns {
		send(t, conn, "HELLO")
	}
	run(t, loop)
	for i, conn := range conns {
		if got, want := receive(t, conn), fmt.Sprintf("YOU are=%d", i); got != want {
			t.Errorf("client %d got %q", i, got)
		}
	}
	if err := senders[0].Send(message.New("LATE")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
}

func TestMessageSize(t *testing.T) {
	for _, size := range []int{0, 100} {
		loop, _ := looptest.New(t)
		layer := connection.NewMessageDatagrams(message.HandlerFunc(nil), connection.MessageDatagramConfig{MaxSend: size})
		if size == 0 {
			size = connection.DefaultMaxMessage
		}
		d := newDatagram(t, loop, udpSocket(t), layer, connection.DatagramConfig{})
		conn := client(t, d)
		sender := layer.SenderTo(d, peerOf(conn))
		exact := message.New("M").Set("a", strings.Repeat("x", size-len("M a=")))
		if err := sender.Send(exact); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if got := receive(t, conn); len(got) != size {
			t.Errorf("%d bytes came, want %d", len(got), size)
		}
		if err := sender.Send(exact.Set("a", exact.Get("a")+"x")); !errors.Is(err, connection.ErrSize) {
			t.Errorf("%d bytes: %v, want %v", size+1, err, connection.ErrSize)
		}
		if err := sender.Send(message.New("no command")); !errors.Is(err, message.ErrName) {
			t.Errorf("a bad message: %v", err)
		}
		if d.Sent() != 1 {
			t.Errorf("%d counted as sent", d.Sent())
		}
	}
}
