//go:build linux

package shmconn_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// work keeps the processor busy for about d.
func work(d time.Duration) {
	for begin := time.Now(); time.Since(begin) < d; {
	}
}

// TestFairness: a flood on one connection keeps another of the same priority waiting for no more than a batch, which is
// as much as a stream reads, if that takes its time.
func TestFairness(t *testing.T) {
	const size = 8 << 10
	const batch = communicator.BufferSize / size
	waited, taken := 0, false
	calls := 0
	take := shmconn.RecordFunc(func(*shmconn.RecordConn, []byte) error {
		if !taken {
			waited++
		}
		work(200 * time.Microsecond)
		return nil
	})
	flood := hooks{records: func(c *shmconn.RecordConn) error {
		calls++
		return take.HandleRecords(c)
	}}
	other := hooks{records: shmconn.RecordFunc(func(*shmconn.RecordConn, []byte) error {
		taken = true
		return nil
	}).HandleRecords}
	var silent hooks
	d := join(t, &flood, &silent, terms{client: shmconn.Config{Capacity: 1 << 20}})
	d2 := joinOn(t, d.home, &other, &silent, terms{})
	n := 0
	for range 5 {
		d.settle()
		d.on(func() {
			waited, taken, calls = 0, false, 0
			if n = fill(t, d.client, size); n < 5*batch {
				t.Errorf("room for %d records", n)
			}
			must(t, d2.client.Send([]byte("now")))
		})
		d.until("the other", func() bool { return taken })
		d.on(func() {
			if waited > batch {
				t.Errorf("waited for %d records", waited)
			}
		})
		d.until("the end of the flood", func() bool {
			return d.server.Transport().Stats().RecordsReceived == d.client.Transport().Stats().RecordsSent
		})
		d.on(func() {
			if calls > 2+n/(batch-1) {
				t.Errorf("%d calls for %d records, though %d make a batch", calls, n, batch)
			}
		})
	}
}

// TestUrgent: a connection below priority 0 waits for one callback of the others.
func TestUrgent(t *testing.T) {
	const rounds = 20
	armed := false
	served := 0
	var urgent *duo
	flood := hooks{}
	take := shmconn.RecordFunc(func(*shmconn.RecordConn, []byte) error { return nil })
	flood.records = func(c *shmconn.RecordConn) error {
		if armed {
			t.Error("called twice before the urgent one")
		}
		if served < rounds {
			armed = true
			must(t, urgent.client.Send([]byte("now")))
		}
		work(4 * communicator.LookInterval)
		return take.HandleRecords(c)
	}
	first := hooks{records: shmconn.RecordFunc(func(*shmconn.RecordConn, []byte) error {
		armed = false
		served++
		return nil
	}).HandleRecords}
	silent := hooks{}
	h := newHome(t)
	urgent = joinOn(t, h, &first, &silent, terms{serverRecords: shmconn.RecordConfig{Priority: communicator.PriorityUrgent}})
	p := pump{count: 1 << 62, most: longest}
	source := hooks{room: p.run}
	d := joinOn(t, h, &flood, &source, terms{})
	d.on(func() { must(t, p.run(d.client)) })
	d.until("all", func() bool { return served == rounds })
}

// TestHundreds: hundreds of connections on one loop each get what is theirs.
func TestHundreds(t *testing.T) {
	const count, records = 200, 10
	before := areas(t)
	t.Cleanup(func() {
		if now := areas(t); now != before {
			t.Errorf("%d areas are mapped at the end, %d were before", now, before)
		}
	})
	h := newHome(t)
	path := ringPath(t)
	ring := shmconn.Config{Capacity: tiny}
	clients := make([]hooks, count)
	done := 0
	h.on(func() {
		_, err := shmconn.Listen(h.Communicator, path, shmconn.Records(shmconn.RecordFunc(echo), shmconn.RecordConfig{}), shmconn.ListenConfig{Ring: ring})
		must(t, err)
		for i := range clients {
			client := &clients[i]
			left := records
			client.open = func(c *shmconn.RecordConn) error { return c.Send(fmt.Appendf(nil, "%d %d", i, left)) }
			client.records = shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error {
				if want := fmt.Sprintf("%d %d", i, left); string(record) != want {
					return fmt.Errorf("%q has come, want %q", record, want)
				}
				if left--; left == 0 {
					c.Close()
					return nil
				}
				return client.open(c)
			}).HandleRecords
			client.closed = func(_ *shmconn.RecordConn, cause error) {
				done++
				must(t, cause)
			}
			_, err := shmconn.DialRecords(h.Communicator, shmconn.Dialer{Path: path, Ring: ring}, client, shmconn.RecordConfig{})
			must(t, err)
		}
	})
	h.until("all", func() bool { return done == count })
}

// TestStats: a bell for each time that the other end slept, and a sleep for each time that all was read.
func TestStats(t *testing.T) {
	const rounds = 10
	var server, client hooks
	d := join(t, &server, &client, terms{})
	d.settle()
	figures := func() (c, s shmconn.Stats) {
		d.on(func() { c, s = d.client.Transport().Stats(), d.server.Transport().Stats() })
		return c, s
	}
	c0, s0 := figures()
	for range rounds {
		d.on(func() { must(t, d.client.Send([]byte("a record"))) })
		d.settle()
	}
	c, s := figures()
	want := shmconn.Stats{RecordsSent: rounds, BytesSent: rounds * 8, Bells: rounds}
	if c.RecordsSent-c0.RecordsSent != want.RecordsSent || c.BytesSent-c0.BytesSent != want.BytesSent || c.Bells-c0.Bells != want.Bells ||
		c.Full != 0 || c.RecordsReceived != 0 || c.Sleeps != c0.Sleeps || c.Spins != 0 {
		t.Errorf("client: %+v, before: %+v", c, c0)
	}
	if s.RecordsReceived != rounds || s.BytesReceived != rounds*8 || s.Sleeps-s0.Sleeps != rounds || s.Bells != s0.Bells || s.RecordsSent != 0 || s.Spins != 0 {
		t.Errorf("server: %+v, before: %+v", s, s0)
	}
	d.on(func() {
		if out, in := d.client.Transport().Capacity(); out != tiny || in != tiny {
			t.Errorf("capacities %d, %d", out, in)
		}
	})
}

// TestEchoAllocatesNothing: neither do Send, nor Reserve with Commit or Stage.
func TestEchoAllocatesNothing(t *testing.T) {
	const warm, rounds = 200, 5000
	for name, send := range map[string]func(c *shmconn.RecordConn, record []byte) error{
		"Send": (*shmconn.RecordConn).Send,
		"Commit": func(c *shmconn.RecordConn, record []byte) error {
			room, err := c.Reserve(len(record))
			return errors.Join(err, c.Commit(copy(room, record)))
		},
		"Stage": func(c *shmconn.RecordConn, record []byte) error {
			room, err := c.Reserve(len(record))
			return errors.Join(err, c.Stage(copy(room, record)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			left := warm + rounds
			answer := shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error {
				switch left--; left {
				case rounds:
					runtime.ReadMemStats(&before)
				case 0:
					runtime.ReadMemStats(&after)
				}
				if left <= 0 {
					return nil
				}
				return send(c, record)
			})
			d := join(t, answer, answer, terms{})
			d.on(func() { must(t, d.client.Send([]byte("a small record"))) })
			waiting := make(chan struct{})
			d.on(func() { // without a turn of the test's own in between
				_, err := d.Add(&watch{c: waiting, done: func() bool { return left <= 0 }}, communicator.Options{Deadline: time.Now()})
				must(t, err)
			})
			<-waiting
			if n := after.Mallocs - before.Mallocs; n > rounds/100 { // a few are the runtime's own
				t.Errorf("%d allocations for %d records", n, rounds)
			}
		})
	}
}

// watch closes a channel when something is done, after a look each millisecond.
type watch struct {
	c    chan struct{}
	done func() bool
}

func (*watch) FD() int { return communicator.NoFD }

func (w *watch) HandleTimeout(h *communicator.Handle) error {
	if w.done() {
		close(w.c)
		h.Remove(nil)
	} else {
		h.SetDeadline(time.Now().Add(time.Millisecond))
	}
	return nil
}
