//go:build linux

package connection_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// slow is an attempt that is decided when it is told.
type slow struct {
	fds     [2]int
	socket  *connection.Socket
	started bool
}

func newSlow(tb testing.TB) *slow {
	tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(fds[1]) })
	for err == nil { // a socket whose buffer is full isn't writable
		_, err = unix.Write(fds[0], make([]byte, 1<<16))
	}
	a := &slow{fds: fds}
	if a.socket, err = connection.NewSocket(fds[0]); err != nil {
		tb.Fatal(err)
	}
	return a
}

func (a *slow) attempt() (*connection.Socket, error) {
	a.started = true
	return a.socket, sys.ErrInProgress
}

// succeed makes the socket writable.
func (a *slow) succeed() {
	var err error
	for err == nil {
		_, err = unix.Read(a.fds[1], make([]byte, 1<<16))
	}
}

// TestConnectSideBySide: an attempt that takes long goes on beside the next ones and may still win.
func TestConnectSideBySide(t *testing.T) {
	fdtest.Check(t)
	first, second := newSlow(t), newSlow(t)
	const delay = 20 * time.Millisecond
	began := time.Now()
	o := connect(t, connection.Connect{AttemptDelay: delay, Attempts: []connection.Attempt{
		first.attempt,
		second.attempt,
		func() (*connection.Socket, error) {
			if took := time.Since(began); took < 2*delay || !first.started || !second.started {
				t.Errorf("the third began after %v", took)
			}
			first.succeed()
			return nil, errTest // also a failure doesn't end those that go on
		},
	}})
	if o.err != nil || o.transport != first.socket {
		t.Errorf("connected %v, %v, want the first", o.transport, o.err)
	}
}

// TestConnectFailsAtOnce: nobody waits for AttemptDelay when an attempt has failed.
func TestConnectFailsAtOnce(t *testing.T) {
	l := listenTCP(t)
	defer l.Close()
	began := time.Now()
	o := connect(t, connection.Connect{AttemptDelay: time.Hour, Timeout: time.Hour, Attempts: []connection.Attempt{
		connection.TCPAttempt(closedPort(t), nil), connection.TCPAttempt(closedPort(t), nil), connection.TCPAttempt(addrPort(l), nil),
	}})
	if took := time.Since(began); o.err != nil || took > looptest.Patience {
		t.Errorf("%v after %v", o.err, took)
	}
}

// TestConnectSideBySideTimeout: at the end of the time all of those that go on have failed, and are named.
func TestConnectSideBySideTimeout(t *testing.T) {
	fdtest.Check(t)
	first, second := blackHole(t), blackHole(t)
	o := connect(t, connection.Connect{AttemptDelay: 5 * time.Millisecond, Timeout: 50 * time.Millisecond, Attempts: []connection.Attempt{
		connection.TCPAttempt(first, nil), connection.TCPAttempt(closedPort(t), nil), connection.TCPAttempt(second, nil),
	}})
	if !errors.Is(o.err, connection.ErrDialTimeout) || !errors.Is(o.err, syscall.ECONNREFUSED) {
		t.Errorf("failed with %v", o.err)
	}
	late := map[string]bool{}
	for _, e := range dialErrors(o.err) {
		if errors.Is(e, connection.ErrDialTimeout) {
			late[e.Addr.String()] = true
		}
	}
	if len(late) != 2 || !late[first.String()] || !late[second.String()] {
		t.Errorf("failed with %v, want both %v and %v named", o.err, first, second)
	}
}

// TestConnectSideBySideCancel: all that goes on is released.
func TestConnectSideBySideCancel(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	first, second := newSlow(t), newSlow(t)
	var cancel func()
	cancel, err := connection.Connect{AttemptDelay: time.Millisecond, Attempts: []connection.Attempt{
		first.attempt, second.attempt,
		func() (*connection.Socket, error) {
			_ = loop.Post(cancel)
			return nil, errTest
		},
	}}.Dial(loop, func(connection.Transport, error) { t.Error("done was called") })
	if err != nil {
		t.Fatal(err)
	}
	run(t, loop)
	if first.socket.FD() != sys.NoFD || second.socket.FD() != sys.NoFD {
		t.Error("a socket is still open")
	}
}
