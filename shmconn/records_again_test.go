//go:build linux

package shmconn_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// TestAnswersInTurns: a handler that has taken a request, and is stopped by a full ring in the middle of its many
// answers, is called again though nothing more comes.
func TestAnswersInTurns(t *testing.T) {
	const many = 1000
	calls, left := 0, 0
	var server, client hooks
	server.records = func(c *shmconn.RecordConn) error {
		calls++
		for {
			for ; left > 0; left-- {
				if err := c.Send([]byte(fmt.Sprintf("%99d", left))); err != nil {
					return err
				}
			}
			if _, ok := c.Next(); !ok {
				return nil
			}
			c.Release()
			left = many
		}
	}
	d := join(t, &server, &client, terms{})
	for round := range 3 {
		d.on(func() { must(t, d.client.Send([]byte("request"))) })
		d.until("all answers", func() bool { return len(client.got) >= (round+1)*many || server.ended > 0 })
	}
	d.settle()
	d.on(func() {
		must(t, server.cause)
		if len(client.got) != 3*many || client.got[many-1] != fmt.Sprintf("%99d", 1) {
			t.Errorf("%d answers", len(client.got))
		}
		if most := 3 * many / 10; calls < 3 || calls > most { // it isn't asked all the time
			t.Errorf("%d calls", calls)
		}
	})
}

// anotherFull is a connection whose ring is full; d runs on its loop.
func anotherFull(t *testing.T) *duo {
	t.Helper()
	d := join(t, &hooks{records: nothing}, &hooks{}, terms{})
	d.on(func() { fill(t, d.client, 100) })
	d.settle()
	return d
}

// TestFullOfAnotherReturned: ErrFull of another connection can't be waited for here. It ends the connection, and doesn't
// let the handler be called again and again.
func TestFullOfAnotherReturned(t *testing.T) {
	for name, set := range map[string]func(server, client *hooks, forward func() error){
		"by HandleRecords": func(server, _ *hooks, forward func() error) {
			server.records = func(*shmconn.RecordConn) error { return forward() }
		},
		"by a RecordFunc": func(server, _ *hooks, forward func() error) {
			server.records = shmconn.RecordFunc(func(*shmconn.RecordConn, []byte) error { return forward() }).HandleRecords
		},
		"by HandleRoom": func(server, _ *hooks, forward func() error) {
			server.records = func(c *shmconn.RecordConn) error { c.Next(); c.Release(); c.WantRoom(); return nil }
			server.room = func(*shmconn.RecordConn) error { return forward() }
		},
		"though its own was full before": func(server, client *hooks, forward func() error) {
			client.records = nothing
			full := false
			server.records = shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error {
				if full {
					return forward()
				}
				fill(t, c, 100)
				full = true
				return nil
			}).HandleRecords
		},
	} {
		t.Run(name, func(t *testing.T) {
			other := anotherFull(t)
			calls := 0
			forward := func() error {
				calls++
				return fmt.Errorf("passed on: %w", other.client.Send(make([]byte, 100)))
			}
			var server, client hooks
			set(&server, &client, forward)
			d := joinOn(t, other.home, &server, &client, terms{})
			for range 2 {
				d.on(func() {
					if client.ended == 0 {
						must(t, d.client.Send([]byte("x")))
					}
				})
				d.settle()
			}
			d.on(func() {
				if !errors.Is(server.cause, shmconn.ErrNotFull) || !errors.Is(server.cause, shmconn.ErrFull) || server.ended != 1 || calls != 1 {
					t.Errorf("closed %d times, by %v, after %d calls", server.ended, server.cause, calls)
				}
			})
		})
	}
	t.Run("by HandleOpen", func(t *testing.T) {
		other := anotherFull(t)
		server := &hooks{open: func(*shmconn.RecordConn) error { return other.client.Send(make([]byte, 100)) }}
		var client hooks
		joinOn(t, other.home, server, &client, terms{})
		other.until("the end", func() bool { return server.ended == 1 && client.ended == 1 })
		other.on(func() {
			if !errors.Is(server.cause, shmconn.ErrNotFull) {
				t.Errorf("closed by %v", server.cause)
			}
		})
	})
}

// TestFullOfItself: HandleOpen and HandleRoom that return ErrFull of their own connection are called again, the first as
// HandleRoom, and all that they send comes.
func TestFullOfItself(t *testing.T) {
	const count = 300
	for _, n := range []int{100, 2 * tiny} {
		t.Run(fmt.Sprintf("%d bytes", n), func(t *testing.T) {
			var server, client hooks
			sent, full := 0, 0
			send := func(c *shmconn.RecordConn) error {
				for ; sent < count; sent++ {
					if err := c.Send(make([]byte, n)); err != nil {
						full++
						return fmt.Errorf("record %d: %w", sent, err)
					}
				}
				return nil
			}
			client.open, client.room = send, send
			d := join(t, &server, &client, terms{})
			d.until("all", func() bool { return len(server.got) == count || client.ended > 0 })
			d.settle()
			d.on(func() {
				must(t, client.cause)
				if full == 0 || client.rooms != full {
					t.Errorf("full %d times, HandleRoom %d times", full, client.rooms)
				}
			})
		})
	}
}

// TestGoneAfterEOF: a connection that was kept for writing when the peer had ended its side closes when that goes
// altogether, and that is no failure.
func TestGoneAfterEOF(t *testing.T) {
	for name, tt := range map[string]struct{ ends, goes func(d *duo) }{
		"closed": {func(d *duo) { d.on(d.client.CloseWrite) }, func(d *duo) { d.on(d.client.Close) }},
		"died":   {func(d *duo) { d.on(d.client.CloseWrite) }, func(d *duo) { d.kill() }},
	} {
		t.Run(name, func(t *testing.T) {
			var server lasting
			var client hooks
			d := join(t, &server, &client, terms{})
			tt.ends(d)
			d.settle()
			d.on(func() {
				if server.eofs != 1 || server.ended > 0 {
					t.Errorf("HandleEOF %d times, closed by %v", server.eofs, server.cause)
				}
			})
			tt.goes(d)
			d.settle()
			d.on(func() {
				expectEnd(t, "server", &server.hooks, nil)
				if server.eofs != 1 {
					t.Errorf("HandleEOF %d times", server.eofs)
				}
			})
			d.bury()
		})
	}
}

// TestWantRoomEachTurn: however much there is to read, HandleRoom is called once a turn, and the records are, too.
func TestWantRoomEachTurn(t *testing.T) {
	var server, client hooks
	turns := map[uint64]int{}
	reads := 0
	client.records = func(*shmconn.RecordConn) error { reads++; return nil } // which leaves what there is
	client.room = func(c *shmconn.RecordConn) error {
		turns[c.Loop().Stats().Turns]++
		c.WantRoom()
		return nil
	}
	d := join(t, &server, &client, terms{})
	d.on(func() {
		must(t, d.server.Send([]byte("x")))
		d.client.WantRoom()
	})
	d.until("a hundred calls", func() bool { return client.rooms >= 100 })
	d.on(func() {
		for turn, n := range turns {
			if n > 1 {
				t.Errorf("HandleRoom %d times in turn %d", n, turn)
			}
		}
		if reads < client.rooms/2 {
			t.Errorf("HandleRoom %d times, HandleRecords %d times", client.rooms, reads)
		}
		client.room, client.records = nil, nil
	})
	d.settle()
	d.on(func() { expectRecords(t, client.got, "x") })
}
