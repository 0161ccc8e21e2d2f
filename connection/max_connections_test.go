//go:build linux

package connection_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestMaxConnections: never more than so many are open, nobody is turned away, and each who waits gets his turn.
func TestMaxConnections(t *testing.T) {
	fdtest.Check(t)
	const n, limit = 12, 3
	loop, log := looptest.New(t)
	l := listenTCP(t)
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = dial(t, l.Addr())
	}
	var listener *connection.Listener
	most := 0
	listener = listenOn(t, loop, l, func(loop connection.Loop, transport connection.Transport) error {
		most = max(most, listener.Open())
		return greet(loop, transport)
	}, connection.ListenConfig{Name: "the listener", MaxConnections: limit})
	ended := start(t, loop)
	for _, conn := range conns {
		expect(t, conn, "welcome")
		expectEnd(t, conn)
		_ = conn.Close()
	}
	looptest.Do(t, loop, listener.Close)
	looptest.Await(t, ended, "the end of the loop")
	if most != limit || listener.Accepted() != n || listener.Refused() != 0 {
		t.Errorf("at most %d open, %d accepted, %d refused", most, listener.Accepted(), listener.Refused())
	}
	if listener.Open() != 0 || listener.Waits() == 0 {
		t.Errorf("%d open, waited %d times", listener.Open(), listener.Waits())
	}
	if found := log.Containing("the listener"); len(found) != 1 || !strings.HasPrefix(found[0], "WARN accepting waits") {
		t.Errorf("logged %q, want one warning", found)
	}
}

// full makes a listener that takes one connection, which stays, and has another one waiting.
type full struct {
	listener *connection.Listener
	first    net.Conn
	second   net.Conn
	streams  []*connection.Stream
	served   chan *connection.Stream
}

func newFull(tb testing.TB, loop connection.Loop, serve connection.Serve) *full {
	tb.Helper()
	f := &full{served: make(chan *connection.Stream, 10)}
	if serve == nil {
		serve = connection.Streams(&handler{open: func(s *connection.Stream) error {
			f.streams = append(f.streams, s)
			f.served <- s
			return nil
		}, data: func(s *connection.Stream, data []byte) (int, error) { return s.Write(data) }}, connection.StreamConfig{})
	}
	l := listenTCP(tb)
	f.first, f.second = dial(tb, l.Addr()), dial(tb, l.Addr())
	f.listener = listenOn(tb, loop, l, serve, connection.ListenConfig{MaxConnections: 1})
	return f
}

// TestMaxConnectionsIdle: a full listener isn't watched, so what waits for it costs nothing.
func TestMaxConnectionsIdle(t *testing.T) {
	loop, _ := looptest.New(t)
	f := newFull(t, loop, nil)
	start(t, loop)
	looptest.Await(t, f.served, "the first connection")
	const rounds = 20
	var before communicator.Stats
	for i := range rounds + 1 {
		if _, err := io.WriteString(f.first, "ping"); err != nil {
			t.Fatal(err)
		}
		expect(t, f.first, "ping")
		if i == 0 {
			looptest.Do(t, loop, func() { before = loop.Stats() })
		}
	}
	looptest.Do(t, loop, func() {
		if turns := loop.Stats().Turns - before.Turns; turns > 2*rounds+2 {
			t.Errorf("%d turns for %d pings", turns, rounds)
		}
		if f.listener.Handle().Interest() != communicator.Nothing || f.listener.Waits() != 1 || f.listener.Open() != 1 {
			t.Errorf("wants %v, has waited %d times, %d open", f.listener.Handle().Interest(), f.listener.Waits(), f.listener.Open())
		}
		f.streams[0].Abort(nil)
	})
	looptest.Await(t, f.served, "the second connection")
}

// TestMaxConnectionsDisabled: a place that becomes free while the listener is switched off is taken later.
func TestMaxConnectionsDisabled(t *testing.T) {
	loop, _ := looptest.New(t)
	f := newFull(t, loop, nil)
	start(t, loop)
	looptest.Await(t, f.served, "the first connection")
	looptest.Do(t, loop, func() {
		f.listener.Handle().SetEnabled(false)
		f.streams[0].Abort(nil)
	})
	expectEnd(t, f.first)
	for range 5 {
		looptest.Do(t, loop, func() {
			if f.listener.Accepted() != 1 || f.listener.Open() > 1 {
				t.Errorf("%d accepted, %d open", f.listener.Accepted(), f.listener.Open())
			}
		})
	}
	looptest.Do(t, loop, func() { f.listener.Handle().SetEnabled(true) })
	looptest.Await(t, f.served, "the second connection")
}

// TestMaxConnectionsClose: a full listener can be closed, and its connections live on.
func TestMaxConnectionsClose(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	f := newFull(t, loop, nil)
	ended := start(t, loop)
	looptest.Await(t, f.served, "the first connection")
	looptest.Do(t, loop, f.listener.Close)
	expectEnd(t, f.second) // it was in the backlog
	if _, err := io.WriteString(f.first, "ping"); err != nil {
		t.Fatal(err)
	}
	expect(t, f.first, "ping")
	_ = f.first.Close()
	looptest.Await(t, ended, "the end of the loop")
	if f.listener.Open() != 0 || f.listener.Accepted() != 1 {
		t.Errorf("%d open, %d accepted", f.listener.Open(), f.listener.Accepted())
	}
}

// TestMaxConnectionsLoopEnds: the connections of a loop that has ended needn't wake anybody.
func TestMaxConnectionsLoopEnds(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	taken := make(chan connection.Transport, 1)
	f := newFull(t, loop, func(_ connection.Loop, transport connection.Transport) error {
		taken <- transport
		return nil
	})
	ended := start(t, loop)
	transport := looptest.Await(t, taken, "the first connection")
	looptest.Do(t, loop, func() { loop.Stop(nil) })
	looptest.Await(t, ended, "the end of the loop")
	if f.listener.Open() != 1 {
		t.Errorf("%d open", f.listener.Open())
	}
	if err := transport.Close(); err != nil || f.listener.Open() != 0 {
		t.Errorf("Close: %v, %d open", err, f.listener.Open())
	}
}

// TestMaxConnectionsElsewhere: connections count wherever they are closed: by a goroutine, in another loop, behind
// a layer of somebody's own, or by who turns them down.
func TestMaxConnectionsElsewhere(t *testing.T) {
	const n, limit = 40, 2
	other, _ := looptest.New(t)
	keeper, err := other.Add(idle{}, communicator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	otherEnded := start(t, other)
	for name, serve := range map[string]connection.Serve{
		"goroutine": func(_ connection.Loop, transport connection.Transport) error {
			go func() { _ = transport.Close() }()
			return nil
		},
		"loop": func(_ connection.Loop, transport connection.Transport) error {
			return other.Post(func() { _ = greet(other, transport) })
		},
		"layer": func(loop connection.Loop, transport connection.Transport) error {
			return greet(loop, layered{transport})
		},
		"turned down": func(_ connection.Loop, transport connection.Transport) error {
			return errors.Join(errTest, transport.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			fdtest.Check(t)
			loop := looptest.NewLogging(t, slog.DiscardHandler)
			l := listenTCP(t)
			conns := make([]net.Conn, n)
			for i := range conns {
				conns[i] = dial(t, l.Addr())
			}
			var listener *connection.Listener
			listener = listenOn(t, loop, l, func(loop connection.Loop, transport connection.Transport) error {
				if open := listener.Open(); open > limit {
					t.Errorf("%d open", open)
				}
				return serve(loop, transport)
			}, connection.ListenConfig{MaxConnections: limit})
			ended := start(t, loop)
			for _, conn := range conns {
				expectEnd(t, conn)
				_ = conn.Close()
			}
			looptest.Do(t, loop, func() {
				if listener.Accepted() != n {
					t.Errorf("%d accepted", listener.Accepted())
				}
				listener.Close()
			})
			looptest.Await(t, ended, "the end of the loop")
		})
	}
	looptest.Do(t, other, func() { keeper.Remove(nil) })
	looptest.Await(t, otherEnded, "the end of the other loop")
}

// idle keeps a loop running.
type idle struct{}

func (idle) FD() int { return communicator.NoFD }

func (idle) HandleTimeout(*communicator.Handle) error { return nil }

// layered is a transport on a transport.
type layered struct{ connection.Transport }

// TestMaxConnectionsQueueFull: a loop that takes no posted functions is asked again.
func TestMaxConnectionsQueueFull(t *testing.T) {
	loop, err := communicator.New(communicator.Config{MaxPosted: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer loop.Close()
	var listener *connection.Listener
	f := newFull(t, loop, func(_ connection.Loop, transport connection.Transport) error {
		if listener.Accepted() > 1 {
			listener.Close()
			return transport.Close()
		}
		// When the listener has found itself full: in the turn that the function is run in.
		return loop.Post(func() {
			if err := loop.Post(func() {}); err != nil {
				t.Error(err)
			}
			if err := loop.Post(func() {}); !errors.Is(err, communicator.ErrQueueFull) {
				t.Errorf("Post: %v", err)
			}
			_ = transport.Close()
		})
	})
	listener = f.listener
	run(t, loop)
	if listener.Accepted() != 2 || listener.Waits() != 1 || listener.Open() != 0 {
		t.Errorf("%d accepted, waited %d times, %d open", listener.Accepted(), listener.Waits(), listener.Open())
	}
}

// TestMaxConnectionsAndShortage: a shortage of descriptors below the limit, and the limit after it.
func TestMaxConnectionsAndShortage(t *testing.T) {
	calls := 0
	hookAccept(t, func(int) error {
		if calls++; calls == 2 { // the third takes whom the reserve refuses
			return acceptError(syscall.EMFILE)
		}
		return nil
	})
	loop, _ := looptest.New(t)
	l := listenTCP(t)
	conns := make([]net.Conn, 4)
	for i := range conns {
		conns[i] = dial(t, l.Addr())
		_ = conns[i].(*net.TCPConn).CloseWrite()
	}
	var listener *connection.Listener
	served := 0
	listener = listenOn(t, loop, l, func(loop connection.Loop, transport connection.Transport) error {
		if open := listener.Open(); open > 2 {
			t.Errorf("%d open", open)
		}
		if served++; served == len(conns)-1 {
			listener.Close()
		}
		return greet(loop, transport)
	}, connection.ListenConfig{MaxConnections: 2})
	run(t, loop)
	if listener.Accepted() != 3 || listener.Refused() != 1 || listener.Open() != 0 {
		t.Errorf("%d accepted, %d refused, %d open", listener.Accepted(), listener.Refused(), listener.Open())
	}
	for i, conn := range conns {
		if b, _ := io.ReadAll(conn); (len(b) > 0) == (i == 1) {
			t.Errorf("connection %d got %q", i, b)
		}
	}
}

// TestMaxConnectionsNotCounted: a limit that nobody would keep is an error.
func TestMaxConnectionsNotCounted(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	a := &acceptor{pieces: newPieces(t)}
	if _, err := connection.NewListener(loop, a, greet, connection.ListenConfig{MaxConnections: 1}); !errors.Is(err, connection.ErrNotCounted) || a.closed != 1 {
		t.Errorf("NewListener: %v, the acceptor was closed %d times", err, a.closed)
	}
	if err := loop.Run(context.Background()); err != nil {
		t.Errorf("Run: %v", err)
	}
}
