//go:build linux

package connection_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// TestPermanentCloseDelivers: Close delivers what waits: while it dials, between attempts when the server
// comes back in time, and behind a slow peer.
func TestPermanentCloseDelivers(t *testing.T) {
	for _, away := range []int{0, 3} {
		for _, room := range []int{0, 1} {
			for _, shutdown := range []bool{false, true} {
				loop, _ := looptest.New(t)
				d := &pairs{tb: t, room: room}
				d.fail = func(n int) error {
					if n <= away {
						return errTest
					}
					return nil
				}
				l := live(t, loop, d, nil, connection.PermanentConfig{Backoff: again})
				want := numbered(0, 300)
				say(t, l.p, want...)
				if shutdown {
					loop.Shutdown(looptest.Patience)
				} else {
					l.p.Close()
				}
				if err := l.p.Send(message.New("LATE")); !errors.Is(err, connection.ErrClosed) {
					t.Errorf("Send: %v", err)
				}
				run(t, loop)
				if !slices.Equal(d.lines(), want) {
					t.Errorf("away %d, room %d: the peer got %q", away, room, d.lines())
				}
				events := slices.Repeat([]string{"failed test"}, away)
				l.expect(t, append(events, "up", "down <nil>", "closed <nil>")...)
			}
		}
	}
}

// TestPermanentCloseWhileDown: a connection that breaks while it closes is made again for what it hasn't delivered.
func TestPermanentCloseWhileDown(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &cutters{tb: t, list: []int{7, 7}}
	l := live(t, loop, d, nil, connection.PermanentConfig{Backoff: again})
	lines := numbered(0, 3)
	say(t, l.p, lines...)
	l.p.Close()
	run(t, loop)
	if !slices.Equal(d.whole(), lines) {
		t.Errorf("sent %q", d.whole())
	}
	l.expect(t, "up", "down test", "up", "down test", "up", "down <nil>", "closed <nil>")
}

// TestPermanentCloseTimeout: what was not delivered in time is reported, whether the peer doesn't read or
// isn't there. What was handed to the kernel in part counts as not delivered.
func TestPermanentCloseTimeout(t *testing.T) {
	const limit = 20 * time.Millisecond
	for _, up := range []bool{false, true} {
		loop, _ := looptest.New(t)
		d := &pairs{tb: t, room: 1}
		d.serve = func(p *peer) { p.Pause() }
		if !up {
			d.fail = func(int) error { return errTest }
		}
		var began time.Time
		config := connection.PermanentConfig{
			Backoff: connection.Backoff{First: time.Hour}, CloseTimeout: limit,
			Closed: func(*connection.Permanent, error) {
				for _, p := range d.peers {
					p.Abort(nil)
				}
			},
		}
		l := live(t, loop, d, nil, config)
		if err := l.p.Send(large("LARGE", 50_000)); err != nil {
			t.Fatal(err)
		}
		say(t, l.p, "WAITS")
		began = time.Now()
		l.p.Close()
		run(t, loop)
		if took := time.Since(began); took < limit {
			t.Errorf("up %v: it took %v", up, took)
		}
		if up {
			l.expect(t, "up", "down timeout", "lost LARGE timeout", "lost WAITS timeout", "closed timeout")
		} else {
			l.expect(t, "failed test", "lost LARGE timeout", "lost WAITS timeout", "closed timeout")
		}
	}
}

// TestPermanentCloseUnanswered: a peer that doesn't end its side doesn't make a failure of a Close that
// has delivered all, whichever limit of time comes first.
func TestPermanentCloseUnanswered(t *testing.T) {
	for _, limits := range [][2]time.Duration{{10 * time.Millisecond, time.Hour}, {time.Hour, 10 * time.Millisecond}} {
		loop, _ := looptest.New(t)
		d := &pairs{tb: t, serve: func(p *peer) { p.Pause() }}
		l := live(t, loop, d, nil, connection.PermanentConfig{
			CloseTimeout: limits[0],
			Message:      connection.MessageConfig{Stream: connection.StreamConfig{CloseTimeout: limits[1]}},
			Closed:       func(*connection.Permanent, error) { d.peers[0].Resume() },
		})
		say(t, l.p, "SENT")
		l.p.Close()
		run(t, loop)
		l.expect(t, "up", "down <nil>", "closed <nil>")
		if d.text(1) != "SENT\n" {
			t.Errorf("the peer got %q", d.text(1))
		}
	}
}

// TestPermanentLoopEnds: each message that waits is reported once when the loop ends, with what has ended
// it; one that the kernel has is none of them.
func TestPermanentLoopEnds(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t, room: 1, serve: func(p *peer) { p.Pause() }}
	l := live(t, loop, d, nil, connection.PermanentConfig{
		OnUp: func(p *connection.Permanent) error {
			say(t, p, "SENT")
			if err := p.Send(large("HALF", 50_000)); err != nil {
				t.Error(err)
			}
			say(t, p, "WAITS")
			loop.Stop(errTest)
			return nil
		},
		Closed: func(p *connection.Permanent, _ error) {
			if err := p.Send(message.New("LATE")); !errors.Is(err, connection.ErrClosed) {
				t.Errorf("Send: %v", err)
			}
			p.Close()
			p.Abort(errOther)
		},
	})
	if err := loop.Run(t.Context()); !errors.Is(err, errTest) {
		t.Errorf("Run: %v", err)
	}
	l.expect(t, "up", "down test", "lost HALF test", "lost WAITS test", "closed test")
}

// TestPermanentShutdownStuck: at the limit of a Shutdown what waits is reported.
func TestPermanentShutdownStuck(t *testing.T) {
	loop, _ := looptest.New(t)
	l := live(t, loop, blackHoleDialer{}, nil, connection.PermanentConfig{})
	say(t, l.p, "WAITS")
	loop.Shutdown(10 * time.Millisecond)
	if err := loop.Run(t.Context()); err == nil {
		t.Error("Run: no error")
	}
	l.expect(t, "lost WAITS loop", "closed loop")
}
