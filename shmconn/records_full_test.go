//go:build linux

package shmconn_test

import (
	"errors"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// fill sends records of n bytes until there is no room, and tells how many had room.
func fill(t testing.TB, c *shmconn.RecordConn, n int) (count int) {
	t.Helper()
	for {
		switch err := c.Send(make([]byte, n)); {
		case errors.Is(err, shmconn.ErrFull):
			return count
		case err != nil:
			t.Error(err)
			return count
		}
		count++
	}
}

// nothing is a HandleRecords that leaves everything, and pauses so that it isn't asked all the time.
func nothing(c *shmconn.RecordConn) error {
	c.Pause()
	return nil
}

// TestRoom: HandleRoom is called once when there is room again after ErrFull, and not before.
func TestRoom(t *testing.T) {
	for name, n := range map[string]int{"short": 100, "a quarter": longest, "long": 2 * tiny} {
		t.Run(name, func(t *testing.T) {
			server := hooks{records: nothing}
			var client hooks
			d := join(t, &server, &client, terms{})
			sent := 0
			client.room = func(c *shmconn.RecordConn) error {
				sent++
				return c.Send(make([]byte, n)) // what has failed has room now
			}
			d.on(func() {
				if sent = fill(t, d.client, n); sent == 0 {
					t.Error("no room at all")
				}
			})
			d.settle()
			d.on(func() {
				if client.rooms != 0 {
					t.Errorf("HandleRoom %d times while nobody has read", client.rooms)
				}
				if full := d.client.Transport().Stats().Full; full != 1 {
					t.Errorf("%d times full", full)
				}
				server.records = nil
				d.server.Resume()
			})
			d.settle()
			d.on(func() {
				if client.rooms != 1 || len(server.got) != sent {
					t.Errorf("HandleRoom %d times, %d records of %d", client.rooms, len(server.got), sent)
				}
			})
		})
	}
}

// TestRoomAfterPause: a writer that waits hears of the room that a reader makes which has stopped reading already.
func TestRoomAfterPause(t *testing.T) {
	var server hooks
	var client hooks
	d := join(t, &server, &client, terms{})
	server.records = func(c *shmconn.RecordConn) error {
		if _, ok := c.Next(); !ok {
			t.Error("nothing to read")
		}
		c.Pause()
		return nil
	}
	d.on(func() { fill(t, d.client, 100) })
	d.settle()
	d.on(d.server.Release)
	d.settle()
	d.on(func() {
		if client.rooms != 1 {
			t.Errorf("HandleRoom %d times", client.rooms)
		}
	})
}

// TestRoomBeforePause: a writer that waits hears of the room that there is when the reader has released a little, and
// then stops reading.
func TestRoomBeforePause(t *testing.T) {
	for name, stop := range map[string]func(c *shmconn.RecordConn) error{
		"by Pause":   nothing,
		"by ErrFull": func(c *shmconn.RecordConn) error { fill(t, c, 100); return shmconn.ErrFull },
	} {
		t.Run(name, func(t *testing.T) {
			server := hooks{records: nothing}
			client := hooks{records: nothing}
			d := join(t, &server, &client, terms{})
			d.on(func() { fill(t, d.client, 100) })
			d.settle()
			d.on(func() {
				server.records = func(c *shmconn.RecordConn) error {
					c.Next()
					c.Release()
					server.records = stop
					return stop(c)
				}
				d.server.Resume()
			})
			d.settle()
			d.on(func() {
				if client.rooms != 1 {
					t.Errorf("HandleRoom %d times", client.rooms)
				}
				must(t, d.client.Send(make([]byte, 100)))
			})
		})
	}
}

// TestWantRoom: HandleRoom is called in the next turn, once, with TryOnly and while it is paused, too; and while it is
// dialling when the connection stands.
func TestWantRoom(t *testing.T) {
	for _, tryOnly := range []bool{false, true} {
		var server, client hooks
		turn, called := uint64(0), uint64(0)
		client.room = func(c *shmconn.RecordConn) error { called = c.Loop().Stats().Turns; return nil }
		d := join(t, &server, &client, terms{clientTerms: shmconn.RecordConfig{TryOnly: tryOnly}})
		for round := range 3 {
			d.on(func() {
				turn = d.Stats().Turns
				if round == 1 {
					d.client.Pause()
				}
				d.client.WantRoom()
				d.client.WantRoom()
				if client.rooms != round {
					t.Error("called at once")
				}
			})
			d.settle()
			d.on(func() {
				if client.rooms != round+1 || called != turn+1 {
					t.Errorf("HandleRoom %d times, %d turns later", client.rooms, called-turn)
				}
			})
		}
		d.on(func() { // a full ring makes no difference
			fill(t, d.client, 100)
			before := client.rooms
			d.client.WantRoom()
			d.AfterTurn(func() {
				d.AfterTurn(func() {
					if client.rooms != before+1 {
						t.Errorf("HandleRoom %d times", client.rooms-before)
					}
				})
			})
		})
		d.settle()
		d.on(func() {
			d.client.Close()
			before := client.rooms
			d.client.WantRoom()
			d.AfterTurn(func() { d.AfterTurn(func() { must(t, client.cause) }) })
			if client.rooms != before {
				t.Error("called after Close")
			}
		})
		d.settle()
	}
	h := newHome(t)
	path := ringPath(t)
	var server, client hooks
	client.room = func(*shmconn.RecordConn) error {
		if client.opens != 1 {
			t.Error("HandleRoom before HandleOpen")
		}
		return nil
	}
	h.on(func() {
		_, err := shmconn.Listen(h.Communicator, path, shmconn.Records(&server, shmconn.RecordConfig{}), shmconn.ListenConfig{})
		must(t, err)
		c, err := shmconn.DialRecords(h.Communicator, shmconn.Dialer{Path: path}, &client, shmconn.RecordConfig{TryOnly: true})
		must(t, err)
		c.WantRoom()
	})
	h.until("HandleRoom", func() bool { return client.rooms == 1 })
}

// TestTryOnly: nothing is waited for then.
func TestTryOnly(t *testing.T) {
	server := hooks{records: nothing}
	var client hooks
	d := join(t, &server, &client, terms{clientTerms: shmconn.RecordConfig{TryOnly: true}})
	var sent int
	var before shmconn.Stats
	d.on(func() {
		sent = fill(t, d.client, 100)
		sent += fill(t, d.client, 10)
		before = d.server.Transport().Stats()
		server.records = nil
		d.server.Resume()
	})
	d.settle()
	d.on(func() {
		if client.rooms != 0 || len(server.got) != sent {
			t.Errorf("HandleRoom %d times, %d records of %d", client.rooms, len(server.got), sent)
		}
		if bells := d.server.Transport().Stats().Bells - before.Bells; bells > 0 {
			t.Errorf("the peer was woken %d times though it doesn't wait", bells)
		}
		must(t, d.client.Send([]byte("there is room again")))
	})
}

// echo sends back what comes, through a RecordFunc.
func echo(c *shmconn.RecordConn, record []byte) error { return c.Send(record) }

// TestRecordFuncFull: a function that returns ErrFull gets the same record again, a short and a long one, when there is
// room: nothing is lost or comes twice, however slow the reader of the echo is, and its connection takes nothing more
// meanwhile.
func TestRecordFuncFull(t *testing.T) {
	for name, test := range map[string]struct {
		most  int
		count uint64
	}{"short": {64, 2000}, "a quarter": {longest, 1000}, "long": {3 * tiny, 200}} {
		for _, tryOnly := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				p := pump{count: test.count, most: test.most}
				check := drain{most: test.most}
				fulls := 0
				server := shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error {
					err := echo(c, record)
					if errors.Is(err, shmconn.ErrFull) {
						fulls++
					}
					return err
				})
				client := &hooks{room: p.run, open: func(c *shmconn.RecordConn) error {
					c.Pause()
					return p.run(c)
				}}
				client.records = func(c *shmconn.RecordConn) error { // one record a call
					record, ok := c.Next()
					if !ok {
						t.Error("called with nothing to read")
						return nil
					}
					err := check.take(c, record)
					c.Release()
					return err
				}
				d := join(t, server, client, terms{serverRecords: shmconn.RecordConfig{TryOnly: tryOnly}})
				d.until("a full ring", func() bool { return fulls > 0 || client.ended > 0 })
				d.on(d.client.Resume)
				d.until("all", func() bool { return check.next == test.count || client.ended > 0 })
				d.settle()
				d.on(func() {
					if check.err != nil || client.ended > 0 {
						t.Error(check.err, client.cause)
					}
					s := d.server.Transport().Stats()
					if c := d.client.Transport().Stats(); s.RecordsReceived != test.count || s.BytesReceived != c.BytesSent || s.RecordsSent != test.count {
						t.Errorf("server: %+v; client: %+v", s, c)
					}
				})
			})
		}
	}
}

// TestFullStopsReading: a handler that has returned ErrFull isn't called until there is room, though more comes, and
// nothing is kept busy by that.
func TestFullStopsReading(t *testing.T) {
	calls := 0
	server := &hooks{}
	server.records = func(c *shmconn.RecordConn) error {
		calls++
		return shmconn.RecordFunc(echo).HandleRecords(c)
	}
	client := &hooks{records: nothing}
	d := join(t, server, client, terms{})
	sent := 0
	d.on(func() { sent = fill(t, d.client, 100) })
	d.settle()
	var before int
	d.on(func() { sent += fill(t, d.client, 100) })
	d.settle()
	d.on(func() {
		sent += fill(t, d.client, 100)
		before = calls
	})
	d.settle()
	d.on(func() {
		if n := fill(t, d.client, 100); n != 0 || calls != before {
			t.Errorf("%d more calls, room for %d more", calls-before, n)
		}
		if server.rooms != 0 {
			t.Errorf("HandleRoom %d times without room", server.rooms)
		}
		client.records = nil
		d.client.Resume()
	})
	d.until("all", func() bool { return len(client.got) == sent })
	d.on(func() {
		if server.rooms == 0 {
			t.Error("no HandleRoom")
		}
	})
}

// TestFullOfAnother: a handler that forwards to another connection, and finds that full, leaves its record, pauses, and
// goes on when the other has room.
func TestFullOfAnother(t *testing.T) {
	const count = 500
	p := pump{count: count, most: longest}
	check := drain{most: longest}
	source := &hooks{open: p.run, room: p.run}
	var out *duo
	var in *shmconn.RecordConn
	forward := &hooks{open: func(c *shmconn.RecordConn) error { in = c; return nil }}
	forward.records = shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error {
		err := out.client.Send(record)
		if errors.Is(err, shmconn.ErrFull) {
			c.Unread()
			c.Pause()
			return nil
		}
		return err
	}).HandleRecords
	goOn := &hooks{room: func(*shmconn.RecordConn) error { in.Resume(); return nil }}
	sink := &hooks{records: func(c *shmconn.RecordConn) error {
		if record, ok := c.Next(); ok {
			must(t, check.take(c, record))
		}
		c.Release()
		return nil
	}}
	out = join(t, sink, goOn, terms{})
	joinOn(t, out.home, forward, source, terms{client: shmconn.Config{Capacity: 16 * tiny}})
	out.until("all", func() bool { return check.next == count || check.err != nil || forward.ended > 0 })
	out.on(func() {
		if check.err != nil || forward.ended > 0 {
			t.Error(check.err, forward.cause)
		}
		if goOn.rooms == 0 {
			t.Error("the other was never full")
		}
	})
}

// TestFloods: two ends that send as much as there is room for, and answer each record by another, never stall.
func TestFloods(t *testing.T) {
	for name, terms := range map[string]terms{"one loop": {}, "two loops": {apart: true}} {
		t.Run(name, func(t *testing.T) {
			const count = 5000
			var pumps [2]pump
			var drains [2]drain
			var handlers [2]*hooks
			for i := range handlers {
				p, check := &pumps[i], &drains[i]
				*p, *check = pump{count: 50, most: longest}, drain{most: longest}
				handlers[i] = &hooks{open: p.run, room: p.run}
				handlers[i].records = shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error {
					p.count = min(p.count+1, count)
					return errors.Join(check.take(c, record), p.run(c))
				}).HandleRecords
			}
			d := join(t, handlers[0], handlers[1], terms)
			for i, h := range []*home{d.there, d.home} {
				h.until("all", func() bool { return drains[i].next == count || handlers[i].ended > 0 })
				h.on(func() { must(t, errors.Join(drains[i].err, handlers[i].cause)) })
			}
		})
	}
}
