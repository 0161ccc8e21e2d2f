//go:build linux

package shmconn_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// expectEnd holds that an end was closed once, with that cause.
func expectEnd(t testing.TB, name string, h *hooks, cause error) {
	t.Helper()
	if h.ended != 1 || !errors.Is(h.cause, cause) || cause == nil && h.cause != nil {
		t.Errorf("the %s was closed %d times, by %v; want once, by %v", name, h.ended, h.cause, cause)
	}
	var op *net.OpError
	if cause != nil && !errors.Is(cause, errOfTest) && (!errors.As(h.cause, &op) || op.Net != "shm") {
		t.Errorf("the cause is no *net.OpError of a ring: %#v", h.cause)
	}
}

// TestCloseDelivers: what was committed or staged before Close comes, and then the end, which is orderly for both.
func TestCloseDelivers(t *testing.T) {
	for name, n := range map[string]int{"short": 100, "long": 2 * tiny} {
		for _, end := range []struct {
			name  string
			f     func(c *shmconn.RecordConn)
			cause error
		}{
			{"Close", (*shmconn.RecordConn).Close, nil},
			{"Abort", func(c *shmconn.RecordConn) { c.Abort(errOfTest) }, errOfTest},
			{"Shutdown", func(c *shmconn.RecordConn) { c.Loop().Shutdown(looptest.Patience) }, nil},
			{"Stop", func(c *shmconn.RecordConn) { c.Loop().Stop(nil) }, communicator.ErrClosed},
		} {
			t.Run(name+" "+end.name, func(t *testing.T) {
				var server, client hooks
				server.closed = func(*shmconn.RecordConn, error) {
					expectRecords(t, server.got, text(n, "a"), text(n, "b"), text(n, "c"))
				}
				d := join(t, &server, &client, terms{apart: true})
				d.on(func() {
					must(t, d.client.Send([]byte(text(n, "a"))))
					for _, letter := range []string{"b", "c"} {
						room, err := d.client.Reserve(n)
						must(t, err)
						must(t, d.client.Stage(copy(room, text(n, letter))))
					}
					end.f(d.client)
				})
				d.there.until("the end", func() bool { return server.ended > 0 })
				d.there.on(func() { expectEnd(t, "server", &server, nil) })
				if d.home.stop(); client.ended != 1 || !errors.Is(client.cause, end.cause) {
					t.Errorf("the client was closed %d times, by %v", client.ended, client.cause)
				}
			})
		}
	}
}

// TestCloseEndsAtOnce: what was staged is there when Close returns, and that it was all: the process may end now.
func TestCloseEndsAtOnce(t *testing.T) {
	server := lasting{hooks: hooks{records: nothing}}
	var client hooks
	d := join(t, &server, &client, terms{})
	d.on(func() {
		room, err := d.client.Reserve(1)
		must(t, err)
		must(t, d.client.Stage(copy(room, "a")))
		d.client.Close()
		if record, ok := d.server.Next(); !ok || string(record) != "a" {
			t.Errorf("the server has %q, %v", record, ok)
		}
		d.server.Release()
		if _, err := d.server.Transport().Read(make([]byte, 1)); !errors.Is(err, io.EOF) { // which is for streams
			t.Errorf("the end is %v", err)
		}
	})
	d.settle()
	d.on(d.server.Close)
}

// TestCloseAtTheEndOfTheTurn: HandleClose is called after the callback that has closed, not within, and nothing comes in
// between.
func TestCloseAtTheEndOfTheTurn(t *testing.T) {
	for name, end := range map[string]func(c *shmconn.RecordConn) error{
		"Close": func(c *shmconn.RecordConn) error { c.Close(); return nil },
		"Abort": func(c *shmconn.RecordConn) error { c.Abort(nil); return nil },
		"error": func(*shmconn.RecordConn) error { return errOfTest },
	} {
		t.Run(name, func(t *testing.T) {
			inside, calls := false, 0
			var server hooks
			server.records = shmconn.RecordFunc(func(c *shmconn.RecordConn, _ []byte) error {
				calls++
				inside = true
				defer func() { inside = false }()
				return end(c)
			}).HandleRecords
			server.closed = func(*shmconn.RecordConn, error) {
				if inside {
					t.Error("HandleClose within another callback")
				}
			}
			client := hooks{open: func(c *shmconn.RecordConn) error {
				return errors.Join(c.Send([]byte("one")), c.Send([]byte("two")))
			}}
			d := join(t, &server, &client, terms{})
			d.until("the end", func() bool { return server.ended > 0 && client.ended > 0 })
			d.settle()
			d.on(func() {
				if calls != 1 || server.ended != 1 {
					t.Errorf("%d records, closed %d times", calls, server.ended)
				}
				expectEnd(t, "client", &client, shmconn.ErrUnread) // the second was not read
			})
		})
	}
}

// TestCloseWrite: the peer hears of the end when it has read all, and can still send; with a handler that has no ear for
// it the connection closes.
func TestCloseWrite(t *testing.T) {
	t.Run("with HandleEOF", func(t *testing.T) {
		var server lasting
		server.eof = func(c *shmconn.RecordConn) error {
			expectRecords(t, server.got, "a", "b")
			return c.Send([]byte("late"))
		}
		var client hooks
		d := join(t, &server, &client, terms{})
		d.on(func() {
			must(t, d.client.Send([]byte("a")))
			room, err := d.client.Reserve(1)
			must(t, err)
			must(t, d.client.Stage(copy(room, "b")))
			d.client.CloseWrite()
			d.client.CloseWrite()
		})
		d.settle()
		d.on(func() {
			if server.eofs != 1 || server.ended+client.ended > 0 {
				t.Errorf("HandleEOF %d times, closed: %d, %d", server.eofs, server.ended, client.ended)
			}
			must(t, d.server.Send([]byte("later")))
		})
		d.settle()
		d.on(func() {
			expectRecords(t, client.got, "late", "later")
			d.server.Close()
		})
		d.settle()
		d.on(func() {
			expectEnd(t, "server", &server.hooks, nil)
			expectEnd(t, "client", &client, nil)
			if server.eofs != 1 {
				t.Errorf("HandleEOF %d times", server.eofs)
			}
		})
	})
	t.Run("without", func(t *testing.T) {
		var server, client hooks
		d := join(t, &server, &client, terms{})
		d.on(func() {
			must(t, d.client.Send([]byte("a")))
			d.client.CloseWrite()
		})
		d.settle()
		d.on(func() {
			expectRecords(t, server.got, "a")
			expectEnd(t, "server", &server, nil)
			expectEnd(t, "client", &client, nil)
		})
	})
}

// TestUnreadTold: a peer whose records were left unread learns of that, after what was sent to it.
func TestUnreadTold(t *testing.T) {
	for name, end := range map[string]func(c *shmconn.RecordConn){
		"Abort": func(c *shmconn.RecordConn) { c.Abort(errOfTest) },
		"Close": (*shmconn.RecordConn).Close,
	} {
		for _, read := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				server := hooks{records: nothing}
				client := hooks{records: nothing}
				d := join(t, &server, &client, terms{})
				d.on(func() {
					must(t, d.client.Send([]byte("to the server")))
					must(t, d.server.Send([]byte("to the client")))
				})
				d.settle()
				d.on(func() {
					if read {
						d.server.Next()
					}
					end(d.server)
				})
				d.settle()
				d.on(func() {
					if client.ended > 0 {
						t.Errorf("closed by %v before all was read", client.cause)
					}
					client.records = nil
					d.client.Resume()
				})
				d.settle()
				d.on(func() {
					expectRecords(t, client.got, "to the client")
					if read {
						expectEnd(t, "client", &client, nil)
					} else {
						expectEnd(t, "client", &client, shmconn.ErrUnread)
						expectEnd(t, "client", &client, syscall.ECONNRESET)
					}
					d.server.Release()
				})
			})
		}
	}
}

// TestPauseResume: nothing comes while it is paused, not even the rest of a batch, and all of it afterwards. The peer's
// orderly end goes unnoticed meanwhile.
func TestPauseResume(t *testing.T) {
	var server, client lasting
	server.records = shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error {
		if string(record) == "pause" {
			c.Pause()
		}
		return server.keep(c, record)
	}).HandleRecords
	d := join(t, &server, &client, terms{})
	send := func(records ...string) {
		for _, record := range records {
			must(t, d.client.Send([]byte(record)))
		}
	}
	d.on(func() { send("a", "pause", "b", "c") })
	d.settle()
	d.on(func() {
		expectRecords(t, server.got, "a", "pause")
		send("pause", "d")
		d.server.Resume()
		d.server.Resume()
	})
	d.settle()
	d.on(func() {
		expectRecords(t, server.got, "a", "pause", "b", "c", "pause")
		d.server.Resume()
	})
	d.settle()
	d.on(func() {
		expectRecords(t, server.got, "a", "pause", "b", "c", "pause", "d")
		d.server.Pause()
		d.client.Close()
	})
	d.settle()
	d.on(func() {
		if server.eofs+server.ended > 0 {
			t.Error("the end was noticed while it was paused")
		}
		d.server.Resume()
	})
	d.settle()
	d.on(func() { expectEnd(t, "server", &server.hooks, nil) })
	if server.eofs != 0 { // there is nobody to write to
		t.Errorf("HandleEOF %d times", server.eofs)
	}
}

// TestPausedSleeps: a connection that is paused costs nothing, though there is something to read or its peer has gone.
func TestPausedSleeps(t *testing.T) {
	for name, end := range map[string]func(d *duo){
		"something to read": func(*duo) {},
		"orderly end":       func(d *duo) { d.on(d.client.Close) },
		"death":             func(d *duo) { d.kill() },
		"death of a slow reader": func(d *duo) {
			d.on(func() { fill(t, d.server, 100) })
			d.kill()
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := hooks{records: nothing, room: func(c *shmconn.RecordConn) error { fill(t, c, 100); return nil }}
			var client hooks
			d := join(t, &server, &client, terms{})
			d.on(func() { fill(t, d.client, 100) })
			d.settle()
			end(d)
			d.settle()
			var before, after uint64
			d.on(func() { before = d.Stats().Callbacks })
			d.settle()
			d.on(func() { after = d.Stats().Callbacks })
			if after-before > 20 { // those of settle
				t.Errorf("%d callbacks", after-before)
			}
		})
	}
}

// TestDisabled: a source that is switched off gets nothing, and all when it is on again.
func TestDisabled(t *testing.T) {
	var server, client hooks
	d := join(t, &server, &client, terms{})
	d.on(func() {
		d.server.Handle().SetEnabled(false)
		must(t, d.client.Send([]byte("a")))
	})
	d.settle()
	d.on(func() {
		expectRecords(t, server.got)
		d.server.Handle().SetEnabled(true)
	})
	d.settle()
	d.on(func() {
		expectRecords(t, server.got, "a")
		d.server.Handle().SetPriority(-1)
		must(t, d.client.Send([]byte("b")))
	})
	d.settle()
	d.on(func() { expectRecords(t, server.got, "a", "b") })
}

// recordsOnly is a handler that has no ear for anything but records.
type recordsOnly struct{ err error }

func (m recordsOnly) HandleRecords(c *shmconn.RecordConn) error {
	for _, ok := c.Next(); ok; _, ok = c.Next() {
		continue
	}
	c.Release()
	return m.err
}

// TestFailuresAreLogged: those of a handler without HandleClose, but not an orderly end; once a second at most for all
// connections of one Serve.
func TestFailuresAreLogged(t *testing.T) {
	const text = "a connection failed"
	for name, test := range map[string]struct {
		err  error
		logs int
	}{"orderly": {nil, 0}, "failed": {errOfTest, 1}} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			path := ringPath(t)
			const count = 5
			clients := make([]hooks, count)
			h.on(func() {
				_, err := shmconn.Listen(h.Communicator, path, shmconn.Records(recordsOnly{test.err}, shmconn.RecordConfig{Name: "the name"}), shmconn.ListenConfig{})
				must(t, err)
				for i := range clients {
					clients[i].open = func(c *shmconn.RecordConn) error {
						if test.err == nil {
							defer c.Close()
						}
						return c.Send([]byte("a"))
					}
					_, err := shmconn.DialRecords(h.Communicator, shmconn.Dialer{Path: path}, &clients[i], shmconn.RecordConfig{})
					must(t, err)
				}
			})
			for i := range clients {
				h.until("the end", func() bool { return clients[i].ended > 0 })
			}
			logs := h.log.Containing(text)
			if len(logs) != test.logs {
				t.Errorf("logged: %q", logs)
			}
			for _, log := range logs {
				if !strings.Contains(log, errOfTest.Error()) || !strings.Contains(log, "the name") {
					t.Errorf("logged: %q", log)
				}
			}
		})
	}
}

// TestIdleSleeps: two ends with nothing to say leave the loop asleep.
func TestIdleSleeps(t *testing.T) {
	var server, client hooks
	d := join(t, &server, &client, terms{})
	d.on(func() { must(t, d.client.Send([]byte("a"))) })
	d.settle()
	var before, after communicator.Stats
	var slept shmconn.Stats
	d.on(func() { before = d.Stats() })
	woken := make(chan struct{})
	d.on(func() {
		_, err := d.Add(alarm{woken}, communicator.Options{Deadline: time.Now().Add(50 * time.Millisecond)})
		must(t, err)
	})
	looptest.Await(t, woken, "the alarm")
	d.on(func() {
		after = d.Stats()
		slept = d.server.Transport().Stats()
	})
	if turns := after.Turns - before.Turns; turns > 5 {
		t.Errorf("%d turns", turns)
	}
	if slept.Sleeps == 0 {
		t.Errorf("%+v", slept)
	}
}

// alarm closes a channel when its deadline has come.
type alarm struct{ c chan struct{} }

func (alarm) FD() int { return communicator.NoFD }

func (a alarm) HandleTimeout(h *communicator.Handle) error {
	close(a.c)
	h.Remove(nil)
	return nil
}
