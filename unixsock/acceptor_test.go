//go:build linux

package unixsock_test

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

var _ interface {
	connection.Acceptor
	io.Closer
	Addr() net.Addr
} = (*unixsock.Acceptor)(nil)

// TestPacketAcceptor: each Read and Write of what it accepts is one packet, it never blocks, and its file goes with it.
func TestPacketAcceptor(t *testing.T) {
	fdtest.Check(t)
	path := socketPath(t)
	a, err := unixsock.NewPacketAcceptor(path, unixsock.ListenConfig{Mode: 0o640})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeSocket|0o640 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if got := a.Addr(); got.String() != path {
		t.Errorf("the address is %v", got)
	}
	if c, err := a.Accept(); err != connection.ErrWouldBlock { //nolint:errorlint // by contract the sentinel itself
		t.Errorf("with nobody there: %v, %v", c, err)
	}
	peer, err := net.Dial("unixpacket", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close() }()
	c, err := a.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two"} {
		if _, err := peer.Write([]byte(text)); err != nil {
			t.Error(err)
		}
		if n, err := c.Write([]byte("more than " + text)); n != 13 || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
	}
	b := make([]byte, 100)
	for _, text := range []string{"one", "two"} {
		if n, err := c.Read(b); string(b[:n]) != text || err != nil {
			t.Errorf("Read: %q, %v", b[:n], err)
		}
		if n, err := peer.Read(b); string(b[:n]) != "more than "+text || err != nil {
			t.Errorf("the peer reads %q, %v", b[:n], err)
		}
	}
	if n, err := c.Read(b); n != 0 || err != connection.ErrWouldBlock { //nolint:errorlint // by contract the sentinel itself
		t.Errorf("Read with nothing there: %d, %v", n, err)
	}
	if _, ok := c.(*connection.Socket); !ok {
		t.Errorf("it is a %T", c)
	}
	if err := errors.Join(c.Close(), a.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
}

// TestPacketAcceptorDescriptors: who sends some is told that they aren't taken, unless they are.
func TestPacketAcceptorDescriptors(t *testing.T) {
	fdtest.Check(t)
	for _, allowed := range []int{0, 2} {
		path := socketPath(t)
		a, err := unixsock.NewPacketAcceptor(path, unixsock.ListenConfig{Descriptors: allowed})
		if err != nil {
			t.Fatal(err)
		}
		peer, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Net: "unixpacket", Name: path})
		if err != nil {
			t.Fatal(err)
		}
		c, err := a.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = peer.WriteMsgUnix([]byte("x"), unix.UnixRights(0), nil)
		switch {
		case allowed > 0 && err != nil:
			t.Errorf("allowed: %v", err)
		case allowed == 0 && err == nil:
			t.Log("before Linux 6.16 nobody is told")
		case allowed == 0 && !errors.Is(err, syscall.EPERM):
			t.Errorf("not allowed: %v", err)
		}
		if err := errors.Join(peer.Close(), c.Close(), a.Close()); err != nil {
			t.Error(err)
		}
	}
}

// TestPacketAcceptorErrors: what it replaces, and what it doesn't, with errors that say where.
func TestPacketAcceptorErrors(t *testing.T) {
	fdtest.Check(t)
	used := socketPath(t)
	a, err := unixsock.NewPacketAcceptor(used, unixsock.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		used:                      syscall.EADDRINUSE,
		t.TempDir() + "/no/where": fs.ErrNotExist,
	} {
		other, err := unixsock.NewPacketAcceptor(path, unixsock.ListenConfig{})
		var opError *net.OpError
		if other != nil || !errors.Is(err, want) || !errors.As(err, &opError) || opError.Op != "listen" || opError.Net != "unixpacket" ||
			opError.Addr.String() != path {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	stale := socketPath(t)
	if err := unix.Close(rawBind(t, stale, unix.SOCK_SEQPACKET)); err != nil {
		t.Fatal(err)
	}
	if a, err = unixsock.NewPacketAcceptor(stale, unixsock.ListenConfig{}); err != nil {
		t.Fatalf("what a process has left behind: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// TestPacketAcceptorListens: a Listener takes it, and closes it.
func TestPacketAcceptorListens(t *testing.T) {
	fdtest.Check(t)
	path := socketPath(t)
	loop, _ := looptest.New(t)
	a, err := unixsock.NewPacketAcceptor(path, unixsock.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var l *connection.Listener
	served := 0
	l, err = connection.NewListener(loop, a, func(_ connection.Loop, c connection.Transport) error {
		if served++; served == 2 {
			l.Close()
		}
		return c.Close()
	}, connection.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		peer, err := net.Dial("unixpacket", path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = peer.Close() }()
	}
	looptest.Run(t, loop)
	if _, err := os.Lstat(path); served != 2 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%d connections were served; the file: %v", served, err)
	}
}
