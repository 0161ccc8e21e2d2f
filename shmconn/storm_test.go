//go:build linux

package shmconn_test

import (
	"errors"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// callbacks is how many callbacks a loop makes while nothing is to be done; settling takes some.
func callbacks(h *home) uint64 {
	var before, after uint64
	h.on(func() { before = h.Stats().Callbacks })
	for range 20 {
		h.settle()
	}
	h.on(func() { after = h.Stats().Callbacks })
	return after - before
}

// TestBothWait: two sides that wait for room, and don't read, sleep: they don't wake each other.
func TestBothWait(t *testing.T) {
	t.Run("streams", func(t *testing.T) {
		pause := func(s *connection.Stream) { s.Pause() }
		server, client := &flow{open: pause}, &flow{open: pause}
		h := current(t, tiny, server, client, connection.StreamConfig{})
		h.on(func() {
			for _, s := range []*connection.Stream{server.stream, client.stream} {
				_, err := s.Write(make([]byte, 3*tiny))
				must(t, err)
			}
		})
		h.settle()
		if n := callbacks(h); n > 100 {
			t.Errorf("%d callbacks for nothing", n)
		}
		h.on(func() {
			server.stream.Resume()
			client.stream.Resume()
		})
		h.until("all has come", func() bool { return len(server.got) == 3*tiny && len(client.got) == 3*tiny })
		h.on(func() {
			server.stream.Abort(nil)
			client.stream.Abort(nil)
		})
		h.settle()
	})
	t.Run("records", func(t *testing.T) {
		server, client := &hooks{}, &hooks{}
		d := join(t, server, client, terms{})
		full := func(c *shmconn.RecordConn) error { return c.Send(make([]byte, 500)) } // before it reads
		server.records, client.records = full, full
		d.on(func() {
			fill(t, d.server, 500)
			fill(t, d.client, 500)
		})
		d.settle()
		if n := callbacks(d.home); n > 100 {
			t.Errorf("%d callbacks for nothing", n)
		}
		d.on(func() {
			d.server.Abort(errTest)
			d.client.Abort(nil)
		})
		d.settle()
	})
}

var errTest = errors.New("an error of the test")

// TestWantRoomWithoutRoom: HandleRoom is called once for WantRoom, though Reserve has failed meanwhile, and the loop sleeps then.
func TestWantRoomWithoutRoom(t *testing.T) {
	server := hooks{records: nothing}
	var client hooks
	d := join(t, &server, &client, terms{})
	d.on(func() {
		d.client.WantRoom()
		fill(t, d.client, 500)
	})
	d.settle()
	if n := callbacks(d.home); n > 100 {
		t.Errorf("%d callbacks for nothing", n)
	}
	d.on(func() {
		if client.rooms != 1 {
			t.Errorf("HandleRoom %d times", client.rooms)
		}
	})
}

// TestCloseAfterDeath: Close and Abort give up what was reserved, also of a connection that has ended before.
func TestCloseAfterDeath(t *testing.T) {
	for _, n := range []int{100, 3000} {
		for name, end := range map[string]func(c *shmconn.RecordConn){
			"Close": func(c *shmconn.RecordConn) { c.Close() },
			"Abort": func(c *shmconn.RecordConn) { c.Abort(nil) },
		} {
			var server, client hooks
			d := join(t, &server, &client, terms{})
			d.on(func() {
				_, err := d.server.Reserve(n)
				must(t, err)
			})
			d.kill()
			d.settle()
			d.on(func() {
				if server.ended != 1 {
					t.Error("not ended")
				}
				end(d.server)
			})
			d.bury()
			if now := areas(t); now != d.before {
				t.Errorf("%s, %d bytes: mapped %v, before %v", name, n, now, d.before)
			}
		}
	}
}
