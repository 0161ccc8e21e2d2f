//go:build linux

package connection_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// acknowledges: N i=7 is acknowledged by ACK i=7.
func acknowledges(came, sent *message.Message) bool {
	return came.Command() == "ACK" && came.Get("i") == sent.Get("i")
}

func ack(line string) string { return strings.Replace(line, "N ", "ACK ", 1) }

// TestAcknowledgeOrder: acknowledgements may come in any order, twice, and for nothing; the handler gets them too.
func TestAcknowledgeOrder(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t, serve: func(p *peer) {
		p.line = func(line string) {
			if line == "N i=3" {
				p.say("ACK i=2", "ACK i=9", "ACK i=2", "NEWS", "ACK i=3", "ACK i=0", "ACK i=1")
			}
		}
	}}
	var l *life
	var left []int
	l = live(t, loop, d, message.HandlerFunc(func(_ message.Sender, m *message.Message) error {
		waiting, inFlight := l.p.Queued()
		left = append(left, waiting+inFlight)
		return nil
	}), connection.PermanentConfig{Acknowledges: acknowledges, OnUp: func(p *connection.Permanent) error {
		if _, inFlight := p.Queued(); inFlight != 4 {
			t.Errorf("%d in flight", inFlight)
		}
		p.Close() // when all are acknowledged
		return nil
	}})
	say(t, l.p, numbered(0, 4)...)
	run(t, loop)
	if want := []int{3, 3, 3, 3, 2, 1, 0}; !slices.Equal(left, want) {
		t.Errorf("%d were left, want %d", left, want)
	}
	l.expect(t, "up", "down <nil>", "closed <nil>")
}

// TestAcknowledgeWindow: no more than MaxInFlight are out, and each acknowledgement lets one more go.
func TestAcknowledgeWindow(t *testing.T) {
	const window, count = 3, 50
	loop, _ := looptest.New(t)
	d := &pairs{tb: t}
	out, most := 0, 0
	d.serve = func(p *peer) {
		var pending []string
		p.line = func(line string) {
			out++
			most = max(most, out)
			pending = append(pending, line)
			if len(pending) < window && line != numbered(count-1, 1)[0] {
				return
			}
			_ = loop.Post(func() { // later: a turn in which more could come
				for _, line := range pending {
					out--
					p.say(ack(line))
				}
				pending = nil
			})
		}
	}
	l := live(t, loop, d, nil, connection.PermanentConfig{Acknowledges: acknowledges, MaxInFlight: window})
	say(t, l.p, numbered(0, count)...)
	l.p.Close()
	run(t, loop)
	if most != window {
		t.Errorf("%d were out at most, want %d", most, window)
	}
	if !slices.Equal(d.lines(), numbered(0, count)) {
		t.Errorf("the peer got %q", d.lines())
	}
	l.expect(t, "up", "down <nil>", "closed <nil>")
}

// TestInDoubt: what was sent and not acknowledged when the connection ends is in doubt, and never sent
// again; what has waited goes to the next connection.
func TestInDoubt(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t}
	var l *life
	d.serve = func(p *peer) {
		p.line = func(line string) {
			if p.number > 1 || line == "N i=1" {
				p.say(ack(line))
			}
			if p.number == 1 && line == "N i=3" {
				p.Stream.Close() // so it discards N i=4, which the acknowledgement lets go
			}
		}
	}
	l = live(t, loop, d, nil, connection.PermanentConfig{
		Acknowledges: acknowledges, MaxInFlight: 4, MaxQueued: 7, Backoff: again,
		Undelivered: func(p *connection.Permanent, m *message.Message, _ error) {
			if !slices.Contains([]string{"0", "2", "3", "4"}, m.Get("i")) {
				t.Errorf("reported %v", m)
			}
			if p.Up() {
				t.Error("reported while up")
			}
		},
		OnUp: func(p *connection.Permanent) error {
			if p.Connections() == 2 {
				p.Close()
			}
			return nil
		},
	})
	say(t, l.p, numbered(0, 7)...)
	if err := l.p.Send(message.New("N")); err == nil {
		t.Error("an eighth was taken")
	}
	run(t, loop)
	l.expect(t, "up", "lost N doubt", "lost N doubt", "lost N doubt", "lost N doubt", "down <nil>", "up", "down <nil>", "closed <nil>")
	if !slices.Equal(d.peers[0].lines(), numbered(0, 4)) || !slices.Equal(d.peers[1].lines(), numbered(5, 2)) {
		t.Errorf("the peers got %q", d.lines())
	}
}

// TestAcknowledgeClose: Close waits for acknowledgements, but not for ever, and not for a connection that has ended.
func TestAcknowledgeClose(t *testing.T) {
	for _, ends := range []bool{false, true} {
		loop, _ := looptest.New(t)
		d := &pairs{tb: t, serve: func(p *peer) {
			p.line = func(string) {
				if ends {
					p.Stream.Close()
				}
			}
		}}
		l := live(t, loop, d, nil, connection.PermanentConfig{
			Acknowledges: acknowledges, CloseTimeout: 10 * time.Millisecond, Backoff: connection.Backoff{First: time.Hour},
		})
		say(t, l.p, "N i=0")
		l.p.Close()
		run(t, loop)
		if ends {
			l.expect(t, "up", "lost N doubt", "down <nil>", "closed <nil>")
		} else {
			l.expect(t, "up", "lost N doubt", "down timeout", "closed timeout")
		}
	}
}

// TestAcknowledgeLoopEnds: each message is reported once at the loop's end, as what it was: in doubt, or never sent.
func TestAcknowledgeLoopEnds(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t}
	var reported []string
	l := live(t, loop, d, nil, connection.PermanentConfig{
		Acknowledges: acknowledges, MaxInFlight: 2,
		OnUp: func(*connection.Permanent) error { loop.Stop(errTest); return nil },
		Undelivered: func(_ *connection.Permanent, m *message.Message, err error) {
			reported = append(reported, m.Get("i")+" "+short(err))
		},
	})
	say(t, l.p, numbered(0, 4)...)
	if err := loop.Run(t.Context()); short(err) != "test" {
		t.Errorf("Run: %v", err)
	}
	if want := []string{"0 doubt", "1 doubt", "2 test", "3 test"}; !slices.Equal(reported, want) {
		t.Errorf("reported %q, want %q", reported, want)
	}
}

// TestAcknowledgedAreFreed: what is acknowledged makes room in the queue.
func TestAcknowledgedAreFreed(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t, serve: func(p *peer) { p.line = func(line string) { p.say(ack(line)) } }}
	var l *life
	sent := 0
	send := func() {
		for l.p.Send(message.New("N").SetInt("i", int64(sent))) == nil {
			sent++
		}
		if sent >= 1000 {
			l.p.Close()
		}
	}
	l = live(t, loop, d, message.HandlerFunc(func(message.Sender, *message.Message) error {
		send()
		return nil
	}), connection.PermanentConfig{Acknowledges: acknowledges, MaxQueued: 10, MaxInFlight: 7})
	send()
	run(t, loop)
	if !slices.Equal(d.lines(), numbered(0, sent)) {
		t.Errorf("%d lines of %d", len(d.lines()), sent)
	}
	l.expect(t, "up", "down <nil>", "closed <nil>")
}
