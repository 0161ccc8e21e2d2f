//go:build linux

package shmconn_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// rally lets a record go to and fro between the ends, until the client has had it so many times.
func rally(t *testing.T, server shmconn.RecordHandler, rounds int, o terms) (client, other shmconn.Stats) {
	t.Helper()
	had := 0
	d := join(t, server, shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error {
		if had++; had >= rounds {
			return nil
		}
		return c.Send(record)
	}), o)
	done := make(chan struct{})
	d.on(func() {
		must(t, d.client.Send([]byte("a record")))
		_, err := d.Add(&watch{c: done, done: func() bool { return had >= rounds }}, communicator.Options{Deadline: time.Now()})
		must(t, err)
	})
	<-done
	d.on(func() { client = d.client.Transport().Stats() })
	d.there.on(func() { other = d.server.Transport().Stats() })
	return client, other
}

// TestNoSpinByDefault: nor with less than nothing.
func TestNoSpinByDefault(t *testing.T) {
	for _, spin := range []time.Duration{0, -1} {
		config := shmconn.Config{Spin: spin}
		client, server := rally(t, shmconn.RecordFunc(echo), 100, terms{apart: true, server: config, client: config})
		if client.Spins+server.Spins+client.SpinHits+server.SpinHits != 0 {
			t.Errorf("%+v, %+v", client, server)
		}
		if client.Sleeps == 0 || server.Sleeps == 0 {
			t.Errorf("never slept: %+v, %+v", client, server)
		}
	}
}

// parallel tells whether two goroutines run at the same time now, as ends that spin have to: they hand a number to and
// fro, and find it within a fraction of the time for which they would spin.
func parallel() bool {
	const rounds = 200
	var ball atomic.Int64
	var misses [2]int
	var both sync.WaitGroup
	for side := range int64(2) {
		both.Go(func() {
			for i := side; i < rounds; i += 2 {
				for began := time.Now(); ball.Load() != i; {
					if time.Since(began) > shmconn.MaxSpin/5 {
						misses[side]++
						for ball.Load() != i {
							runtime.Gosched()
						}
					}
				}
				ball.Store(i + 1)
			}
		})
	}
	both.Wait()
	return misses[0]+misses[1] < rounds/20
}

// TestSpinHits: two ends on processors of their own find each other awake.
func TestSpinHits(t *testing.T) {
	const rounds = 10_000 // for longer than a pause, which two misses at the beginning make
	config := shmconn.Config{Spin: shmconn.MaxSpin}
	var client, server shmconn.Stats
	tried := 0
	for range 5 {
		free := parallel()
		client, server = rally(t, shmconn.RecordFunc(echo), rounds, terms{apart: true, server: config, client: config})
		for _, s := range []shmconn.Stats{client, server} {
			if s.SpinHits > s.Spins {
				t.Errorf("more hits than tries: %+v", s)
			}
		}
		if client.SpinHits > rounds/100 && server.SpinHits > rounds/100 {
			if client.Bells+server.Bells > 2*rounds-client.SpinHits/2 {
				t.Errorf("hits, and all the bells: %+v, %+v", client, server)
			}
			return
		}
		if free && parallel() {
			tried++
		}
	}
	if tried < 3 {
		t.Skipf("no two processors to spare: %+v, %+v", client, server)
	}
	t.Errorf("hardly any hits: %+v, %+v", client, server)
}

// TestSpinOffOnOneLoop: where the peer can't answer meanwhile, because it is on the same loop, spinning is switched off
// after a few misses, whatever the limit: it costs a small part of the time.
func TestSpinOffOnOneLoop(t *testing.T) {
	const rounds = 2000
	config := shmconn.Config{Spin: time.Hour} // which is MaxSpin
	began := time.Now()
	client, server := rally(t, shmconn.RecordFunc(echo), rounds, terms{server: config, client: config})
	took := time.Since(began)
	for _, s := range []shmconn.Stats{client, server} {
		if s.Spins == 0 || s.Spins > 10+2*uint64(took/(10*time.Millisecond)) || s.Spins > rounds/10 || s.SpinHits > s.Spins/2 {
			t.Errorf("in %v: %+v", took, s)
		}
	}
}

// tardy answers a record after some time.
type tardy struct {
	delay  time.Duration
	c      *shmconn.RecordConn
	handle *communicator.Handle
}

func (*tardy) FD() int { return communicator.NoFD }

func (l *tardy) HandleTimeout(*communicator.Handle) error { return l.c.Send([]byte("late")) }

func (l *tardy) HandleOpen(c *shmconn.RecordConn) (err error) {
	l.c = c
	l.handle, err = c.Loop().Add(l, communicator.Options{})
	return err
}

func (l *tardy) HandleRecords(c *shmconn.RecordConn) error {
	return shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error {
		if l.delay == 0 {
			return c.Send(record)
		}
		l.handle.SetDeadline(time.Now().Add(l.delay))
		return nil
	}).HandleRecords(c)
}

func (l *tardy) HandleClose(*shmconn.RecordConn, error) { l.handle.Remove(nil) }

// TestSpinOffWhenLate: a peer that answers later than the limit lets it be switched off, for longer each time.
func TestSpinOffWhenLate(t *testing.T) {
	const rounds = 200
	client, server := rally(t, &tardy{delay: time.Millisecond}, rounds, terms{apart: true, client: shmconn.Config{Spin: shmconn.MaxSpin}})
	// Two misses at a time, before pauses of 10, 20, 40 ms and so on: 8 trials are more than a second.
	if client.Spins == 0 || client.Spins > rounds/5 || client.SpinHits > client.Spins/2 {
		t.Errorf("%+v", client)
	}
	if server.Spins != 0 {
		t.Errorf("the other end was not to spin: %+v", server)
	}
}
