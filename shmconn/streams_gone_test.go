//go:build linux

package shmconn_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// transports connects two ends without any layer on them.
func transports(t *testing.T) (h *home, server, client *shmconn.Transport) {
	t.Helper()
	nothingMapped(t)
	h = newHome(t)
	path := ringPath(t)
	ring := shmconn.Config{Capacity: tiny}
	h.on(func() {
		_, err := shmconn.Listen(h.Communicator, path, func(_ connection.Loop, t connection.Transport) error {
			server = t.(*shmconn.Transport)
			return nil
		}, shmconn.ListenConfig{Ring: ring})
		must(t, err)
		_, err = shmconn.Dialer{Path: path, Ring: ring}.Dial(h.Communicator, func(made connection.Transport, err error) {
			must(t, err)
			client = made.(*shmconn.Transport)
		})
		must(t, err)
	})
	h.until("the connection", func() bool { return server != nil && client != nil })
	return h, server, client
}

// isBlocked holds that nothing was read or written, by the sentinel itself.
func isBlocked(t *testing.T, what string, n int, err error) {
	t.Helper()
	if n != 0 || err != connection.ErrWouldBlock { //nolint:errorlint // the sentinel itself
		t.Errorf("%s: %d, %v", what, n, err)
	}
}

// TestTransportToTheDead: while something that a dead peer has sent is left to read nothing can be written, and that is
// no error, so that it is read; then it is.
func TestTransportToTheDead(t *testing.T) {
	h, server, client := transports(t)
	announced := 0
	h.on(func() {
		server.Announce(func() { announced++ })
		n, err := client.Write([]byte("last words"))
		if n != 10 || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
		must(t, unix.Shutdown(client.Socket().FD(), unix.SHUT_RDWR))
		if server.Gone() {
			t.Error("gone before the loop has heard of it")
		}
	})
	h.until("the announcement", func() bool { return announced > 0 })
	h.on(func() {
		b := make([]byte, 5)
		for _, text := range []string{"last ", "words"} {
			n, err := server.Write([]byte("x"))
			isBlocked(t, "Write with something unread", n, err)
			if !server.Gone() || !server.Readable() {
				t.Errorf("gone: %v, readable: %v", server.Gone(), server.Readable())
			}
			if n, err := server.Read(b); string(b[:n]) != text || err != nil {
				t.Errorf("Read: %q, %v", b[:n], err)
			}
		}
		for range 2 {
			n, err := server.Write([]byte("x"))
			isOp(t, "Write", err, "write", syscall.EPIPE)
			if n != 0 {
				t.Errorf("Write: %d", n)
			}
		}
		if s := server.Stats(); s.RecordsSent != 0 || s.BytesSent != 0 {
			t.Errorf("%+v", s)
		}
		n, err := client.Read(b) // which has heard the same, and was not really dead
		if isOp(t, "Read", err, "read", shmconn.ErrPeerDied); n != 0 {
			t.Errorf("%d bytes were written to the dead", n)
		}
		for range 2 {
			_, err = server.Read(b)
			isOp(t, "Read", err, "read", shmconn.ErrPeerDied)
		}
		must(t, errors.Join(server.Close(), client.Close()))
	})
}

// TestTransportClosed: nothing that is done with it afterwards touches what isn't there any more.
func TestTransportClosed(t *testing.T) {
	h, server, client := transports(t)
	h.on(func() {
		for range 2 {
			must(t, server.Close())
			_, err := server.Read(make([]byte, 5))
			isOp(t, "Read", err, "read", net.ErrClosed)
			_, err = server.Write([]byte("x"))
			isOp(t, "Write", err, "write", net.ErrClosed)
			if !server.Readable() {
				t.Error("nothing to say")
			}
			must(t, errors.Join(server.CloseWrite(), server.Flush()))
			server.Rest()
		}
		n, err := client.Read(make([]byte, 5))
		if n != 0 || err != io.EOF { //nolint:errorlint // the sentinel itself
			t.Errorf("the peer reads %d, %v", n, err)
		}
		must(t, client.Close())
	})
}

// TestStreamToTheDead: what a paused stream writes to a peer that has died waits, within the limit, until the rest of what
// that had sent is read; then the stream ends with the death.
func TestStreamToTheDead(t *testing.T) {
	const most = 5000
	for name, more := range map[string]bool{"within the limit": false, "beyond the limit": true} {
		t.Run(name, func(t *testing.T) {
			server := &flow{open: func(s *connection.Stream) { s.Pause() }}
			client := &flow{}
			h := current(t, tiny, server, client, connection.StreamConfig{MaxOutput: most, HighWater: most})
			sent := make([]byte, tiny/2)
			pattern(sent, 1)
			h.on(func() {
				_, err := client.stream.Write(sent)
				must(t, err)
				dies(t, client.stream)
			})
			h.settle()
			h.on(func() {
				for range most / 100 {
					_, err := server.stream.Write(make([]byte, 100))
					must(t, err)
				}
				if s := server.stream; s.QueuedBytes() != most || s.Sent() != 0 {
					t.Errorf("%d bytes wait, and %d were sent to nobody", s.QueuedBytes(), s.Sent())
				}
			})
			h.settle()
			var before uint64
			h.on(func() { before = h.Stats().Callbacks })
			h.settle()
			h.on(func() {
				if n := h.Stats().Callbacks - before; n > 30 { // those of settle
					t.Errorf("%d callbacks while it is paused", n)
				}
				if server.ended > 0 {
					t.Errorf("closed by %v", server.cause)
				}
				if more {
					if _, err := server.stream.Write(make([]byte, 1)); !errors.Is(err, connection.ErrOutputLimit) {
						t.Errorf("Write beyond the limit: %v", err)
					}
					return
				}
				server.stream.Resume()
			})
			h.until("the end", func() bool { return server.ended > 0 })
			h.on(func() {
				if more {
					if !errors.Is(server.cause, connection.ErrOutputLimit) {
						t.Errorf("closed by %v", server.cause)
					}
				} else {
					isOp(t, "HandleClose", server.cause, "read", shmconn.ErrPeerDied)
					if !bytes.Equal(server.got, sent) {
						t.Errorf("%d of %d bytes were read, or others", len(server.got), len(sent))
					}
				}
				client.stream.Abort(nil)
			})
			h.settle()
		})
	}
}

// TestStreamToTheEnded: a stream with output for a peer that has closed in good order ends when it has read that, and
// doesn't wait for what can't be written any more.
func TestStreamToTheEnded(t *testing.T) {
	server := &flow{open: func(s *connection.Stream) { s.Pause() }}
	client := &flow{}
	h := current(t, tiny, server, client, connection.StreamConfig{CloseTimeout: time.Hour})
	h.on(func() {
		_, err := client.stream.Write([]byte("bye"))
		must(t, err)
		client.stream.Abort(nil)
	})
	h.settle()
	h.on(func() {
		_, err := server.stream.Write([]byte("too late"))
		must(t, err)
		server.stream.Resume()
	})
	h.until("the end", func() bool { return server.ended > 0 })
	h.on(func() {
		if string(server.got) != "bye" {
			t.Errorf("read %q", server.got)
		}
		isOp(t, "HandleClose", server.cause, "write", syscall.EPIPE)
	})
}

// TestStreamPaused: a stream that pauses lets a writer know of the room that there is, though that is less than half.
func TestStreamPaused(t *testing.T) {
	const capacity, more = 8 * communicator.BufferSize, communicator.BufferSize / 2
	server := &flow{}
	server.data = func(s *connection.Stream, data []byte) (int, error) {
		server.got = append(server.got, data...)
		s.Pause()
		return len(data), nil
	}
	client := &flow{}
	h := current(t, capacity, server, client, connection.StreamConfig{})
	h.on(func() {
		piece := make([]byte, capacity/128) // the longer they are the more of them a reader may be in the middle of
		for n := 0; n < capacity+more; n += len(piece) {
			_, err := client.stream.Write(piece)
			must(t, err)
		}
		if client.stream.QueuedBytes() == 0 {
			t.Error("it is not full")
		}
	})
	h.until("data", func() bool { return len(server.got) > 0 })
	if n := len(server.got); n < 2*more || n >= capacity/2 {
		t.Errorf("%d bytes were read at once: that is no test", n)
	}
	h.until("room", func() bool { return client.stream.QueuedBytes() == 0 })
}

// TestPermanentToTheDead: what a Permanent is given after the death of its peer, while something that this had sent is
// unread, is delivered to the next: over a ring as over a Unix socket.
func TestPermanentToTheDead(t *testing.T) {
	const count = 10
	for _, kind := range []string{"unix", "shm"} {
		t.Run(kind, func(t *testing.T) {
			h := newHome(t)
			path := ringPath(t)
			var got []string
			var servers []*connection.MessageConn
			take := message.HandlerFunc(func(_ message.Sender, m *message.Message) error {
				got = append(got, m.Get("number"))
				return nil
			})
			serve := func(loop connection.Loop, transport connection.Transport) error {
				c, err := connection.NewMessageConn(loop, transport, take, connection.MessageConfig{Closed: func(*connection.MessageConn, error) {}})
				if err != nil {
					return err
				}
				servers = append(servers, c)
				for range 2000 {
					must(t, c.Send(message.New("DATA").Set("text", "more than is read at once")))
				}
				return nil
			}
			var p *connection.Permanent
			config := connection.PermanentConfig{OnDown: func(*connection.Permanent, error) {}}
			config.Message.Opened = func(c *connection.MessageConn) error {
				if len(servers) < 2 && p.Connections() == 1 {
					c.Stream().Pause()
				}
				return nil
			}
			ignore := message.HandlerFunc(func(message.Sender, *message.Message) error { return nil })
			h.on(func() {
				var err error
				var d connection.Dialer = shmconn.Dialer{Path: path}
				if kind == "unix" {
					d = unixsock.Dialer{Path: path}
					_, err = unixsock.Listen(h.Communicator, path, serve, unixsock.ListenConfig{})
				} else {
					_, err = shmconn.Listen(h.Communicator, path, serve, shmconn.ListenConfig{})
				}
				must(t, err)
				p, err = connection.NewPermanent(h.Communicator, d, ignore, config)
				must(t, err)
			})
			h.until("the connection", func() bool { return p.Up() && len(servers) == 1 })
			h.settle()
			h.on(func() {
				s := servers[0].Stream()
				if kind == "unix" {
					s.Handle().SetEnabled(false)
					must(t, unix.Shutdown(s.Transport().FD(), unix.SHUT_RDWR))
				} else {
					dies(t, s)
				}
			})
			h.settle()
			var want []string
			h.on(func() {
				if !p.Up() || p.Connections() != 1 {
					t.Errorf("up: %v, %d connections: that is no test", p.Up(), p.Connections())
				}
				for i := range count {
					want = append(want, string(rune('0'+i)))
					must(t, p.Send(message.New("LATER").Set("number", want[i])))
				}
				p.Conn().Stream().Resume()
			})
			h.until("the next connection", func() bool { return p.Up() && p.Connections() == 2 && len(servers) == 2 })
			h.settle()
			h.on(func() {
				expectRecords(t, got, want...)
				servers[0].Stream().Abort(nil)
				p.Abort(nil)
			})
			h.settle()
		})
	}
}
