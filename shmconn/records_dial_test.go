//go:build linux

package shmconn_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// TestDialRecords: until the connection stands nothing can be written; then comes HandleOpen, then HandleRoom for whoever
// has tried before, and then records.
func TestDialRecords(t *testing.T) {
	for _, tried := range []bool{false, true} {
		var order []string
		note := func(what string) func(*shmconn.RecordConn) error {
			return func(*shmconn.RecordConn) error { order = append(order, what); return nil }
		}
		h := newHome(t)
		path := ringPath(t)
		server := hooks{open: func(c *shmconn.RecordConn) error { return c.Send([]byte("welcome")) }}
		client := hooks{open: note("open"), room: note("room")}
		client.records = func(c *shmconn.RecordConn) error {
			order = append(order, "records")
			return shmconn.RecordFunc(client.keep).HandleRecords(c)
		}
		h.on(func() {
			_, err := shmconn.Listen(h.Communicator, path, shmconn.Records(&server, shmconn.RecordConfig{}), shmconn.ListenConfig{})
			must(t, err)
			c, err := shmconn.DialRecords(h.Communicator, shmconn.Dialer{Path: path}, &client, shmconn.RecordConfig{})
			must(t, err)
			if c.Transport() != nil || c.Loop() != h.Communicator || c.Handle().Name() != "shm "+path {
				t.Errorf("transport %v, name %q", c.Transport(), c.Handle().Name())
			}
			if tried {
				if _, err := c.Reserve(1); !errors.Is(err, shmconn.ErrFull) {
					t.Errorf("Reserve: %v", err)
				}
				if err := c.Commit(1); !errors.Is(err, shmconn.ErrNotReserved) {
					t.Errorf("Commit: %v", err)
				}
				if err := c.Send(nil); !errors.Is(err, shmconn.ErrFull) {
					t.Errorf("Send: %v", err)
				}
			}
			if _, ok := c.Next(); ok {
				t.Error("there is a record")
			}
			c.Unread()
			c.Release()
			c.Publish()
			c.CloseWrite()
			c.Pause()
			c.Resume()
		})
		h.until("a record", func() bool { return len(client.got) > 0 })
		h.settle()
		want := "open records"
		if tried {
			want = "open room records"
		}
		h.on(func() {
			if got := strings.Join(order, " "); got != want {
				t.Errorf("order: %s", got)
			}
		})
	}
}

// TestDialRecordsInVain: whatever keeps a connection from standing is told by HandleClose, once, or by the error.
func TestDialRecordsInVain(t *testing.T) {
	path := ringPath(t)
	for name, test := range map[string]struct {
		dialer connection.Dialer
		cause  error
		now    error
	}{
		"nobody there":  {dialer: shmconn.Dialer{Path: path}, cause: syscall.ENOENT},
		"out of bounds": {dialer: shmconn.Dialer{Path: path, Ring: shmconn.Config{Capacity: 5000}}, now: shmconn.ErrCapacity},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			var client hooks
			h.on(func() {
				before := h.Communicator.Stats().Live
				c, err := shmconn.DialRecords(h.Communicator, test.dialer, &client, shmconn.RecordConfig{})
				if !errors.Is(err, test.now) || test.now == nil && err != nil {
					t.Errorf("error %v, want %v", err, test.now)
				}
				if test.now != nil && (c != nil || h.Communicator.Stats().Live != before) {
					t.Errorf("%v, and %d sources are left", c, h.Communicator.Stats().Live-before)
				}
			})
			if test.now != nil {
				return
			}
			h.until("the failure", func() bool { return client.ended > 0 })
			h.on(func() {
				if client.opens > 0 || client.ended != 1 || !errors.Is(client.cause, test.cause) {
					t.Errorf("opened %d times, closed %d times, by %v", client.opens, client.ended, client.cause)
				}
			})
		})
	}
}

// TestDialRecordsGivenUp: Close, Abort, a shutdown and the end of the loop give up what is being dialled.
func TestDialRecordsGivenUp(t *testing.T) {
	for name, test := range map[string]struct {
		end   func(c *shmconn.RecordConn)
		cause error
	}{
		"Close":    {(*shmconn.RecordConn).Close, nil},
		"Abort":    {func(c *shmconn.RecordConn) { c.Abort(errOfTest) }, errOfTest},
		"Shutdown": {func(c *shmconn.RecordConn) { c.Loop().Shutdown(looptest.Patience) }, nil},
		"Stop":     {func(c *shmconn.RecordConn) { c.Loop().Stop(nil) }, communicator.ErrClosed},
	} {
		for _, turns := range []int{0, 1, 2} {
			t.Run(name, func(t *testing.T) {
				before := areas(t)
				h := newHome(t)
				path := ringPath(t)
				var server, client hooks
				h.on(func() {
					_, err := shmconn.Listen(h.Communicator, path, shmconn.Records(&server, shmconn.RecordConfig{}), shmconn.ListenConfig{})
					must(t, err)
					c, err := shmconn.DialRecords(h.Communicator, shmconn.Dialer{Path: path}, &client, shmconn.RecordConfig{})
					must(t, err)
					left := turns
					var later func()
					later = func() {
						if left--; left < 0 {
							test.end(c)
						} else {
							h.AfterTurn(later)
						}
					}
					later()
				})
				if name != "Stop" {
					h.until("the end", func() bool { return client.ended > 0 })
					h.settle()
				}
				h.stop()
				if client.ended != 1 || !errors.Is(client.cause, test.cause) {
					t.Errorf("closed %d times, by %v", client.ended, client.cause)
				}
				if server.ended != server.opens || len(server.got) > 0 {
					t.Errorf("the server opened %d, closed %d, got %q", server.opens, server.ended, server.got)
				}
				if now := areas(t); now != before {
					t.Errorf("%d areas are mapped, %d were", now, before)
				}
			})
		}
	}
}

// TestOtherTransports: records need a ring.
func TestOtherTransports(t *testing.T) {
	h := newHome(t)
	path := ringPath(t)
	var server, client, client2 hooks
	h.on(func() {
		_, err := unixsock.Listen(h.Communicator, path, shmconn.Records(&server, shmconn.RecordConfig{}), unixsock.ListenConfig{})
		must(t, err)
		_, err = shmconn.DialRecords(h.Communicator, unixsock.Dialer{Path: path}, &client, shmconn.RecordConfig{})
		must(t, err)
	})
	h.until("the failure", func() bool { return client.ended > 0 && len(h.log.Containing(shmconn.ErrNoRing.Error())) > 0 })
	h.on(func() {
		if client.opens+server.opens+server.ended > 0 || !errors.Is(client.cause, shmconn.ErrNoRing) {
			t.Errorf("opened %d, %d, closed by %v", client.opens, server.opens, client.cause)
		}
	})
	path = ringPath(t)
	closed := false
	h.on(func() {
		_, err := unixsock.Listen(h.Communicator, path, func(loop connection.Loop, transport connection.Transport) error {
			_, err := shmconn.NewRecordConn(loop, transport, &client2, shmconn.RecordConfig{})
			if !errors.Is(err, shmconn.ErrNoRing) {
				t.Errorf("NewRecordConn: %v", err)
			}
			closed = transport.FD() < 0
			return nil
		}, unixsock.ListenConfig{})
		must(t, err)
		_, err = connection.DialStream(h.Communicator, unixsock.Dialer{Path: path}, connection.DataFunc(func(s *connection.Stream, data []byte) (int, error) {
			return len(data), nil
		}), connection.StreamConfig{})
		must(t, err)
	})
	h.until("the failure", func() bool { return closed })
}

// TestNilHandler: it is a mistake of the program.
func TestNilHandler(t *testing.T) {
	loop, _ := looptest.New(t)
	for name, f := range map[string]func(){
		"Records":       func() { shmconn.Records(nil, shmconn.RecordConfig{}) },
		"DialRecords":   func() { _, _ = shmconn.DialRecords(loop, shmconn.Dialer{}, nil, shmconn.RecordConfig{}) },
		"NewRecordConn": func() { _, _ = shmconn.NewRecordConn(loop, nil, nil, shmconn.RecordConfig{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s took a nil handler", name)
				}
			}()
			f()
		}()
	}
}

// TestNewRecordConnOnAClosedLoop: what can't be added is closed.
func TestNewRecordConnOnAClosedLoop(t *testing.T) {
	other, _ := looptest.New(t)
	must(t, other.Close())
	h := newHome(t)
	path := ringPath(t)
	before := areas(t)
	var server, client hooks
	h.on(func() {
		_, err := shmconn.Listen(h.Communicator, path, func(_ connection.Loop, transport connection.Transport) error {
			_, err := shmconn.NewRecordConn(other, transport, &server, shmconn.RecordConfig{})
			if !errors.Is(err, communicator.ErrClosed) {
				t.Errorf("NewRecordConn: %v", err)
			}
			return err
		}, shmconn.ListenConfig{})
		must(t, err)
		_, err = shmconn.DialRecords(h.Communicator, shmconn.Dialer{Path: path}, &client, shmconn.RecordConfig{})
		must(t, err)
		if _, err := shmconn.DialRecords(other, shmconn.Dialer{Path: path}, &client, shmconn.RecordConfig{}); !errors.Is(err, communicator.ErrClosed) {
			t.Errorf("DialRecords: %v", err)
		}
	})
	h.until("the end", func() bool { return client.ended > 0 })
	h.on(func() {
		if server.ended+server.opens > 0 {
			t.Error("the handler heard of a connection that it never had")
		}
		if now := areas(t); now != before {
			t.Errorf("%d areas are mapped, %d were", now, before)
		}
	})
}

// TestRecordConfig: the name and the priority are those of the config; without a name it is the address.
func TestRecordConfig(t *testing.T) {
	var server, client hooks
	d := join(t, &server, &client, terms{
		serverRecords: shmconn.RecordConfig{Name: "named", Priority: 7}, clientTerms: shmconn.RecordConfig{Priority: -3},
	})
	d.on(func() {
		if s := d.server.Handle(); s.Name() != "named" || s.Priority() != 7 {
			t.Errorf("the server is %q, of priority %d", s.Name(), s.Priority())
		}
		if c := d.client.Handle(); c.Name() != "shm "+d.path || c.Priority() != -3 {
			t.Errorf("the client is %q, of priority %d", c.Name(), c.Priority())
		}
	})
	d = join(t, &server, &client, terms{})
	d.on(func() {
		if name := d.server.Handle().Name(); name != "shm client of "+d.path {
			t.Errorf("the server is %q", name)
		}
		must(t, d.client.Send([]byte("a record")))
	})
	d.settle()
	d.on(func() {
		for _, info := range d.Sources() {
			if info.Name == "shm client of "+d.path && (info.Read != 8 || info.Written != 0) {
				t.Errorf("listed: %+v", info)
			}
		}
	})
}
