//go:build linux

package shmconn_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// TestLongRecords: records around a quarter of the ring, from where on they have memory of their own, and up to the
// longest that the peer takes, come whole.
func TestLongRecords(t *testing.T) {
	const most = 100_000
	var server, client hooks
	d := join(t, &server, &client, terms{server: shmconn.Config{MaxRecord: most}})
	number := uint64(0)
	for _, n := range []int{longest - 1, longest, longest + 1, tiny / 4, tiny/4 + 1, tiny - 1, tiny, tiny + 1, 4 * tiny, most - 1, most} {
		d.on(func() {
			room, err := d.client.Reserve(n)
			must(t, err)
			if len(room) != n {
				t.Errorf("Reserve(%d): %d bytes", n, len(room))
				return
			}
			pattern(room, number)
			before := mappings(t, "record")
			must(t, d.client.Commit(n))
			if long := before > 0; long != (n > longest) {
				t.Errorf("%d bytes have memory of their own: %v", n, long)
			}
			if after := mappings(t, "record"); after != 0 {
				t.Errorf("%d are mapped after Commit", after)
			}
		})
		d.settle()
		d.on(func() {
			if len(server.got) != 1 {
				t.Errorf("%d records", len(server.got))
				return
			}
			must(t, checkPattern([]byte(server.got[0]), number, n))
			server.got = nil
		})
		number++
	}
}

// TestLongRecordShortened: a record may turn out shorter than what was reserved for it, much shorter, too.
func TestLongRecordShortened(t *testing.T) {
	const reserved = 5 * tiny
	server := hooks{records: nothing}
	var client hooks
	d := join(t, &server, &client, terms{})
	for _, n := range []int{0, 1, longest, tiny, tiny + 1, reserved - 1, reserved} {
		d.on(func() {
			room, err := d.client.Reserve(reserved)
			must(t, err)
			pattern(room, 1)
			want := bytes.Clone(room[:n])
			must(t, d.client.Commit(n))
			record, ok := d.server.Next()
			if !ok || !bytes.Equal(record, want) {
				t.Errorf("%d bytes: %v, %d bytes have come", n, ok, len(record))
			}
			d.server.Release()
		})
	}
	d.on(func() {
		if s := d.server.Transport().Stats(); s.RecordsReceived != 7 || s.BytesReceived != d.client.Transport().Stats().BytesSent {
			t.Errorf("%+v", s)
		}
	})
}

// TestManyLongRecords: no more than MaxLarge are under way; with one more there is room when the peer has released the
// first, though the ring has room for many.
func TestManyLongRecords(t *testing.T) {
	var held int
	server := hooks{}
	server.records = func(c *shmconn.RecordConn) error {
		for _, ok := c.Next(); ok; _, ok = c.Next() {
			held++
		}
		return nil
	}
	var client hooks
	d := join(t, &server, &client, terms{})
	for round := range 3 {
		d.on(func() {
			client.rooms = 0
			if n := fill(t, d.client, 2*tiny); n != shmconn.MaxLarge {
				t.Errorf("round %d: %d long records under way, want %d", round, n, shmconn.MaxLarge)
			}
			must(t, d.client.Send([]byte("a short one has room")))
		})
		d.settle()
		d.on(func() {
			if client.rooms > 0 || held != shmconn.MaxLarge+1 {
				t.Errorf("HandleRoom %d times, %d records held", client.rooms, held)
			}
			if n := mappings(t, "record"); n != shmconn.MaxLarge {
				t.Errorf("%d long records are mapped", n)
			}
			held = 0
			d.server.Release()
			if n := mappings(t, "record"); n != 0 {
				t.Errorf("%d long records are mapped after Release", n)
			}
		})
		d.settle()
		d.on(func() {
			if client.rooms != 1 {
				t.Errorf("HandleRoom %d times", client.rooms)
			}
		})
	}
}

// TestLongUnreadAndClosed: one that was given back, or hasn't been read, leaves nothing behind.
func TestLongUnreadAndClosed(t *testing.T) {
	for name, act := range map[string]func(c *shmconn.RecordConn){
		"given back":         func(c *shmconn.RecordConn) { c.Next(); c.Unread() },
		"given back, others": func(c *shmconn.RecordConn) { c.Next(); c.Next(); c.Unread(); c.Release() },
		"not read":           func(*shmconn.RecordConn) {},
	} {
		t.Run(name, func(t *testing.T) {
			server := hooks{records: nothing}
			var client hooks
			d := join(t, &server, &client, terms{})
			d.on(func() {
				for range 3 {
					must(t, d.client.Send(make([]byte, 2*tiny)))
				}
			})
			d.settle()
			d.on(func() {
				act(d.server)
				d.server.Close()
			})
			d.until("the end", func() bool { return server.ended+client.ended == 2 })
			d.on(d.expectNoMapping)
		})
	}
}

// TestLongAmongShort: long records keep their place among short ones, staged or not, also where the ring gets full.
func TestLongAmongShort(t *testing.T) {
	const count = 400
	var want []string
	var server, client hooks
	next := 0
	send := func(c *shmconn.RecordConn) error {
		for ; next < count; next++ {
			n := 10
			if next%5 == 3 {
				n = 2 * tiny
			}
			text := fmt.Sprintf("%*d", n, next)
			room, err := c.Reserve(n)
			if errors.Is(err, shmconn.ErrFull) {
				return nil
			}
			if err != nil {
				return err
			}
			copy(room, text)
			if next%3 == 0 {
				err = c.Commit(n)
			} else {
				err = c.Stage(n)
			}
			if err != nil {
				return err
			}
			want = append(want, text)
		}
		return nil
	}
	client.open, client.room = send, send
	d := join(t, &server, &client, terms{})
	d.until("all", func() bool { return len(server.got) == count || server.ended > 0 })
	d.on(func() { expectRecords(t, server.got, want...) })
}

// withoutDescriptors lets the process have no more descriptors while f runs.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	var was unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: was.Max}))
	defer func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was)) }()
	f()
}

// TestNoDescriptorToSend: a long record for which there is no descriptor is an error of Reserve alone; the connection
// goes on.
func TestNoDescriptorToSend(t *testing.T) {
	var server, client hooks
	d := join(t, &server, &client, terms{})
	d.on(func() {
		withoutDescriptors(t, func() {
			if _, err := d.client.Reserve(2 * tiny); !errors.Is(err, unix.EMFILE) {
				t.Errorf("Reserve: %v", err)
			}
		})
		if err := d.client.Commit(10); !errors.Is(err, shmconn.ErrNotReserved) {
			t.Errorf("Commit: %v", err)
		}
		must(t, d.client.Send([]byte("short")))
		must(t, d.client.Send(make([]byte, 2*tiny)))
	})
	d.settle()
	d.on(func() { expectRecords(t, server.got, "short", string(make([]byte, 2*tiny))) })
}

// TestNoDescriptorToReceive: an end that has no descriptor left for a long record closes the connection, and says why.
func TestNoDescriptorToReceive(t *testing.T) {
	server := hooks{records: nothing}
	var client hooks
	d := join(t, &server, &client, terms{})
	d.on(func() {
		must(t, d.client.Send(make([]byte, 2*tiny)))
		withoutDescriptors(t, func() { d.server.Next() })
	})
	d.until("the end", func() bool { return server.ended > 0 && client.ended > 0 })
	d.on(func() {
		if !errors.Is(server.cause, connection.ErrDescriptors) || !errors.Is(server.cause, unix.EMFILE) {
			t.Errorf("closed by %v", server.cause)
		}
		if errors.Is(server.cause, shmconn.ErrCorrupt) {
			t.Errorf("the peer is blamed for it: %v", server.cause)
		}
	})
}
