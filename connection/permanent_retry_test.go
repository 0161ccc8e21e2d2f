//go:build linux

package connection_test

import (
	"slices"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

const ms = time.Millisecond

// failUpTo lets all dials up to the nth one fail, either at once or later.
func failUpTo(d *pairs, n int, atOnce bool) {
	f := func(dial int) error {
		if dial <= n {
			return errTest
		}
		return nil
	}
	if atOnce {
		d.refuse = func(dial int) error {
			if dial == 1 {
				return nil // an error would be NewPermanent's
			}
			return f(dial)
		}
	}
	d.fail = f
}

// TestPermanentRetries: each failed attempt is told with the pause that follows, and the pause is kept;
// the dialer is asked anew each time. It makes no difference whether Dial itself fails or what it has
// begun.
func TestPermanentRetries(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		loop, _ := looptest.New(t)
		d := &pairs{tb: t}
		failUpTo(d, 5, atOnce)
		l := live(t, loop, d, nil, connection.PermanentConfig{
			Backoff: connection.Backoff{First: 3 * ms, Max: 20 * ms, Jitter: -1},
			OnUp:    func(p *connection.Permanent) error { p.Close(); return nil },
		})
		run(t, loop)
		l.expect(t, append(slices.Repeat([]string{"failed test"}, 5), "up", "down <nil>", "closed <nil>")...)
		if want := []time.Duration{3 * ms, 6 * ms, 12 * ms, 20 * ms, 20 * ms}; !slices.Equal(l.waited, want) {
			t.Errorf("pauses %v, want %v", l.waited, want)
		}
		keptPauses(t, d, l.waited)
	}
}

// keptPauses fails if a dial came too early.
func keptPauses(tb testing.TB, d *pairs, pauses []time.Duration) {
	tb.Helper()
	if len(d.times) != len(pauses)+1 {
		tb.Fatalf("%d dials, want one more than %d pauses", len(d.times), len(pauses))
	}
	for i, pause := range pauses {
		if got := d.times[i+1].Sub(d.times[i]); got < pause {
			tb.Errorf("dial %d came after %v, want %v at least", i+2, got, pause)
		}
	}
}

// TestPermanentFlapping: a server that takes connections only to end them gets no more attempts than one
// that isn't there.
func TestPermanentFlapping(t *testing.T) {
	for _, reset := range []bool{false, true} {
		loop, _ := looptest.New(t)
		d := &pairs{tb: t, serve: func(p *peer) {
			if reset {
				p.reset()
			} else {
				p.Stream.Close()
			}
		}}
		live(t, loop, d, nil, connection.PermanentConfig{
			Backoff: connection.Backoff{First: 2 * ms, Max: 15 * ms, Jitter: -1},
			OnDown: func(p *connection.Permanent, _ error) {
				if p.Connections() == 7 {
					p.Close()
				}
			},
		})
		run(t, loop)
		keptPauses(t, d, []time.Duration{2 * ms, 4 * ms, 8 * ms, 15 * ms, 15 * ms, 15 * ms})
	}
}

// TestPermanentSuccess: after a connection that stood for a second the pauses begin anew.
func TestPermanentSuccess(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t}
	const up = 4 // the dial that succeeds
	d.fail = func(n int) error {
		if n == up {
			return nil
		}
		return errTest
	}
	d.serve = func(p *peer) { p.SetReadDeadline(time.Now().Add(1010 * ms)) }
	l := live(t, loop, d, nil, connection.PermanentConfig{
		Backoff: connection.Backoff{First: ms, Max: time.Second, Jitter: -1},
		OnAttemptFailed: func(p *connection.Permanent, _ error, _ time.Duration) {
			if len(d.times) == up+1 {
				p.Abort(nil)
			}
		},
	})
	run(t, loop)
	if want := []time.Duration{ms, 2 * ms, 4 * ms, 2 * ms}; !slices.Equal(l.waited, want) {
		t.Errorf("pauses %v, want %v", l.waited, want)
	}
}

// TestPermanentPauses: the C++ library's lists. The first number of a list is how long to wait before the
// very first attempt, if it is negative; the last one is repeated; a success begins the list anew.
func TestPermanentPauses(t *testing.T) {
	for _, c := range []struct {
		list   []time.Duration
		before time.Duration   // the first attempt
		told   []time.Duration // by the attempts that fail: 1, 2, 3, 5 and 6
	}{
		{[]time.Duration{2 * ms}, 0, []time.Duration{2 * ms, 2 * ms, 2 * ms, 2 * ms, 2 * ms}},
		{[]time.Duration{1 * ms, 3 * ms}, 0, []time.Duration{1 * ms, 3 * ms, 3 * ms, 3 * ms, 3 * ms}},
		{[]time.Duration{-5 * ms}, 5 * ms, []time.Duration{5 * ms, 5 * ms, 5 * ms, 5 * ms, 5 * ms}},
		{[]time.Duration{-5 * ms, 1 * ms, 3 * ms, 2 * ms}, 5 * ms, []time.Duration{1 * ms, 3 * ms, 2 * ms, 3 * ms, 2 * ms}},
		{[]time.Duration{0, 3 * ms}, 0, []time.Duration{1 * ms, 3 * ms, 3 * ms, 3 * ms, 3 * ms}}, // none is shorter than 1 ms
	} {
		loop, _ := looptest.New(t)
		d := &pairs{tb: t, serve: func(p *peer) { p.reset() }}
		d.fail = func(n int) error {
			if n == 4 {
				return nil
			}
			return errTest
		}
		began := time.Now()
		l := live(t, loop, d, nil, connection.PermanentConfig{
			Backoff: connection.Backoff{Pauses: c.list, First: time.Hour, Jitter: 0.9},
			OnAttemptFailed: func(p *connection.Permanent, _ error, _ time.Duration) {
				if len(d.times) == 6 {
					p.Abort(nil)
				}
			},
		})
		if c.before > 0 && len(d.times) > 0 {
			t.Errorf("%v: it dials at once", c.list)
		}
		run(t, loop)
		if !slices.Equal(l.waited, c.told) {
			t.Errorf("%v: pauses %v, want %v", c.list, l.waited, c.told)
		}
		if got := d.times[0].Sub(began); got < c.before {
			t.Errorf("%v: the first dial came after %v", c.list, got)
		}
	}
}

// TestPermanentFirstPauseSends: what is sent before the first attempt waits, and Close in that pause delivers it.
func TestPermanentFirstPauseSends(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t}
	l := live(t, loop, d, nil, connection.PermanentConfig{Backoff: connection.Backoff{Pauses: []time.Duration{-5 * ms}}})
	say(t, l.p, "WAITS")
	l.p.Close()
	run(t, loop)
	if d.text(1) != "WAITS\n" {
		t.Errorf("the peer got %q", d.text(1))
	}
	l.expect(t, "up", "down <nil>", "closed <nil>")
}

// TestPermanentLogs: without OnDown and OnAttemptFailed the log has the first failure in a row, and the
// end of a connection, but not one that was meant.
func TestPermanentLogs(t *testing.T) {
	loop, log := looptest.New(t)
	d := &pairs{tb: t}
	d.fail = func(n int) error {
		if n < 4 {
			return errTest
		}
		return nil
	}
	p, err := connection.NewPermanent(loop, d, nobody, connection.PermanentConfig{Backoff: again, OnUp: func(p *connection.Permanent) error {
		if p.Connections() == 1 {
			return errOther
		}
		p.Close()
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	run(t, loop)
	want := []string{
		"INFO no connection; trying again connection=permanent *connection_test.pairs error=" + errTest.Error(),
		"INFO the connection is down connection=permanent *connection_test.pairs error=" + errOther.Error(),
	}
	if got := log.Records(); !slices.Equal(got, want) {
		t.Errorf("logged\n%q\nwant\n%q", got, want)
	}
	if p.Handle().Name() != "permanent *connection_test.pairs" {
		t.Errorf("name %q", p.Handle().Name())
	}
}
