//go:build linux

package shmconn_test

import (
	"errors"
	"runtime/debug"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// touch reads, or writes, all of a record. Memory that isn't mapped any more is an error of the test, not the end of
// the process.
func touch(t testing.TB, p []byte, write bool) (sum int) {
	t.Helper()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			t.Errorf("a record that is in use: %v", fault)
		}
	}()
	for i := range p {
		if write {
			p[i] = 1
		}
		sum += int(p[i])
	}
	return sum
}

// TestReleaseLater: the room of records that are held is theirs until Release, from whatever callback that comes.
func TestReleaseLater(t *testing.T) {
	var held [][]byte
	server := hooks{records: func(c *shmconn.RecordConn) error {
		for record, ok := c.Next(); ok; record, ok = c.Next() {
			held = append(held, record)
		}
		return nil
	}}
	var client hooks
	d := join(t, &server, &client, terms{})
	sent := 0
	d.on(func() { sent = fill(t, d.client, 500) })
	d.settle()
	d.on(func() {
		if len(held) != sent {
			t.Errorf("%d of %d records have come", len(held), sent)
		}
		if client.rooms > 0 || fill(t, d.client, 500) > 0 {
			t.Error("there is room though nothing was released")
		}
		for _, record := range held {
			if len(record) != 500 || touch(t, record, false) != 0 {
				t.Error("a record has changed while it was held")
			}
		}
		d.server.Release()
		d.server.Release()
	})
	d.settle()
	d.on(func() {
		if client.rooms != 1 {
			t.Errorf("HandleRoom %d times", client.rooms)
		}
		must(t, d.client.Send([]byte("more")))
	})
	d.settle()
	d.on(func() {
		if last := string(held[len(held)-1]); last != "more" {
			t.Errorf("the last record is %q", last)
		}
		d.server.Release()
	})
}

// hold lets the server hold a short and a long record, and more if told so.
func hold(t *testing.T, server *hooks) (d *duo, client *hooks, held *[][]byte) {
	t.Helper()
	client, held = &hooks{}, new([][]byte)
	server.records = func(c *shmconn.RecordConn) error {
		for record, ok := c.Next(); ok; record, ok = c.Next() {
			*held = append(*held, record)
		}
		return nil
	}
	d = join(t, server, client, terms{})
	d.on(func() {
		must(t, d.client.Send([]byte{1, 1, 1}))
		must(t, d.client.Send([]byte(text(2*tiny, "\x01"))))
	})
	d.settle()
	d.on(func() {
		if len(*held) != 2 {
			t.Errorf("%d records are held", len(*held))
		}
	})
	return d, client, held
}

// expectHeld holds that the records of hold are what they were.
func expectHeld(t *testing.T, held [][]byte) {
	t.Helper()
	if len(held) != 2 || touch(t, held[0], false) != 3 || touch(t, held[1], false) != 2*tiny {
		t.Error("the records that are held have changed")
	}
}

// TestHeldAcrossClose: records are valid until Release, also when the connection has closed in whatever way, in
// HandleClose and after it. Then nothing stays mapped.
func TestHeldAcrossClose(t *testing.T) {
	for name, end := range map[string]func(d *duo){
		"Close":         func(d *duo) { d.server.Close() },
		"Abort":         func(d *duo) { d.server.Abort(errOfTest) },
		"peer's Close":  func(d *duo) { d.client.Close() },
		"peer's Abort":  func(d *duo) { d.client.Abort(errOfTest) },
		"Shutdown":      func(d *duo) { d.Shutdown(looptest.Patience) },
		"Remove":        func(d *duo) { d.server.Handle().Remove(nil) },
		"peer has died": nil,
	} {
		t.Run(name, func(t *testing.T) {
			var server hooks
			d, _, held := hold(t, &server)
			server.closed = func(*shmconn.RecordConn, error) { expectHeld(t, *held) }
			mapped := 0
			d.on(func() {
				mapped = mappings(t, "ring")
				if end != nil {
					end(d)
				}
			})
			if end == nil {
				d.kill()
			}
			d.until("the end", func() bool { return server.ended == 1 })
			d.bury()
			d.on(func() {
				expectHeld(t, *held)
				if n := mappings(t, "ring"); n == mapped {
					t.Errorf("%d rings are mapped, those of the peer too", n)
				}
				d.server.Release()
				d.expectNoMapping()
				d.server.Release()
			})
		})
	}
}

// TestHeldReleasedInHandleClose: it is the last moment for whoever keeps no list of what it holds.
func TestHeldReleasedInHandleClose(t *testing.T) {
	server := hooks{closed: func(c *shmconn.RecordConn, _ error) { c.Release() }}
	d, _, _ := hold(t, &server)
	d.kill()
	d.until("the end", func() bool { return server.ended == 1 })
	d.bury()
	d.on(func() {
		d.expectNoMapping()
	})
}

// TestErrorGivesBack: a handler that returns an error needn't release what it has read, nor end what it has reserved.
func TestErrorGivesBack(t *testing.T) {
	take := func(c *shmconn.RecordConn) error {
		c.Next()
		c.Next()
		_, err := c.Reserve(10)
		return errors.Join(errOfTest, err)
	}
	for name, server := range map[string]*lasting{
		"HandleOpen":    {hooks: hooks{open: take}},
		"HandleRecords": {hooks: hooks{records: take}},
		"HandleEOF":     {eof: take},
		"HandleRoom": {hooks: hooks{
			open: func(c *shmconn.RecordConn) error { fill(t, c, longest); return nil }, room: take, records: nothing,
		}},
		"a RecordFunc": {hooks: hooks{records: shmconn.RecordFunc(func(c *shmconn.RecordConn, _ []byte) error { return take(c) }).HandleRecords}},
	} {
		t.Run(name, func(t *testing.T) {
			client := hooks{open: func(c *shmconn.RecordConn) error {
				must(t, c.Send([]byte("short")))
				must(t, c.Send(make([]byte, 2*tiny)))
				c.CloseWrite()
				return nil
			}}
			d := join(t, server, &client, terms{})
			d.until("the end", func() bool { return server.ended == 1 && client.ended == 1 })
			d.on(func() {
				if !errors.Is(server.cause, errOfTest) {
					t.Errorf("closed by %v", server.cause)
				}
				d.expectNoMapping()
			})
		})
	}
}

// TestReservedAcrossClose: room that was reserved can be written until Commit, Stage or another Reserve, also when the
// connection has closed meanwhile, and records were released. Then nothing stays mapped.
func TestReservedAcrossClose(t *testing.T) {
	for _, n := range []int{100, 2 * tiny} {
		for name, end := range map[string]func(c *shmconn.RecordConn) error{
			"Commit": func(c *shmconn.RecordConn) error { return c.Commit(n) },
			"Stage":  func(c *shmconn.RecordConn) error { return c.Stage(n) },
			"Reserve": func(c *shmconn.RecordConn) error {
				_, err := c.Reserve(1)
				return err
			},
		} {
			for _, releaseFirst := range []bool{true, false} {
				t.Run(name, func(t *testing.T) {
					var server hooks
					d, _, held := hold(t, &server)
					var room []byte
					d.on(func() {
						var err error
						room, err = d.server.Reserve(n)
						must(t, err)
					})
					d.kill()
					d.until("the end", func() bool { return server.ended == 1 })
					d.bury()
					d.on(func() {
						touch(t, room, true)
						if releaseFirst {
							d.server.Release()
						}
						touch(t, room, true)
						if err := end(d.server); !errors.Is(err, connection.ErrClosed) {
							t.Errorf("error %v", err)
						}
						if !releaseFirst {
							expectHeld(t, *held)
							d.server.Release()
						}
						d.expectNoMapping()
					})
				})
			}
		}
	}
}

// TestReservedAndClosed: Close and Abort give up what was reserved.
func TestReservedAndClosed(t *testing.T) {
	for _, n := range []int{100, 2 * tiny} {
		for name, end := range map[string]func(c *shmconn.RecordConn){
			"Close": (*shmconn.RecordConn).Close,
			"Abort": func(c *shmconn.RecordConn) { c.Abort(errOfTest) },
		} {
			t.Run(name, func(t *testing.T) {
				var server, client hooks
				d := join(t, &server, &client, terms{})
				d.on(func() {
					_, err := d.client.Reserve(n)
					must(t, err)
					end(d.client)
				})
				d.until("the end", func() bool { return server.ended == 1 && client.ended == 1 })
				d.on(func() {
					d.expectNoMapping()
					if err := d.client.Commit(n); !errors.Is(err, connection.ErrClosed) {
						t.Errorf("Commit: %v", err)
					}
				})
			})
		}
	}
}
