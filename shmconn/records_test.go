//go:build linux

package shmconn_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// sizeOf is a size from 0 to most that follows from a number, most of them short, and some at the bounds.
func sizeOf(number uint64, most int) int {
	x := number * 0x9e3779b97f4a7c15
	x ^= x >> 29
	switch x % 16 {
	case 0:
		return 0
	case 1:
		return most
	case 2, 3, 4, 5:
		return int(x>>8) % (most + 1)
	}
	return int(x>>8) % (most/16 + 1)
}

// pump sends numbered records whenever there is room.
type pump struct {
	next, count uint64
	most        int
	stage       bool
	shorter     int // how much more than the record is reserved
}

func (p *pump) run(c *shmconn.RecordConn) error {
	for p.next < p.count {
		size := sizeOf(p.next, p.most)
		room, err := c.Reserve(size + p.shorter)
		if errors.Is(err, shmconn.ErrFull) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(room) != size+p.shorter {
			return fmt.Errorf("%d bytes reserved, want %d", len(room), size+p.shorter)
		}
		pattern(room[:size], p.next)
		end := c.Commit
		if p.stage {
			end = c.Stage
		}
		if err := end(size); err != nil {
			return err
		}
		p.next++
	}
	return nil
}

// drain checks the numbered records that come.
type drain struct {
	next uint64
	most int
	err  error
}

func (d *drain) take(_ *shmconn.RecordConn, record []byte) error {
	if err := checkPattern(record, d.next, sizeOf(d.next, d.most)); err != nil {
		d.err = errors.Join(d.err, err)
		return err
	}
	d.next++
	return nil
}

// TestRecordsOrderAndWholeness: whatever their sizes, 0 too, records come whole and in order, both ways at once through
// rings that are full most of the time, on one loop and between two, and nothing stalls.
func TestRecordsOrderAndWholeness(t *testing.T) {
	for _, test := range []struct {
		name  string
		count uint64
		most  int
		stage bool
		terms terms
	}{
		{"short", 10_000, 64, false, terms{}},
		{"up to a quarter", 5_000, longest, false, terms{}},
		{"staged", 10_000, longest, true, terms{}},
		{"apart", 10_000, longest, false, terms{apart: true}},
		{"apart, staged", 10_000, longest, true, terms{apart: true}},
		{"apart, one ring larger", 10_000, longest, true, terms{apart: true, server: shmconn.Config{Capacity: 64 << 10}}},
		{"with long ones", 500, 3 * tiny, false, terms{}},
		{"apart, with long ones", 500, 3 * tiny, true, terms{apart: true}},
		{"apart, spinning", 10_000, longest, false, terms{
			apart: true, server: shmconn.Config{Spin: shmconn.MaxSpin}, client: shmconn.Config{Spin: shmconn.MaxSpin},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var pumps [2]pump
			var drains [2]drain
			var handlers [2]*hooks
			for i := range handlers {
				pumps[i] = pump{count: test.count, most: test.most, stage: test.stage, shorter: i * 8}
				drains[i] = drain{most: test.most}
				handlers[i] = &hooks{records: shmconn.RecordFunc(drains[i].take).HandleRecords, open: pumps[i].run, room: pumps[i].run}
				if test.most == longest {
					pumps[i].shorter = 0
				}
			}
			d := join(t, handlers[0], handlers[1], test.terms)
			d.there.until("what the client sends", func() bool { return drains[0].next == test.count || handlers[0].ended > 0 })
			d.until("what the server sends", func() bool { return drains[1].next == test.count || handlers[1].ended > 0 })
			for i, h := range []*home{d.there, d.home} {
				h.on(func() {
					if drains[i].err != nil || handlers[i].ended > 0 {
						t.Error(drains[i].err, handlers[i].cause)
					}
				})
			}
			var out, in shmconn.Stats
			d.on(func() { out = d.client.Transport().Stats() })
			d.there.on(func() { in = d.server.Transport().Stats() })
			if out.RecordsSent != test.count || in.RecordsReceived != test.count || out.BytesSent != in.BytesReceived {
				t.Errorf("sent: %+v, received: %+v", out, in)
			}
		})
	}
}

// TestReserveCommit: what is reserved is as long as it should be, and what is committed is what the peer gets, at once.
func TestReserveCommit(t *testing.T) {
	var server, client hooks
	d := join(t, &server, &client, terms{})
	d.on(func() {
		for _, n := range []int{0, 1, 7, 8, 100, longest} {
			room, err := d.client.Reserve(n)
			if err != nil || len(room) != n || cap(room) != n {
				t.Errorf("Reserve(%d): %d bytes of %d, %v", n, len(room), cap(room), err)
			}
			copy(room, text(n, "x"))
			must(t, d.client.Commit(n))
		}
		room, err := d.client.Reserve(500)
		must(t, err)
		copy(room, text(500, "y"))
		must(t, d.client.Commit(3))
		must(t, d.client.Send([]byte("sent")))
		must(t, d.client.Send(nil))
	})
	d.settle()
	d.on(func() {
		expectRecords(t, server.got, "", "x", text(7, "x"), text(8, "x"), text(100, "x"), text(longest, "x"), "yyy", "sent", "")
	})
}

// TestReserveAgain: another Reserve takes the room of the one before back, whatever their sizes.
func TestReserveAgain(t *testing.T) {
	sizes := []int{10, longest, longest + 1, 3 * tiny, 0, 2 * tiny, 1}
	var want []string
	var server, client hooks
	d := join(t, &server, &client, terms{})
	for _, first := range sizes {
		for _, second := range sizes {
			d.on(func() {
				room, err := d.client.Reserve(first)
				must(t, err)
				copy(room, text(first, "f"))
				room, err = d.client.Reserve(second)
				must(t, err)
				copy(room, text(second, "s"))
				must(t, d.client.Commit(second))
				want = append(want, text(second, "s"))
			})
			d.settle()
		}
	}
	d.on(func() { expectRecords(t, server.got, want...) })
}

// TestNotReserved: what was not reserved can't be ended, nor what is longer, and that has no effect.
func TestNotReserved(t *testing.T) {
	var server, client hooks
	d := join(t, &server, &client, terms{})
	d.on(func() {
		for name, end := range map[string]func(int) error{"Commit": d.client.Commit, "Stage": d.client.Stage} {
			expect := func(what string, n int) {
				t.Helper()
				if err := end(n); !errors.Is(err, shmconn.ErrNotReserved) {
					t.Errorf("%s of %d bytes, %s: %v", name, n, what, err)
				}
			}
			reserve := func(n int) {
				t.Helper()
				_, err := d.client.Reserve(n)
				must(t, err)
			}
			expect("nothing reserved", 0)
			for _, size := range []int{10, 2 * tiny} {
				reserve(size)
				expect("another length reserved", size+1)
				expect("another length reserved", -1)
				must(t, end(1)) // it still was
				expect("ended before", 1)
				reserve(size)
				if _, err := d.client.Reserve(shmconn.DefaultMaxRecord + 1); !errors.Is(err, shmconn.ErrTooLong) {
					t.Errorf("Reserve: %v", err)
				}
				expect("taken back by another Reserve", 1)
			}
		}
	})
	d.settle()
	d.on(func() {
		expectRecords(t, server.got, "\x00", "\x00", "\x00", "\x00")
		if s := d.client.Transport().Stats(); s.RecordsSent != 4 || s.BytesSent != 4 {
			t.Errorf("%+v", s)
		}
	})
}

// TestReserveTooLong: a record is as long as the peer says that it takes, and not longer.
func TestReserveTooLong(t *testing.T) {
	const most = 50_000
	var server, client hooks
	d := join(t, &server, &client, terms{server: shmconn.Config{MaxRecord: most}, client: shmconn.Config{MaxRecord: 100}})
	d.on(func() {
		for _, n := range []int{most + 1, 1 << 40, -1} {
			if _, err := d.client.Reserve(n); !errors.Is(err, shmconn.ErrTooLong) {
				t.Errorf("Reserve(%d): %v", n, err)
			}
		}
		must(t, d.client.Send(make([]byte, most)))
		if err := d.server.Send(make([]byte, 101)); !errors.Is(err, shmconn.ErrTooLong) {
			t.Errorf("Send: %v", err)
		}
		must(t, d.server.Send(make([]byte, 100)))
	})
	d.settle()
	d.on(func() {
		expectRecords(t, server.got, string(make([]byte, most)))
		expectRecords(t, client.got, string(make([]byte, 100)))
		if server.ended+client.ended > 0 {
			t.Error("closed: ", server.cause, client.cause)
		}
	})
}

// TestStage: what is staged is seen after Publish, after a Commit, and after the callback, in one go.
func TestStage(t *testing.T) {
	stage := func(c *shmconn.RecordConn, text string) {
		t.Helper()
		room, err := c.Reserve(len(text))
		must(t, err)
		must(t, c.Stage(copy(room, text)))
	}
	for name, test := range map[string]struct {
		act  func(c *shmconn.RecordConn)
		seen int // within the callback
	}{
		"the end of the callback": {func(*shmconn.RecordConn) {}, 0},
		"Publish":                 {func(c *shmconn.RecordConn) { c.Publish() }, 3},
		"Commit": {func(c *shmconn.RecordConn) {
			room, err := c.Reserve(1)
			must(t, err)
			must(t, c.Commit(copy(room, "d")))
		}, 4},
		"Send": {func(c *shmconn.RecordConn) { must(t, c.Send([]byte("d"))) }, 4},
		"a Commit of nothing": {func(c *shmconn.RecordConn) {
			if err := c.Commit(1); !errors.Is(err, shmconn.ErrNotReserved) {
				t.Errorf("Commit: %v", err)
			}
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var server, client hooks
			d := join(t, &server, &client, terms{})
			var now []string
			d.on(func() {
				for _, letter := range []string{"a", "b", "c"} {
					stage(d.client, letter)
				}
				test.act(d.client)
				for { // the other end looks, within the same callback
					record, ok := d.server.Next()
					if !ok {
						break
					}
					now = append(now, string(record))
				}
				d.server.Release()
			})
			want := []string{"a", "b", "c", "d"}
			expectRecords(t, now, want[:test.seen]...)
			d.settle()
			d.on(func() {
				all := slices.Concat(now, server.got)
				expectRecords(t, all, want[:max(3, test.seen)]...)
				if bells := d.client.Transport().Stats().Bells; bells > 1 {
					t.Errorf("%d bells", bells)
				}
			})
		})
	}
}

// TestStageOneBell: a thousand records that are staged within a callback cost one bell.
func TestStageOneBell(t *testing.T) {
	const count = 1000
	for _, stage := range []bool{true, false} {
		var server, client hooks
		d := join(t, &server, &client, terms{client: shmconn.Config{Capacity: 64 << 10}})
		d.settle()
		var before, after shmconn.Stats
		d.on(func() {
			before = d.client.Transport().Stats()
			must(t, (&pump{count: count, most: 16, stage: stage}).run(d.client))
		})
		d.until("all", func() bool { return len(server.got) == count })
		d.on(func() { after = d.client.Transport().Stats() })
		if bells := after.Bells - before.Bells; bells != 1 { // both ends are on one loop, which the other couldn't run on meanwhile
			t.Errorf("staged: %v: %d bells", stage, bells)
		}
	}
}

// TestStageUntilFull: staging more than the ring holds lets the peer see what is there.
func TestStageUntilFull(t *testing.T) {
	const count = 500
	var server, client hooks
	p := pump{count: count, most: longest, stage: true}
	check := drain{most: longest}
	server.records = shmconn.RecordFunc(check.take).HandleRecords
	client.room = p.run
	d := join(t, &server, &client, terms{})
	d.on(func() {
		must(t, p.run(d.client))
		if p.next == 0 || p.next == count {
			t.Errorf("%d records had room", p.next)
		}
		seen := uint64(0)
		for record, ok := d.server.Next(); ok; record, ok = d.server.Next() {
			must(t, check.take(d.server, record))
			seen++
		}
		d.server.Release()
		if seen != p.next {
			t.Errorf("%d of %d staged records were there to be read when the ring was full", seen, p.next)
		}
	})
	d.until("all", func() bool { return check.next == count || server.ended > 0 })
	d.on(func() { must(t, check.err) })
}

// TestStageOutside: outside of any callback, before the loop runs, staging works as well.
func TestStageOutside(t *testing.T) {
	var server, client hooks
	d := join(t, &server, &client, terms{})
	d.on(func() {
		d.AfterTurn(func() {
			room, err := d.client.Reserve(5)
			must(t, err)
			must(t, d.client.Stage(copy(room, "after")))
		})
	})
	d.settle()
	d.on(func() { expectRecords(t, server.got, "after") })
}

// TestAfterClose: nothing can be written any more, and all else does nothing.
func TestAfterClose(t *testing.T) {
	var server, client hooks
	for name, end := range map[string]func(c *shmconn.RecordConn){
		"Close":      (*shmconn.RecordConn).Close,
		"CloseWrite": (*shmconn.RecordConn).CloseWrite,
		"Abort":      func(c *shmconn.RecordConn) { c.Abort(errOfTest) },
	} {
		d := join(t, &server, &client, terms{})
		check := func(when string) {
			t.Helper()
			c := d.client
			if _, err := c.Reserve(1); !errors.Is(err, connection.ErrClosed) {
				t.Errorf("Reserve %s %s: %v", when, name, err)
			}
			if err := c.Send(nil); !errors.Is(err, connection.ErrClosed) {
				t.Errorf("Send %s %s: %v", when, name, err)
			}
			if name != "CloseWrite" {
				if record, ok := c.Next(); ok {
					t.Errorf("Next %s %s: %q", when, name, record)
				}
			}
			c.Unread()
			c.Release()
			c.Publish()
			c.Pause()
			c.Resume()
			c.CloseWrite()
		}
		d.on(func() {
			_, err := d.client.Reserve(10)
			must(t, err)
			end(d.client)
			if err := d.client.Commit(10); !errors.Is(err, connection.ErrClosed) {
				t.Errorf("Commit after %s: %v", name, err)
			}
			check("in the callback of")
		})
		d.settle()
		d.on(func() {
			check("after")
			d.client.Close()
			d.client.Abort(nil)
		})
		d.stop()
		if len(server.got) > 0 {
			t.Errorf("%s: has come: %q", name, server.got)
		}
	}
}
