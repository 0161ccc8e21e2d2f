//go:build linux

package connection_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestPacketsBeforeReset: a peer goes without having read all, and what it had sent is handed over nevertheless, over
// several callbacks.
func TestPacketsBeforeReset(t *testing.T) {
	fdtest.Check(t)
	for _, sent := range []int{0, 1, 64, 100} {
		loop, _ := looptest.New(t)
		var got, want []string
		var ended []error
		fd, peer := pair(t, unix.SOCK_SEQPACKET)
		d, err := connection.NewDatagramOn(loop, owned(fd), connection.DatagramFunc(func(_ *connection.Datagram, data []byte, _ connection.Peer) error {
			got = append(got, string(data))
			return nil
		}), connection.DatagramConfig{Closed: func(_ *connection.Datagram, cause error) { ended = append(ended, cause) }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write([]byte("never read")); err != nil {
			t.Fatal(err)
		}
		for i := range sent {
			want = append(want, fmt.Sprint(i))
			if _, err := unix.Write(peer, []byte(want[i])); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.Close(peer); err != nil {
			t.Fatal(err)
		}
		run(t, loop)
		if !slices.Equal(got, want) {
			t.Errorf("got %q of %d packets", got, sent)
		}
		var opError *net.OpError
		if len(ended) != 1 || !errors.Is(ended[0], syscall.ECONNRESET) || !errors.As(ended[0], &opError) || opError.Op != "read" {
			t.Errorf("after %d packets: ended with %v, want a *net.OpError of ECONNRESET, once", sent, ended)
		}
	}
}

// TestDatagramCloseOnExec: a descriptor that somebody else has made is not handed on to children.
func TestDatagramCloseOnExec(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	fd := udpSocket(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
	none := connection.DatagramFunc(nil)
	newDatagram(t, loop, fd, none, connection.DatagramConfig{})
	if _, err := connection.NewDatagramOn(loop, owned(pair[0]), none, connection.DatagramConfig{}); err != nil {
		t.Fatal(err)
	}
	for _, fd := range []int{fd, pair[0]} {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("flags %d, %v, want close-on-exec", flags, err)
		}
	}
}

// TestWriteFilesErrors: a file that is closed is one thing, and a socket that is closed another.
func TestWriteFilesErrors(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	d := newDatagram(t, loop, unixSocket(t, filepath.Join(t.TempDir(), "s")), connection.DatagramFunc(nil), connection.DatagramConfig{})
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	to := connection.PeerFromAddr(d.Addr())
	var opError *net.OpError
	if err := d.WriteFiles([]byte("x"), to, closed); !errors.Is(err, os.ErrClosed) || errors.Is(err, net.ErrClosed) || !errors.As(err, &opError) {
		t.Errorf("of a closed file: %v", err)
	}
	if err := d.WriteFiles([]byte("x"), to, nil); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("of no file: %v", err)
	}
	d.Close()
	if err := d.WriteFiles([]byte("x"), to, closed); !errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
		t.Errorf("on a closed socket: %v", err)
	}
}

// TestDatagramErrorText: an error names the addresses that there are, and no others.
func TestDatagramErrorText(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	d := newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(nil), connection.DatagramConfig{})
	own, to := d.Addr().String(), connection.PeerFrom(netip.MustParseAddrPort("192.0.2.1:53"))
	fd, peer := pair(t, unix.SOCK_SEQPACKET)
	defer unix.Close(peer)
	p, err := connection.NewDatagramOn(loop, owned(fd), connection.DatagramFunc(nil), connection.DatagramConfig{})
	if err != nil {
		t.Fatal(err)
	}
	_, noPacket := p.Write(nil)
	nobody := d.WriteTo([]byte("x"), connection.Peer{})
	d.Close()
	closing := d.WriteTo([]byte("x"), to)
	p.Close()
	run(t, loop)
	_, batch := d.WriteBatch([]connection.Outgoing{{Data: []byte("x"), To: to}})
	for _, tt := range []struct {
		err  error
		want string
		is   error
	}{
		{nobody, "write udp " + own + ": sendto: " + syscall.EDESTADDRREQ.Error(), syscall.EDESTADDRREQ},
		{closing, "write udp 192.0.2.1:53: " + connection.ErrClosed.Error(), net.ErrClosed},
		{d.WriteTo([]byte("x"), to), "write udp 192.0.2.1:53: " + connection.ErrClosed.Error(), net.ErrClosed},
		{batch, "write udp 192.0.2.1:53: " + connection.ErrClosed.Error(), net.ErrClosed},
		{noPacket, "", connection.ErrEmptyPacket},
	} {
		var opError *net.OpError
		if !errors.As(tt.err, &opError) || !errors.Is(tt.err, tt.is) || tt.want != "" && tt.err.Error() != tt.want {
			t.Errorf("%v, want %q", tt.err, tt.want)
			continue
		}
		if tt.want == "" && (opError.Net != "unixpacket" || opError.Addr.Network() != "unixpacket") {
			t.Errorf("%v is of %s to %s", tt.err, opError.Net, opError.Addr.Network())
		}
	}
}

// TestMappedPeer: an IPv4 address that is mapped into IPv6, as package net has it, is that IPv4 address.
func TestMappedPeer(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	d := newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(nil), connection.DatagramConfig{})
	conn := client(t, d)
	plain := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	mapped := netip.AddrPortFrom(netip.AddrFrom16(plain.Addr().As16()), plain.Port())
	if !mapped.Addr().Is4In6() || connection.PeerFrom(mapped) != connection.PeerFrom(netip.AddrPortFrom(plain.Addr().Unmap(), plain.Port())) {
		t.Errorf("%v is the peer %v", mapped, connection.PeerFrom(mapped))
	}
	if err := d.WriteTo([]byte("hello"), connection.PeerFrom(mapped)); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, conn); got != "hello" {
		t.Errorf("got %q", got)
	}
}

// TestWrongZone: a zone that names no interface is an error, and not whatever the kernel would choose; also for the second
// time.
func TestWrongZone(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skip("no IPv6:", err)
	}
	d := newDatagram(t, loop, fd, connection.DatagramFunc(nil), connection.DatagramConfig{})
	for _, text := range []string{"[ff02::1%nowhere]:99", "[ff02::1%nowhere]:99", "[::1%nowhere]:99"} {
		err := d.WriteTo([]byte("x"), connection.PeerFrom(netip.MustParseAddrPort(text)))
		var addrError *net.AddrError
		var opError *net.OpError
		if !errors.As(err, &addrError) || addrError.Addr != "nowhere" || !errors.As(err, &opError) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want a *net.AddrError", text, err)
		}
	}
}
