//go:build linux

package shmconn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// clerk answers GREET, and LATER when it is told to.
type clerk struct {
	path  string
	later chan *connection.MessageConn
	stop  func()
}

// start has it listen, until stop.
func (c *clerk) start(tb testing.TB) {
	tb.Helper()
	mux := dispatcher.New(dispatcher.Config{})
	mux.HandleFunc("GREET", func(from message.Sender, m *message.Message) error {
		return from.(*connection.MessageConn).Send(message.New("HELLO").Set("name", m.Get("name")))
	})
	mux.HandleFunc("LATER", func(from message.Sender, _ *message.Message) error {
		c.later <- from.(*connection.MessageConn)
		return nil
	})
	loop, _ := looptest.New(tb)
	if _, err := shmconn.Listen(loop, c.path, connection.Messages(mux, connection.MessageConfig{}), shmconn.ListenConfig{}); err != nil {
		tb.Fatal(err)
	}
	ended := begun(func() (int, error) { return 0, loop.Run(context.Background()) })
	c.stop = func() {
		loop.Stop(nil)
		if _, err := ended(tb, "the end of the loop"); err != nil {
			tb.Error(err)
		}
	}
}

// greets holds that a client's call is answered.
func greets(tb testing.TB, client *connection.Blocking, name string) {
	tb.Helper()
	reply, err := client.Call(tb.Context(), message.New("GREET").Set("name", name))
	if err != nil || reply.Get("name") != name {
		tb.Errorf("greeted by %v, %v; want %s", reply, err, name)
	}
}

// TestDialConnBlocking: connection.Blocking runs over a ring.
func TestDialConnBlocking(t *testing.T) {
	fdtest.Check(t)
	c := &clerk{path: ringPath(t), later: make(chan *connection.MessageConn, 1)}
	c.start(t)
	defer func() { c.stop() }()
	dials := 0
	client := connection.NewBlocking(func(ctx context.Context) (io.ReadWriteCloser, error) {
		dials++
		return shmconn.Dialer{Path: c.path}.DialConn(ctx)
	}, connection.BlockingConfig{})
	defer client.Close()
	expectDials := func(what string, want int) {
		t.Helper()
		if dials != want {
			t.Errorf("%s: dialled %d times, want %d", what, dials, want)
		}
	}
	calls := func(ctx context.Context) func() (int, error) {
		return func() (int, error) {
			reply, err := client.Call(ctx, message.New("LATER"))
			if err == nil && reply.Command() != "NOW" {
				err = fmt.Errorf("the reply is %v", reply)
			}
			return 0, err
		}
	}
	for i := range 100 {
		greets(t, client, fmt.Sprint("number ", i))
	}
	expectDials("calls", 1)

	// A reply that comes late.
	called := begun(calls(t.Context()))
	from := looptest.Await(t, c.later, "the request")
	looptest.Do(t, from.Stream().Loop(), func() {
		if err := from.Send(message.New("NOW")); err != nil {
			t.Error(err)
		}
	})
	if _, err := called(t, "Call"); err != nil {
		t.Error(err)
	}
	expectDials("a late reply", 1)

	// One that comes too late is not taken for that of the next call.
	ctx, cancel := context.WithCancel(t.Context())
	called = begun(calls(ctx))
	from = looptest.Await(t, c.later, "the request")
	cancel()
	if _, err := called(t, "Call"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	looptest.Do(t, from.Stream().Loop(), func() { _ = from.Send(message.New("NOW")) }) // it may know that nobody listens
	greets(t, client, "Ada")
	expectDials("a call that was given up", 2)

	// What is sent without a reply.
	if err := client.Send(t.Context(), message.New("LATER")); err != nil {
		t.Error(err)
	}
	_ = looptest.Await(t, c.later, "what was sent")
	greets(t, client, "Bea")
	expectDials("Send", 2)

	// A service that goes away in the middle of a call, and comes back.
	called = begun(calls(t.Context()))
	_ = looptest.Await(t, c.later, "the request")
	c.stop()
	if _, err := called(t, "Call"); err == nil {
		t.Error("a call was answered by nobody")
	}
	if _, err := client.Call(t.Context(), message.New("GREET")); !errors.Is(err, connection.ErrNotSent) {
		t.Errorf("without a service: %v", err)
	}
	c.start(t)
	greets(t, client, "Cid")
	expectDials("a service that came back", 4)

	// Close ends a call.
	called = begun(calls(t.Context()))
	_ = looptest.Await(t, c.later, "the request")
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if _, err := called(t, "Call"); !errors.Is(err, connection.ErrClosed) {
		t.Error(err)
	}
}

// BenchmarkDialConn is a round trip of 64 bytes within one process: over a ring, and over a Unix socket with package net.
func BenchmarkDialConn(b *testing.B) {
	for name, dial := range map[string]func(b *testing.B) (net.Conn, error){
		"ring": func(b *testing.B) (net.Conn, error) {
			d, _ := servesBytes(b, echoStream)
			return d.DialConn(b.Context())
		},
		"unix": func(b *testing.B) (net.Conn, error) {
			loop, _ := runs(b)
			path := ringPath(b)
			looptest.Do(b, loop, func() {
				if _, err := unixsock.Listen(loop, path, connection.Streams(echoStream, connection.StreamConfig{}), unixsock.ListenConfig{}); err != nil {
					b.Error(err)
				}
			})
			return new(net.Dialer).DialContext(b.Context(), "unix", path)
		},
	} {
		b.Run(name, func(b *testing.B) {
			conn, err := dial(b)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			b.ReportAllocs()
			p := make([]byte, 64)
			for b.Loop() {
				if _, err := conn.Write(p); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(conn, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
