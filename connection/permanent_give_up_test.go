//go:build linux

package connection_test

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// TestPermanentRefused: a message that one connection after the other is cut off in is given up, and what
// is behind it goes out. Connections that end before it has begun don't count.
func TestPermanentRefused(t *testing.T) {
	for _, c := range []struct {
		cuts    []int
		refused bool
	}{
		{[]int{3, 3, 3, 3}, false},
		{[]int{3, 3, 3, 3, 3}, true},
		{[]int{3, 0, 1, 0, 0, 7, 0, 0, 0, 2}, false},
		{[]int{0, 0, 0, 0, 0, 0, 0}, false},
	} {
		loop, _ := looptest.New(t)
		d := &cutters{tb: t, list: c.cuts}
		l := live(t, loop, d, nil, connection.PermanentConfig{
			Backoff: connection.Backoff{First: 1, Max: 1},
			OnUp: func(p *connection.Permanent) error {
				if p.Connections() > uint64(len(c.cuts)) {
					p.Close()
				}
				return nil
			},
		})
		say(t, l.p, "TOO_LONG", "NEXT")
		run(t, loop)
		want := []string{"TOO_LONG", "NEXT"}
		if c.refused {
			want = want[1:]
		}
		lost := slices.Contains(l.events, "lost TOO_LONG refused")
		if !slices.Equal(d.whole(), want) || lost != c.refused {
			t.Errorf("cuts %v: sent %q, told %q", c.cuts, d.whole(), l.events)
		}
	}
}

// TestAcknowledgeTimeout: a connection on which a message isn't acknowledged in time is given up, and what
// is in flight is in doubt. Acknowledgements of others don't help; those that come in time do no harm.
func TestAcknowledgeTimeout(t *testing.T) {
	const limit = 15 * time.Millisecond
	loop, _ := looptest.New(t)
	d := &pairs{tb: t, serve: func(p *peer) {
		p.line = func(line string) {
			if p.number == 2 || line != "N i=1" {
				p.say(ack(line))
			}
		}
	}}
	var began time.Time
	l := live(t, loop, d, nil, connection.PermanentConfig{
		Acknowledges: acknowledges, AcknowledgeTimeout: limit, Backoff: again,
		OnUp: func(p *connection.Permanent) error {
			began = time.Now()
			say(t, p, numbered(0, 3)...)
			if p.Connections() == 2 {
				p.Close()
			}
			return nil
		},
		OnDown: func(p *connection.Permanent, cause error) {
			if p.Connections() > 1 {
				return
			}
			if took := time.Since(began); took < limit-time.Millisecond { // the loop's clock is that of the callback's begin
				t.Errorf("given up after %v", took)
			}
			if !errors.Is(cause, os.ErrDeadlineExceeded) {
				t.Errorf("down with %v", cause)
			}
		},
	})
	run(t, loop)
	l.expect(t, "up", "lost N doubt", "down unacknowledged", "up", "down <nil>", "closed <nil>")
}

// TestAcknowledgedInTime: one message after the other, each in time, for longer than one may take.
func TestAcknowledgedInTime(t *testing.T) {
	const limit = 40 * time.Millisecond
	loop, _ := looptest.New(t)
	end := time.Now().Add(3 * limit)
	var l *life
	i := int64(0)
	send := func() {
		if time.Now().After(end) {
			l.p.Close()
			return
		}
		i++
		if err := l.p.Send(message.New("N").SetInt("i", i)); err != nil {
			t.Error(err)
		}
	}
	d := &pairs{tb: t, serve: func(p *peer) { p.line = func(line string) { p.say(ack(line)) } }}
	l = live(t, loop, d, message.HandlerFunc(func(message.Sender, *message.Message) error {
		send()
		return nil
	}), connection.PermanentConfig{Acknowledges: acknowledges, AcknowledgeTimeout: limit})
	send()
	run(t, loop)
	l.expect(t, "up", "down <nil>", "closed <nil>")
}

// TestPermanentCloseDialsAtOnce: Close between two attempts doesn't wait for the pause's end.
func TestPermanentCloseDialsAtOnce(t *testing.T) {
	for _, before := range []bool{false, true} { // the very first attempt
		loop, _ := looptest.New(t)
		d := &pairs{tb: t}
		config := connection.PermanentConfig{Backoff: connection.Backoff{Pauses: []time.Duration{-time.Hour}}}
		if !before {
			failUpTo(d, 1, false)
			config.Backoff = connection.Backoff{First: time.Hour}
			config.OnAttemptFailed = func(p *connection.Permanent, _ error, _ time.Duration) { _ = loop.Post(p.Close) }
		}
		l := live(t, loop, d, nil, config)
		say(t, l.p, "WAITS")
		if before {
			l.p.Close()
		}
		run(t, loop)
		if !slices.Equal(d.lines(), []string{"WAITS"}) {
			t.Errorf("the peer got %q", d.lines())
		}
	}
}

// TestPermanentExpiredAlready: a message that is valid for less than no time is not taken.
func TestPermanentExpiredAlready(t *testing.T) {
	loop, _ := looptest.New(t)
	l := live(t, loop, blackHoleDialer{}, nil, connection.PermanentConfig{})
	if err := l.p.SendWithin(message.New("LATE"), -1); !errors.Is(err, connection.ErrExpired) {
		t.Errorf("SendWithin: %v", err)
	}
	l.p.Close()
	run(t, loop)
	l.expect(t, "closed <nil>")
}
