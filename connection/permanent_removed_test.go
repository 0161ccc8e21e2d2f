//go:build linux

package connection_test

import (
	"slices"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// TestPermanentHandleRemoved: whoever removes the handle ends all of it, the connection as well, whatever it is about to do.
func TestPermanentHandleRemoved(t *testing.T) {
	for _, cause := range []error{nil, errTest} {
		why, reported := "<nil>", "ErrClosed"
		if cause != nil {
			why, reported = "test", "test"
		}
		for name, c := range map[string]struct {
			d    connection.Dialer
			want []string
		}{
			"up":         {&pairs{tb: t}, []string{"up", "down " + why, "closed " + why}},
			"dialling":   {blackHoleDialer{}, []string{"lost WAITS " + reported, "closed " + why}},
			"in a pause": {&pairs{tb: t, fail: func(int) error { return errOther }}, []string{"failed other", "lost WAITS " + reported, "closed " + why}},
		} {
			loop, _ := looptest.New(t)
			remove := func(p *connection.Permanent) {
				p.Handle().Remove(cause)
				if err := p.Send(message.New("LATE")); short(err) != "ErrClosed" {
					t.Errorf("%s: Send: %v", name, err)
				}
			}
			l := live(t, loop, c.d, nil, connection.PermanentConfig{
				Backoff:         connection.Backoff{First: time.Hour},
				OnUp:            func(p *connection.Permanent) error { remove(p); return nil },
				OnAttemptFailed: func(p *connection.Permanent, _ error, _ time.Duration) { remove(p) },
			})
			if name != "up" {
				say(t, l.p, "WAITS")
			}
			if name == "dialling" {
				_ = loop.Post(func() { remove(l.p) })
			}
			run(t, loop)
			l.expect(t, c.want...)
		}
	}
}

// TestPermanentRemovedAndConnected: the connection that comes in the turn in which the handle was removed is none any more.
func TestPermanentRemovedAndConnected(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t}
	l := live(t, loop, d, nil, connection.PermanentConfig{})
	say(t, l.p, "WAITS")
	l.p.Handle().Remove(errTest)
	run(t, loop)
	l.expect(t, "lost WAITS test", "closed test")
	if lines := d.lines(); len(lines) > 0 {
		t.Errorf("the peer got %q", lines)
	}
}

// TestAbortWhileAcknowledged: an acknowledgement lets what waits go, and reports what has expired; where that aborts, no handler
// is called any more, not even for the acknowledgement.
func TestAbortWhileAcknowledged(t *testing.T) {
	const validity = time.Millisecond
	for _, aborts := range []bool{false, true} {
		loop, _ := looptest.New(t)
		d := &pairs{tb: t, serve: func(p *peer) {
			p.line = func(string) { p.say("NEWS", "ACK i=0", "MORE") }
		}}
		var l *life
		var handled []string
		l = live(t, loop, d, message.HandlerFunc(func(_ message.Sender, m *message.Message) error {
			handled = append(handled, m.Command())
			switch m.Command() {
			case "NEWS":
				if err := l.p.SendWithin(message.New("N").SetInt("i", 1), validity); err != nil {
					t.Error(err)
				}
				for sent := time.Now(); time.Since(sent) <= validity; { // it expires before the next line is looked at
				}
			case "MORE":
				l.p.Abort(errOther)
			}
			return nil
		}), connection.PermanentConfig{
			Acknowledges: acknowledges, MaxInFlight: 1,
			Undelivered: func(p *connection.Permanent, _ *message.Message, _ error) {
				if aborts {
					p.Abort(errTest)
				}
			},
		})
		say(t, l.p, "N i=0")
		run(t, loop)
		want, why := []string{"NEWS", "ACK", "MORE"}, "other"
		if aborts {
			want, why = want[:1], "test"
		}
		if !slices.Equal(handled, want) {
			t.Errorf("aborts %v: handled %q, want %q", aborts, handled, want)
		}
		l.expect(t, "up", "lost N expired", "down "+why, "closed "+why)
	}
}
