//go:build linux

package shmconn_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// TestLeavingRecords: a handler that leaves records is called again for them, also when nothing new comes.
func TestLeavingRecords(t *testing.T) {
	calls := 0
	server := &hooks{}
	server.records = func(c *shmconn.RecordConn) error {
		calls++
		record, ok := c.Next()
		if !ok {
			t.Error("nothing to read")
		}
		err := server.keep(c, record)
		c.Release()
		return err
	}
	var client hooks
	d := join(t, server, &client, terms{})
	var want []string
	d.on(func() {
		for _, letter := range []string{"a", "b", "c", "d", "e"} {
			want = append(want, letter)
			must(t, d.client.Send([]byte(letter)))
		}
	})
	d.settle()
	d.on(func() {
		expectRecords(t, server.got, want...)
		if calls != len(want) {
			t.Errorf("%d calls", calls)
		}
	})
}

// TestUnread: what was given back comes again, and only that: a short and a long one, as often as one likes, also if
// another look for records has found none, and then counts once.
func TestUnread(t *testing.T) {
	for name, n := range map[string]int{"empty": 0, "short": 100, "long": 2 * tiny} {
		t.Run(name, func(t *testing.T) {
			server := hooks{records: nothing}
			var client hooks
			d := join(t, &server, &client, terms{})
			want := []string{text(n, "a"), text(n, "b"), text(n, "c")}
			d.on(func() {
				for _, record := range want {
					must(t, d.client.Send([]byte(record)))
				}
				c := d.server
				next := func(want string) {
					t.Helper()
					if record, ok := c.Next(); !ok || string(record) != want {
						t.Errorf("the next record is %.10q (%v), want %.10q", record, ok, want)
					}
				}
				c.Unread() // nothing
				next(want[0])
				c.Unread()
				next(want[0])
				c.Unread()
				c.Release()
				next(want[0])
				c.Release()
				c.Unread() // not any more
				next(want[1])
				next(want[2])
				c.Unread()
				c.Unread() // not again
				next(want[2])
				if record, ok := c.Next(); ok {
					t.Errorf("a record more: %.10q", record)
				}
				c.Unread()
				next(want[2])
				c.Release()
				if s := c.Transport().Stats(); s.RecordsReceived != 3 || s.BytesReceived != uint64(3*n) {
					t.Errorf("%+v", s)
				}
				must(t, d.client.Send([]byte("more")))
				next("more")
				c.Release()
			})
			d.settle()
			d.on(func() { must(t, errors.Join(server.cause, client.cause)) })
		})
	}
}

// TestUnreadAcrossTheEnd: the same where a record doesn't fit in front of the ring's end.
func TestUnreadAcrossTheEnd(t *testing.T) {
	server := hooks{records: nothing}
	var client hooks
	d := join(t, &server, &client, terms{})
	d.on(func() {
		for i := range 200 {
			record := text(700+i, string(rune('a'+i%26)))
			must(t, d.client.Send([]byte(record)))
			var got []string
			for again := range 3 {
				p, ok := d.server.Next()
				if !ok {
					t.Errorf("no record %d", i)
					return
				}
				got = append(got, string(p))
				if again < 2 {
					d.server.Unread()
				}
			}
			d.server.Release()
			if slices.ContainsFunc(got, func(p string) bool { return p != record }) {
				t.Errorf("record %d: %.10q", i, got)
			}
		}
	})
}

// TestUnreadBeforePadding: it comes again as well when behind it there is only what fills the ring up to its end.
func TestUnreadBeforePadding(t *testing.T) {
	server := hooks{records: nothing}
	var client hooks
	d := join(t, &server, &client, terms{})
	d.on(func() {
		for range 4 {
			must(t, d.client.Send(make([]byte, 900)))
		}
		for range 4 {
			d.server.Next()
		}
		d.server.Release()
		must(t, d.client.Send([]byte("last")))
		_, err := d.client.Reserve(900) // has no room in front of the end
		must(t, err)
		d.client.Publish()
		for range 2 {
			if record, ok := d.server.Next(); string(record) != "last" {
				t.Errorf("the next record is %q (%v)", record, ok)
			}
			if record, ok := d.server.Next(); ok {
				t.Errorf("another record: %q", record)
			}
			d.server.Unread()
		}
		must(t, d.client.Commit(900))
		for _, n := range []int{4, 900} {
			if record, _ := d.server.Next(); len(record) != n {
				t.Errorf("the next record has %d bytes, want %d", len(record), n)
			}
		}
		d.server.Release()
	})
}
