//go:build linux

package shmconn_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// TestPeerDied: what was committed before comes whole, and then the typed error, once.
func TestPeerDied(t *testing.T) {
	for name, n := range map[string]int{"short": 100, "long": 2 * tiny} {
		t.Run(name, func(t *testing.T) {
			var server, client lasting
			server.records = nothing
			d := join(t, &server, &client, terms{})
			d.on(func() {
				for _, letter := range []string{"a", "b"} {
					must(t, d.client.Send([]byte(text(n, letter))))
				}
				_, err := d.client.Reserve(n)
				must(t, err) // and never ended
			})
			d.settle()
			d.kill()
			d.settle()
			d.on(func() {
				if server.ended > 0 {
					t.Errorf("closed by %v before all was read", server.cause)
				}
				server.records = nil
				d.server.Resume()
			})
			d.settle()
			d.on(func() {
				expectRecords(t, server.got, text(n, "a"), text(n, "b"))
				expectEnd(t, "server", &server.hooks, shmconn.ErrPeerDied)
				expectEnd(t, "server", &server.hooks, syscall.ECONNRESET)
				if server.eofs > 0 {
					t.Error("HandleEOF of what has not ended orderly")
				}
				d.client.Close() // which lets go of what was reserved
			})
		})
	}
}

// TestPeerDiedWhileWaiting: an end that waits for room, in whatever way, hears that there will never be any.
func TestPeerDiedWhileWaiting(t *testing.T) {
	for name, test := range map[string]*struct {
		server lasting
		begin  func(d *duo) // on the loop
		cause  error
	}{
		"for HandleRoom": {
			begin: func(d *duo) { fill(t, d.server, 100) },
			cause: shmconn.ErrPeerDied,
		},
		"paused": {
			begin: func(d *duo) { d.server.Pause(); fill(t, d.server, 100) },
			cause: shmconn.ErrPeerDied,
		},
		"after the end of the other side": {
			server: lasting{hooks: hooks{room: func(c *shmconn.RecordConn) error { return c.Send(make([]byte, 100)) }}},
			begin:  func(d *duo) { d.client.CloseWrite(); fill(t, d.server, 100) },
			cause:  syscall.EPIPE,
		},
		"for the end of long records": {
			begin: func(d *duo) { fill(t, d.server, 2*tiny) },
			cause: shmconn.ErrPeerDied,
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := &test.server
			client := &lasting{hooks: hooks{records: nothing}}
			d := join(t, server, client, terms{})
			d.on(func() { test.begin(d) })
			d.settle()
			d.on(func() {
				if server.ended > 0 {
					t.Errorf("closed before, by %v", server.cause)
				}
			})
			d.kill()
			d.settle()
			d.on(func() { expectEnd(t, "server", &server.hooks, test.cause) })
		})
	}
}

// TestPeerDiedWhileFull: a handler that has returned ErrFull gets the rest of what its peer had sent, although its answers
// go nowhere, and then the end.
func TestPeerDiedWhileFull(t *testing.T) {
	for name, n := range map[string]int{"short": 100, "long": 2 * tiny} {
		t.Run(name, func(t *testing.T) {
			taken, full := 0, false
			var server hooks
			server.records = shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error {
				err := echo(c, record)
				if errors.Is(err, shmconn.ErrFull) {
					full = true
				} else {
					taken++
				}
				return err
			}).HandleRecords
			client := hooks{records: nothing}
			sent := 0
			client.room = func(c *shmconn.RecordConn) error { sent += fill(t, c, n); return nil }
			d := join(t, &server, &client, terms{})
			d.on(func() { sent += fill(t, d.client, n) })
			d.until("a full ring", func() bool { return full })
			d.settle()
			d.kill()
			d.until("the end", func() bool { return server.ended > 0 })
			d.on(func() {
				expectEnd(t, "server", &server, shmconn.ErrPeerDied) // not EPIPE, though the last answer is told that
				if taken != sent {
					t.Errorf("%d of %d records were taken", taken, sent)
				}
			})
		})
	}
}

// TestWriteToTheDead: what is written to a peer that has died goes nowhere while something that it has sent is left to
// read, so that this is read first, and whoever writes until it is full comes to that. What the peer still holds,
// because it has only closed, stays what it is.
func TestWriteToTheDead(t *testing.T) {
	for name, n := range map[string]int{"short": 100, "a quarter": longest, "long": 2 * tiny} {
		t.Run(name, func(t *testing.T) {
			server := hooks{records: nothing}
			pumping := func(c *shmconn.RecordConn) error {
				for {
					err := c.Send(make([]byte, n))
					if errors.Is(err, shmconn.ErrFull) {
						return nil
					}
					if err != nil {
						return err
					}
				}
			}
			client := hooks{records: nothing}
			d := join(t, &server, &client, terms{})
			var held []byte
			d.on(func() {
				fill(t, d.client, 100)
				must(t, d.server.Send([]byte(text(n, "h"))))
				held, _ = d.client.Next()
			})
			d.settle()
			d.kill()
			d.settle()
			d.on(func() {
				server.room = pumping
				for range 10 {
					fill(t, d.server, n)
				}
				server.records = shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error {
					return errors.Join(server.keep(c, record), pumping(c))
				}).HandleRecords
				d.server.Resume()
			})
			d.until("the end", func() bool { return server.ended > 0 })
			d.on(func() {
				if sent := int(d.client.Transport().Stats().RecordsSent); len(server.got) < sent-1 {
					t.Errorf("%d of %d records have come", len(server.got), sent)
				}
				if string(held) != text(n, "h") {
					t.Error("what the peer holds has changed")
				}
				d.client.Release()
				if !errors.Is(server.cause, shmconn.ErrPeerDied) && !errors.Is(server.cause, syscall.EPIPE) {
					t.Errorf("closed by %v", server.cause)
				}
			})
		})
	}
}
