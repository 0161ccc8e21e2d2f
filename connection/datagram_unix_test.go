//go:build linux

package connection_test

import (
	"errors"
	"fmt"
	"net"
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
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// unixSocket is a datagram socket bound to a path; unbound with an empty one.
func unixSocket(tb testing.TB, path string) (fd int) {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	if path != "" {
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			tb.Fatal(err)
		}
	}
	return fd
}

// packets puts a Datagram on one end of a pair of packet sockets.
func packets(tb testing.TB, loop connection.Loop, h connection.DatagramHandler, config connection.DatagramConfig) (d *connection.Datagram, peer int) {
	tb.Helper()
	fd, peer := pair(tb, unix.SOCK_SEQPACKET)
	tb.Cleanup(func() { _ = unix.Close(peer) })
	d, err := connection.NewDatagramOn(loop, owned(fd), h, config)
	if err != nil {
		tb.Fatal(err)
	}
	return d, peer
}

func TestUnixPeers(t *testing.T) {
	dir := t.TempDir()
	server := filepath.Join(dir, "s")
	abstract := fmt.Sprintf("@eventdispatcher-test-%d", os.Getpid())
	loop, _ := looptest.New(t)
	var got []connection.Peer
	d := newDatagram(t, loop, unixSocket(t, server), connection.DatagramFunc(func(d *connection.Datagram, data []byte, from connection.Peer) error {
		err := d.WriteTo(data, from)
		if named := from.Path() != ""; named != (err == nil) || !named && !errors.Is(err, syscall.EDESTADDRREQ) {
			t.Errorf("answering %v: %v", from, err)
		}
		if got = append(got, from); len(got) == 5 {
			d.Close()
		}
		return nil
	}), connection.DatagramConfig{})
	if a, ok := d.Addr().(*net.UnixAddr); !ok || a.Name != server || a.Net != "unixgram" || d.Handle().Name() != "unixgram "+server {
		t.Errorf("the address is %v, the name %q", d.Addr(), d.Handle().Name())
	}
	paths := []string{filepath.Join(dir, "a"), abstract, "", abstract, filepath.Join(dir, "a")}
	fds := map[string]int{}
	for i, path := range paths {
		if _, ok := fds[path]; !ok {
			fds[path] = unixSocket(t, path)
			defer unix.Close(fds[path])
		}
		if err := unix.Sendto(fds[path], []byte{byte(i)}, 0, &unix.SockaddrUnix{Name: server}); err != nil {
			t.Fatal(err)
		}
	}
	run(t, loop)
	for i, path := range paths {
		if want := connection.PeerFromPath(path); i >= len(got) || got[i] != want || got[i].Path() != path || got[i].Network() != "unixgram" {
			t.Errorf("datagram %d came from %v, want %q", i, got, path)
			continue
		}
		if path == "" {
			continue
		}
		buf := make([]byte, 10)
		if n, _, err := unix.Recvfrom(fds[path], buf, unix.MSG_DONTWAIT); n != 1 || buf[0] != byte(i) || err != nil {
			t.Errorf("the answer to %q is %v, %v", path, buf[:max(n, 0)], err)
		}
	}
}

// TestAnswerToNobody: the log says what could not be answered, and why.
func TestAnswerToNobody(t *testing.T) {
	loop, _ := looptest.New(t)
	quiet := message.HandlerFunc(func(message.Sender, *message.Message) error { return nil })
	layer := connection.NewMessageDatagrams(quiet, connection.MessageDatagramConfig{})
	d := newDatagram(t, loop, unixSocket(t, filepath.Join(t.TempDir(), "s")), layer, connection.DatagramConfig{})
	err := layer.SenderTo(d, connection.PeerFromPath("")).Send(message.New("UNKNOWN"))
	if !errors.Is(err, syscall.EDESTADDRREQ) || !strings.HasPrefix(err.Error(), "UNKNOWN can't be sent to a socket without a name: ") {
		t.Error(err)
	}
}

func TestPeerText(t *testing.T) {
	for _, tt := range []struct {
		peer          connection.Peer
		network, text string
	}{
		{connection.PeerFromPath("/run/s"), "unixgram", "/run/s"},
		{connection.PeerFromPath("@s"), "unixgram", "@s"},
		{connection.PeerFromPath(""), "unixgram", "unnamed"},
		{connection.PeerFromAddr(&net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 53}), "udp", "192.0.2.1:53"},
		{connection.Peer{}, "", "invalid AddrPort"},
	} {
		if tt.peer.Network() != tt.network || tt.peer.String() != tt.text {
			t.Errorf("%q %q, want %q %q", tt.peer.Network(), tt.peer, tt.network, tt.text)
		}
	}
}

func TestUnixWriteErrors(t *testing.T) {
	loop, _ := looptest.New(t)
	dir := t.TempDir()
	d := newDatagram(t, loop, unixSocket(t, filepath.Join(dir, "s")), connection.DatagramFunc(nil), connection.DatagramConfig{})
	u := newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(nil), connection.DatagramConfig{})
	self := connection.PeerFromPath(filepath.Join(dir, "s"))
	fill := func() (err error) {
		for range 10_000 {
			if err = d.WriteTo([]byte("x"), self); err != nil {
				break
			}
		}
		return err
	}
	for _, tt := range []struct {
		name string
		err  error
		want error
	}{
		{"no file", d.WriteTo([]byte("x"), connection.PeerFromPath(filepath.Join(dir, "none"))), syscall.ENOENT},
		{"no name", d.WriteTo([]byte("x"), connection.PeerFromPath("")), syscall.EDESTADDRREQ},
		{"nobody", d.WriteTo([]byte("x"), connection.Peer{}), syscall.EDESTADDRREQ},
		{"IP", d.WriteTo([]byte("x"), connection.PeerFromAddr(u.Addr())), syscall.EAFNOSUPPORT},
		{"Unix", u.WriteTo([]byte("x"), self), syscall.EAFNOSUPPORT},
		{"full", fill(), connection.ErrWouldBlock},
	} {
		var opError *net.OpError
		if !errors.Is(tt.err, tt.want) || !errors.As(tt.err, &opError) || opError.Op != "write" {
			t.Errorf("%s: %v, want %v", tt.name, tt.err, tt.want)
		}
	}
	if err := d.WriteTo([]byte("x"), connection.PeerFromPath(strings.Repeat("x", 200))); err == nil {
		t.Error("sent to a path that is too long")
	}
}

// TestPackets: what comes, and the end of the peer.
func TestPackets(t *testing.T) {
	loop, log := looptest.New(t)
	var got []string
	var ended []error
	d, peer := packets(t, loop, connection.DatagramFunc(func(d *connection.Datagram, data []byte, from connection.Peer) error {
		got = append(got, string(data))
		if from != d.Remote() {
			t.Errorf("came from %v", from)
		}
		return d.WriteTo(data, from)
	}), connection.DatagramConfig{MaxSize: 70_000, Closed: func(_ *connection.Datagram, cause error) { ended = append(ended, cause) }})
	long := strings.Repeat("x", 70_000)
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprint(i))
	}
	want = append(want, long)
	for _, text := range append(slices.Clone(want), long+"y") {
		if _, err := unix.Write(peer, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Write(nil); !errors.Is(err, connection.ErrEmptyPacket) {
		t.Errorf("an empty packet: %v", err)
	}
	if err := unix.Shutdown(peer, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	run(t, loop)
	if !slices.Equal(got, want) || d.Truncated() != 1 {
		t.Errorf("got %d packets, %d truncated", len(got), d.Truncated())
	}
	if len(ended) != 1 || ended[0] != nil || len(log.Records()) != 0 {
		t.Errorf("ended with %v, logged %q", ended, log.Records())
	}
	buf := make([]byte, 80_000)
	for _, text := range want {
		if n, err := unix.Read(peer, buf); string(buf[:max(n, 0)]) != text || err != nil {
			t.Errorf("answered %.20q, %v, want %.20q", buf[:max(n, 0)], err, text)
		}
	}
}

// TestPacketsFull: a peer that doesn't read.
func TestPacketsFull(t *testing.T) {
	loop, _ := looptest.New(t)
	d, _ := packets(t, loop, connection.DatagramFunc(nil), connection.DatagramConfig{})
	for range 10_000 {
		if _, err := d.Write(make([]byte, 1000)); err != nil {
			if !errors.Is(err, connection.ErrWouldBlock) {
				t.Errorf("Write: %v", err)
			}
			return
		}
	}
	t.Error("no end")
}

func TestMessagePackets(t *testing.T) {
	loop, _ := looptest.New(t)
	long := strings.Repeat("x", connection.DefaultMaxUnixMessage-len("PONG a="))
	layer := connection.NewMessageDatagrams(message.HandlerFunc(func(from message.Sender, m *message.Message) error {
		return from.Send(m.Reply("PONG").Set("a", long))
	}), connection.MessageDatagramConfig{})
	_, peer := packets(t, loop, layer, connection.DatagramConfig{})
	if _, err := unix.Write(peer, []byte("PING")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Shutdown(peer, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	run(t, loop)
	buf := make([]byte, 1<<17)
	if n, err := unix.Read(peer, buf); string(buf[:max(n, 0)]) != "PONG a="+long || err != nil {
		t.Errorf("answered %.20q, %d bytes, %v", buf[:max(n, 0)], n, err)
	}
}

// pass sends a datagram with n descriptors of /dev/null, or without if the peer may refuse them.
func pass(tb testing.TB, fd int, text string, n int, refused bool) {
	tb.Helper()
	var fds []int
	for range n {
		null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			tb.Fatal(err)
		}
		defer unix.Close(null)
		fds = append(fds, null)
	}
	var rights []byte
	if n > 0 {
		rights = unix.UnixRights(fds...)
	}
	err := unix.Sendmsg(fd, []byte(text), rights, nil, 0)
	if errors.Is(err, unix.EPERM) && refused { // since Linux 6.16
		err = unix.Sendmsg(fd, []byte(text), nil, nil, 0)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// TestDescriptors: those that come are taken or closed, whatever becomes of their datagram.
func TestDescriptors(t *testing.T) {
	for _, kind := range []int{unix.SOCK_DGRAM, unix.SOCK_SEQPACKET} {
		for _, limit := range []int{0, 3} {
			t.Run(fmt.Sprintf("kind_%d_limit_%d", kind, limit), func(t *testing.T) {
				fdtest.Check(t)
				loop, _ := looptest.New(t)
				var got []string
				h := connection.DatagramFunc(func(d *connection.Datagram, data []byte, _ connection.Peer) error {
					text := string(data)
					if text == "take" {
						files := d.Descriptors()
						text += fmt.Sprint(len(files))
						for _, f := range files {
							if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 || err != nil {
								t.Errorf("flags %x, %v", flags, err)
							}
							_ = f.Close()
						}
						if again := d.Descriptors(); again != nil {
							t.Errorf("taken twice: %v", again)
						}
					}
					if got = append(got, text); text == "end" {
						d.Close()
					}
					return nil
				})
				config := connection.DatagramConfig{Descriptors: limit, MaxSize: 100}
				var d *connection.Datagram
				var peer int
				if kind == unix.SOCK_SEQPACKET {
					d, peer = packets(t, loop, h, config)
				} else {
					var fd int
					fd, peer = pair(t, kind)
					defer unix.Close(peer)
					d = newDatagram(t, loop, fd, h, config)
				}
				pass(t, peer, "take", 3, limit == 0)
				pass(t, peer, "leave", 2, limit == 0)
				pass(t, peer, "plain", 0, limit == 0)
				pass(t, peer, strings.Repeat("x", 101), 1, limit == 0) // too long
				pass(t, peer, "many", 4, limit == 0)
				pass(t, peer, "take", 1, limit == 0)
				pass(t, peer, "end", 1, limit == 0)
				pass(t, peer, "behind the end", 2, limit == 0) // perhaps received already
				run(t, loop)
				want, truncated := []string{"take3", "leave", "plain", "take1", "end"}, uint64(2)
				if limit == 0 {
					want, truncated = []string{"take0", "leave", "plain", "many", "take0", "end"}, 1
				}
				if !slices.Equal(got, want) || d.Truncated() != truncated {
					t.Errorf("got %q, want %q; %d truncated", got, want, d.Truncated())
				}
			})
		}
	}
}

// TestWriteFiles passes files along, to a peer and on a connected socket.
func TestWriteFiles(t *testing.T) {
	fdtest.Check(t)
	dir := t.TempDir()
	loop, _ := looptest.New(t)
	server, asking := filepath.Join(dir, "s"), filepath.Join(dir, "c")
	text := ""
	d := newDatagram(t, loop, unixSocket(t, server), connection.DatagramFunc(func(d *connection.Datagram, _ []byte, from connection.Peer) error {
		files := d.Descriptors()
		if len(files) != 1 || from != connection.PeerFromPath(asking) {
			t.Errorf("%d descriptors from %v", len(files), from)
			return errTest
		}
		defer files[0].Close()
		b, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", files[0].Fd()))
		text = string(b)
		loop.Stop(nil)
		return err
	}), connection.DatagramConfig{Descriptors: 1})
	c := newDatagram(t, loop, unixSocket(t, asking), connection.DatagramFunc(nil), connection.DatagramConfig{})
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	to := connection.PeerFromPath(server)
	if err := c.WriteFiles([]byte("x"), to, slices.Repeat([]*os.File{f}, connection.MaxDescriptors+1)...); !errors.Is(err, connection.ErrDescriptors) {
		t.Errorf("too many: %v", err)
	}
	if err := c.WriteFiles([]byte("x"), to, f); err != nil {
		t.Fatal(err)
	}
	run(t, loop)
	if text != "hello" || c.Sent() != 1 {
		t.Errorf("read %q, %d sent", text, c.Sent())
	}
	d.Close()
	c.Close()
	closed, _ := os.Open(os.DevNull)
	_ = closed.Close()
	if err := c.WriteFiles(nil, to, closed); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// owned is a descriptor as a DatagramSocket.
type owned int

func (o owned) FD() int      { return int(o) }
func (o owned) Close() error { return unix.Close(int(o)) }
