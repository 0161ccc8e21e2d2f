//go:build linux

package unixsock_test

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// listenOn has a listener of package net served.
func listenOn(tb testing.TB, loop connection.Loop, network, address string, serve connection.Serve) *connection.Listener {
	tb.Helper()
	given, err := net.Listen(network, address)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := connection.ListenOn(loop, given, serve, connection.ListenConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// TestServeFiltered: a listener that somebody else has made turns connections down, too.
func TestServeFiltered(t *testing.T) {
	fdtest.Check(t)
	path := socketPath(t)
	loop, log := looptest.New(t)
	filter := &unixsock.Filter{}
	filter.Accept = func(c unixsock.Credentials) bool { return c == own && filter.Refused() > 0 }
	l := listenOn(t, loop, "unix", path, filter.Serve(welcome))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, want := range []string{"", "welcome"} {
			conn, err := net.Dial("unix", path)
			if err != nil {
				t.Error(err)
				break
			}
			_ = conn.SetDeadline(time.Now().Add(looptest.Patience))
			if got, err := io.ReadAll(conn); string(got) != want || err != nil {
				t.Errorf("read %q, %v, want %q", got, err, want)
			}
			_ = conn.Close()
		}
		_ = loop.Post(l.Close)
	}()
	looptest.Run(t, loop)
	<-done
	if filter.Refused() != 1 || len(log.Containing("turned down")) != 1 {
		t.Errorf("%d turned down, logged %q", filter.Refused(), log.Records())
	}
	var none *unixsock.Filter
	if none.Serve(nil) != nil || none.Serve(welcome) == nil {
		t.Error("a nil Filter changes what is served")
	}
}

// TestServeWithDescriptors: a listener that somebody else has made passes descriptors along, too, behind a filter.
func TestServeWithDescriptors(t *testing.T) {
	fdtest.Check(t)
	path := socketPath(t)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	there, back := newPipes(t, 1), newPipes(t, 1)
	var l *connection.Listener
	bounce := lines(func(s *connection.Stream, line string) error {
		giveAway(t, unixsock.Descriptors(s), line)
		return unixsock.Write(s, []byte(line+"\n"), back.writers...)
	}, connection.StreamConfig{})
	filter := &unixsock.Filter{Accept: func(unixsock.Credentials) bool { return true }}
	l = listenOn(t, loop, "unix", path, filter.Serve(unixsock.WithDescriptors(bounce, 1)))
	client := connection.Split(bufio.ScanLines, &opening{
		open: func(s *connection.Stream) error { return unixsock.Write(s, []byte("hello\n"), there.writers...) },
		frame: func(s *connection.Stream, line string) error {
			giveAway(t, unixsock.Descriptors(s), line)
			s.Close()
			l.Close()
			return nil
		},
	})
	if _, err := connection.DialStream(loop, unixsock.Dialer{Path: path, Descriptors: 1}, client, connection.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	there.expect(0, "hello")
	back.expect(0, "hello")
}

// TestServeWithoutDescriptors: with limit 0 none come, and what is no Unix socket is served as it is.
func TestServeWithoutDescriptors(t *testing.T) {
	fdtest.Check(t)
	for network, address := range map[string]string{"unix": socketPath(t), "tcp": "127.0.0.1:0"} {
		for _, limit := range []int{0, 1} {
			loop := looptest.NewLogging(t, slog.DiscardHandler)
			var l *connection.Listener
			serve := unixsock.WithDescriptors(func(loop connection.Loop, tr connection.Transport) error {
				if _, plain := tr.(*connection.Socket); plain != (limit == 0 || network == "tcp") {
					t.Errorf("%s, limit %d: the transport is a %T", network, limit, tr)
				}
				l.Close()
				return welcome(loop, tr)
			}, limit)
			l = listenOn(t, loop, network, address, serve)
			conn, err := net.Dial(network, l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(looptest.Patience))
			read := make(chan string, 1)
			go func() {
				got, _ := io.ReadAll(conn)
				_ = conn.Close()
				read <- string(got)
			}()
			looptest.Run(t, loop)
			if got := looptest.Await(t, read, "the answer"); got != "welcome" {
				t.Errorf("%s, limit %d: got %q", network, limit, got)
			}
		}
	}
	if unixsock.WithDescriptors(nil, 1) != nil {
		t.Error("something is served by nothing")
	}
}

// TestTooManyUnderWay: what other sockets of the user have under way is no reason for the end of a stream.
func TestTooManyUnderWay(t *testing.T) {
	fdtest.Check(t)
	path := socketPath(t)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	p := newPipes(t, 1)
	mustListen(t, loop, path, unixsock.ListenConfig{Descriptors: 1})
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var first, second error
	h := &opening{open: func(s *connection.Stream) error {
		onThread(func() {
			restore := limitInFlight(t, int(p.writers[0].Fd()), pair[0])
			first = unixsock.Write(s, []byte("never sent"), p.writers...)
			restore()
		})
		for _, fd := range pair { // what was under way is not any more
			_ = unix.Close(fd)
		}
		second = unixsock.Write(s, []byte("sent"), p.writers...)
		if s.Written() != 4 || !s.Handle().Active() {
			t.Errorf("%d bytes were written", s.Written())
		}
		loop.Stop(nil)
		return nil
	}, frame: func(*connection.Stream, string) error { return nil }}
	if _, err := connection.DialStream(loop, unixsock.Dialer{Path: path, Descriptors: 1}, connection.Split(bufio.ScanLines, h), connection.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	var opError *net.OpError
	if !errors.Is(first, syscall.ETOOMANYREFS) || !errors.As(first, &opError) || opError.Op != "write" {
		t.Errorf("the first: %v, want a *net.OpError of ETOOMANYREFS", first)
	}
	if second != nil {
		t.Errorf("the second: %v", second)
	}
}

// limitInFlight has this thread, which is not used again, without the privilege to have more descriptors under way
// than RLIMIT_NOFILE, which is below what is under way from then on.
func limitInFlight(tb testing.TB, fd, through int) (restore func()) {
	tb.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		tb.Error(err)
	}
	data[0].Effective &^= 1<<unix.CAP_SYS_RESOURCE | 1<<unix.CAP_SYS_ADMIN
	if err := unix.Capset(&header, &data[0]); err != nil {
		tb.Error(err)
	}
	const room = 100
	if fds := countDescriptors(tb); fds > room/2 {
		tb.Error("too many descriptors are open")
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		tb.Error(err)
	}
	if err := unix.Sendmsg(through, []byte("x"), unix.UnixRights(slices.Repeat([]int{fd}, room+1)...), nil, 0); err != nil {
		tb.Error(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: room, Max: old.Max}); err != nil {
		tb.Error(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			tb.Error(err)
		}
	}
}

// TestFileNamedLikeAnAbstractName: a sender whose file's name begins with @ is not taken for an abstract name, neither at once
// nor later.
func TestFileNamedLikeAnAbstractName(t *testing.T) {
	fdtest.Check(t)
	t.Chdir(t.TempDir())
	name := abstractName(t)
	victim := rawBind(t, name, unix.SOCK_DGRAM)
	defer unix.Close(victim)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	var answers int
	sender, err := unixsock.ListenDatagram(loop, "./"+name, connection.DatagramFunc(func(*connection.Datagram, []byte, connection.Peer) error {
		if answers++; answers == 2 {
			loop.Stop(nil)
		}
		return nil
	}), unixsock.DatagramListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(name); err != nil {
		t.Errorf("there is no file: %v", err)
	}
	server, err := unixsock.ListenDatagram(loop, "server", connection.DatagramFunc(func(d *connection.Datagram, data []byte, from connection.Peer) error {
		if want := connection.PeerFromPath("./" + name); from != want || connection.PeerFromAddr(sender.Addr()) != want {
			t.Errorf("came from %v, %v, want %v", from, sender.Addr(), want)
		}
		if err := d.WriteTo(data, from); err != nil {
			return err
		}
		return loop.Post(func() {
			if err := d.WriteTo(data, from); err != nil {
				t.Error(err)
				loop.Stop(nil)
			}
		})
	}), unixsock.DatagramListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.WriteTo([]byte("hello"), connection.PeerFromAddr(server.Addr())); err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	if n, _, err := unix.Recvfrom(victim, make([]byte, 10), unix.MSG_DONTWAIT); err == nil {
		t.Errorf("somebody else got %d bytes", n)
	}
}
