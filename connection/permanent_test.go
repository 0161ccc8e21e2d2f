//go:build linux

package connection_test

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// TestPermanentOrder: what Opened sends goes first, then what has waited, then what OnUp sends, and then
// anything newer.
func TestPermanentOrder(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t}
	l := live(t, loop, d, nil, connection.PermanentConfig{
		Message: connection.MessageConfig{Opened: func(c *connection.MessageConn) error {
			say(t, c, "OPENED")
			return nil
		}},
		OnUp: func(p *connection.Permanent) error {
			say(t, p, "UP")
			_ = loop.Post(func() {
				say(t, p, "NEWER")
				p.Close()
			})
			return nil
		},
	})
	if len(d.times) != 1 {
		t.Error("the first attempt did not begin at once")
	}
	if l.p.Up() || l.p.Conn() != nil || l.p.Connections() != 0 {
		t.Errorf("up: %v, %v, %d connections before the first", l.p.Up(), l.p.Conn(), l.p.Connections())
	}
	say(t, l.p, "FIRST", "SECOND")
	if waiting, inFlight := l.p.Queued(); waiting != 2 || inFlight != 0 {
		t.Errorf("%d wait, %d in flight", waiting, inFlight)
	}
	run(t, loop)
	if got, want := d.text(1), "OPENED\nFIRST\nSECOND\nUP\nNEWER\n"; got != want {
		t.Errorf("the peer got %q, want %q", got, want)
	}
	l.expect(t, "up", "down <nil>", "closed <nil>")
	if waiting, inFlight := l.p.Queued(); waiting != 0 || inFlight != 0 || l.p.Connections() != 1 || l.p.Up() {
		t.Errorf("%d wait, %d in flight, %d connections, up: %v", waiting, inFlight, l.p.Connections(), l.p.Up())
	}
	if err := l.p.Send(message.New("LATE")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Send after the end: %v", err)
	}
}

// TestPermanentOpenedSends: what Opened sends by the Permanent comes after what has waited.
func TestPermanentOpenedSends(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t}
	var p *connection.Permanent
	l := live(t, loop, d, nil, connection.PermanentConfig{
		Message: connection.MessageConfig{Opened: func(c *connection.MessageConn) error {
			say(t, p, "LAST")
			say(t, c, "OPENED")
			return nil
		}},
		OnUp: func(p *connection.Permanent) error { p.Close(); return nil },
	})
	p = l.p
	say(t, p, "WAITED")
	run(t, loop)
	if got := d.text(1); got != "OPENED\nWAITED\nLAST\n" {
		t.Errorf("the peer got %q", got)
	}
}

// TestPermanentBadAddress: only what can't even begin is an error of NewPermanent.
func TestPermanentBadAddress(t *testing.T) {
	loop, _ := looptest.New(t)
	if _, err := connection.NewPermanent(loop, tcp.Dialer{Address: "nowhere"}, nobody, connection.PermanentConfig{}); err == nil {
		t.Error("no error for an address that can't be one")
	}
	if n := loop.Stats().Live; n != 0 {
		t.Errorf("%d sources left", n)
	}
	l := live(t, loop, tcp.Dialer{Address: closedPort(t).String()}, nil, connection.PermanentConfig{
		OnAttemptFailed: func(p *connection.Permanent, err error, _ time.Duration) {
			var opError *net.OpError
			if !errors.As(err, &opError) || opError.Op != "dial" {
				t.Errorf("failed with %v", err)
			}
			p.Close()
		},
	})
	if !strings.HasPrefix(l.p.Handle().Name(), "permanent tcp 127.0.0.1:") {
		t.Errorf("name %q", l.p.Handle().Name())
	}
	run(t, loop)
	if len(l.events) != 2 || l.events[1] != "closed <nil>" {
		t.Errorf("told %q", l.events)
	}
	if _, err := connection.NewPermanent(loop, &pairs{tb: t}, nobody, connection.PermanentConfig{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("in a loop that has ended: %v", err)
	}
}

func TestPermanentNilHandler(t *testing.T) {
	loop, _ := looptest.New(t)
	defer func() {
		if recover() == nil {
			t.Error("no panic for a nil handler")
		}
	}()
	_, _ = connection.NewPermanent(loop, &pairs{tb: t}, nil, connection.PermanentConfig{})
}

// TestPermanentEndings: each way in which a connection that stands, and the Permanent, can end. After an
// end that is none of the Permanent the second connection closes it.
func TestPermanentEndings(t *testing.T) {
	var refuse error
	for _, c := range []struct {
		name string
		end  func(loop connection.Loop, d *pairs, p *connection.Permanent) error // in OnUp
		want []string
	}{
		{"the peer's end", func(_ connection.Loop, d *pairs, _ *connection.Permanent) error {
			d.peers[0].Stream.Close()
			return nil
		}, []string{"up", "down <nil>", "up", "down <nil>", "closed <nil>"}},
		{"the peer's end in a line", func(_ connection.Loop, d *pairs, _ *connection.Permanent) error {
			_, _ = d.peers[0].Write([]byte("HAL"))
			d.peers[0].Stream.Close()
			return nil
		}, []string{"up", "down unfinished", "up", "down <nil>", "closed <nil>"}},
		{"a reset", func(_ connection.Loop, d *pairs, p *connection.Permanent) error {
			d.peers[0].Pause()
			say(t, p, "UNREAD")
			d.peers[0].reset()
			return nil
		}, []string{"up", "down reset", "up", "down <nil>", "closed <nil>"}},
		{"an error of the handler", func(_ connection.Loop, d *pairs, _ *connection.Permanent) error {
			d.peers[0].say("FAIL")
			return nil
		}, []string{"up", "down test", "up", "down <nil>", "closed <nil>"}},
		{"an error of OnUp", func(connection.Loop, *pairs, *connection.Permanent) error {
			return errTest
		}, []string{"up", "down test", "up", "down <nil>", "closed <nil>"}},
		{"the connection's Close", func(_ connection.Loop, _ *pairs, p *connection.Permanent) error {
			p.Conn().Close()
			return nil
		}, []string{"up", "down <nil>", "up", "down <nil>", "closed <nil>"}},
		{"the connection's Abort", func(_ connection.Loop, _ *pairs, p *connection.Permanent) error {
			p.Conn().Stream().Abort(errTest)
			return nil
		}, []string{"up", "down test", "up", "down <nil>", "closed <nil>"}},
		{"Close", func(_ connection.Loop, _ *pairs, p *connection.Permanent) error {
			p.Close()
			p.Close()
			return nil
		}, []string{"up", "down <nil>", "closed <nil>"}},
		{"Abort", func(_ connection.Loop, _ *pairs, p *connection.Permanent) error {
			p.Abort(errTest)
			p.Abort(errOther)
			p.Close()
			return nil
		}, []string{"up", "down test", "closed test"}},
		{"Close, then Abort", func(_ connection.Loop, _ *pairs, p *connection.Permanent) error {
			p.Close()
			p.Abort(errTest)
			return nil
		}, []string{"up", "down test", "closed test"}},
		{"Abort without a cause", func(_ connection.Loop, _ *pairs, p *connection.Permanent) error {
			p.Abort(nil)
			return nil
		}, []string{"up", "down <nil>", "closed <nil>"}},
		{"the loop's end", func(loop connection.Loop, _ *pairs, _ *connection.Permanent) error {
			loop.Stop(nil)
			return nil
		}, []string{"up", "down loop", "closed loop"}},
		{"Shutdown", func(loop connection.Loop, _ *pairs, _ *connection.Permanent) error {
			loop.Shutdown(looptest.Patience)
			return nil
		}, []string{"up", "down <nil>", "closed <nil>"}},
		{"a dialer that refuses from then on", func(_ connection.Loop, d *pairs, p *connection.Permanent) error {
			refuse = errTest
			d.peers[0].Stream.Close()
			return nil
		}, []string{"up", "down <nil>", "failed test", "closed <nil>"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			loop, _ := looptest.New(t)
			refuse = nil
			d := &pairs{tb: t, refuse: func(int) error { return refuse }}
			l := live(t, loop, d, message.HandlerFunc(func(message.Sender, *message.Message) error { return errTest }), connection.PermanentConfig{
				Backoff: again,
				OnUp: func(p *connection.Permanent) error {
					if !p.Up() || p.Conn() == nil {
						t.Errorf("OnUp: up: %v, connection %v", p.Up(), p.Conn())
					}
					if p.Connections() > 1 {
						p.Close()
						return nil
					}
					return c.end(loop, d, p)
				},
				OnDown: func(p *connection.Permanent, _ error) {
					if p.Up() || p.Conn() != nil {
						t.Errorf("OnDown: up: %v, connection %v", p.Up(), p.Conn())
					}
				},
				OnAttemptFailed: func(p *connection.Permanent, _ error, _ time.Duration) { p.Close() },
			})
			run(t, loop)
			l.expect(t, c.want...)
		})
	}
}

// TestPermanentEndsAway: it can end while it dials, and between two attempts; what waits is reported.
func TestPermanentEndsAway(t *testing.T) {
	ends := []struct {
		name string
		end  func(loop connection.Loop, p *connection.Permanent)
		why  string // of the message that waits, and the cause of the end
		want string
	}{
		{"Abort", func(_ connection.Loop, p *connection.Permanent) { p.Abort(errTest) }, "test", "closed test"},
		{"Abort without a cause", func(_ connection.Loop, p *connection.Permanent) { p.Abort(nil) }, "ErrClosed", "closed <nil>"},
		{"Stop", func(loop connection.Loop, _ *connection.Permanent) { loop.Stop(nil) }, "loop", "closed loop"},
		{"Close", func(_ connection.Loop, p *connection.Permanent) { p.Close() }, "timeout", "closed timeout"},
		{"Shutdown", func(loop connection.Loop, _ *connection.Permanent) { loop.Shutdown(looptest.Patience) }, "timeout", "closed timeout"},
	}
	for _, c := range ends {
		for _, waits := range []bool{false, true} {
			for _, dialling := range []bool{false, true} {
				loop, _ := looptest.New(t)
				d := &pairs{tb: t}
				if dialling {
					d.fail = func(int) error { t.Error("the dial was not cancelled"); return errTest }
				} else {
					d.fail = func(int) error { return errOther }
				}
				var end func()
				config := connection.PermanentConfig{Backoff: connection.Backoff{First: time.Hour}, CloseTimeout: 10 * time.Millisecond}
				config.OnAttemptFailed = func(*connection.Permanent, error, time.Duration) { _ = loop.Post(func() { end() }) }
				var dialer connection.Dialer = d
				if dialling {
					dialer = blackHoleDialer{}
				}
				l := live(t, loop, dialer, nil, config)
				end = func() { c.end(loop, l.p) }
				var want []string
				if waits {
					say(t, l.p, "WAITS")
					want = append(want, "lost WAITS "+c.why)
				}
				if dialling {
					_ = loop.Post(end)
				} else {
					want = slices.Insert(want, 0, "failed other")
				}
				closed := c.want
				if waits && !dialling && strings.HasSuffix(closed, "timeout") {
					want = slices.Insert(want, 0, "failed other") // what waits has no time for a pause
				}
				if !waits && strings.HasSuffix(closed, "timeout") {
					closed = "closed <nil>"
				}
				run(t, loop)
				if want = append(want, closed); !slices.Equal(l.events, want) {
					t.Errorf("%s, waits %v, dialling %v: told %q, want %q", c.name, waits, dialling, l.events, want)
				}
			}
		}
	}
}

// blackHoleDialer never comes to an end.
type blackHoleDialer struct{}

func (blackHoleDialer) Dial(connection.Loop, func(connection.Transport, error)) (func(), error) {
	return func() {}, nil
}

// TestPermanentBeforeRun: it can be ended before the loop runs.
func TestPermanentBeforeRun(t *testing.T) {
	for want, end := range map[string]func(loop connection.Loop, p *connection.Permanent){
		"closed <nil>": func(_ connection.Loop, p *connection.Permanent) { p.Close() },
		"closed test":  func(_ connection.Loop, p *connection.Permanent) { p.Abort(errTest) },
		"closed loop":  func(loop connection.Loop, _ *connection.Permanent) { _ = loop.Close() },
	} {
		loop, _ := looptest.New(t)
		l := live(t, loop, blackHoleDialer{}, nil, connection.PermanentConfig{})
		end(loop, l.p)
		if want != "closed loop" {
			run(t, loop)
		}
		l.expect(t, want)
	}
}

// TestPermanentReplies: what the handler answers to its sender goes to the connection that asked, or nowhere.
func TestPermanentReplies(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t}
	var askers []message.Sender
	l := live(t, loop, d, message.HandlerFunc(func(from message.Sender, _ *message.Message) error {
		askers = append(askers, from)
		if len(askers) == 1 {
			return from.Send(message.New("HERE"))
		}
		if err := askers[0].Send(message.New("OLD")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Send to a connection that has ended: %v", err)
		}
		return from.Send(message.New("THERE"))
	}), connection.PermanentConfig{Backoff: again})
	d.serve = func(p *peer) {
		p.say("ASK")
		p.line = func(line string) {
			if line == "HERE" {
				p.Stream.Close()
			} else {
				l.p.Close()
			}
		}
	}
	run(t, loop)
	if d.text(1) != "HERE\n" || d.text(2) != "THERE\n" {
		t.Errorf("the peers got %q, %q", d.text(1), d.text(2))
	}
}
