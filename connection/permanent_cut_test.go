//go:build linux

package connection_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// cutting is a Transport that takes so many bytes and then fails when it is read.
type cutting struct {
	*pieces
	all int
}

func (c *cutting) Read([]byte) (int, error) {
	if c.out.Len() == c.all {
		return 0, errTest
	}
	return 0, connection.ErrWouldBlock
}

// cutters is a Dialer of cutting transports; each takes as many bytes as the list says, and one beyond the
// list any number.
type cutters struct {
	tb    testing.TB
	list  []int
	dials []*cutting
}

func (d *cutters) Dial(loop connection.Loop, done func(connection.Transport, error)) (func(), error) {
	return func() {}, loop.Post(func() {
		c := &cutting{pieces: newPieces(d.tb), all: -1}
		if n := len(d.dials); n < len(d.list) {
			c.room, c.all = d.list[n], d.list[n]
		}
		d.dials = append(d.dials, c)
		done(c, nil)
	})
}

// whole are the whole lines that all the transports have taken.
func (d *cutters) whole() (all []string) {
	for _, c := range d.dials {
		lines := strings.SplitAfter(c.out.String(), "\n")
		for _, line := range lines[:len(lines)-1] {
			all = append(all, strings.TrimSuffix(line, "\n"))
		}
	}
	return all
}

// TestPermanentCutAnywhere ends the first connection, and the second one, after any number of bytes: of
// each message one whole line is sent, in order, whatever was sent of it before.
func TestPermanentCutAnywhere(t *testing.T) {
	lines := []string{"A", "BB v=1", "C long=some_more_text", "D"}
	size := len(strings.Join(lines, "\n")) + 1
	for first := range size + 1 {
		for _, second := range []int{-1, 0, 1, 2, 5, 9, 24} {
			loop, _ := looptest.New(t)
			d := &cutters{tb: t, list: []int{first, second}}
			if second < 0 {
				d.list = d.list[:1]
			}
			l := live(t, loop, d, nil, connection.PermanentConfig{
				Backoff: connection.Backoff{First: 1, Max: 1},
				OnUp: func(p *connection.Permanent) error {
					if p.Connections() > uint64(len(d.list)) {
						p.Close()
					}
					return nil
				},
			})
			say(t, l.p, lines...)
			if second > size-first { // more than is left to send: it never ends by itself
				l.p.Close()
			}
			run(t, loop)
			if got := d.whole(); !slices.Equal(got, lines) {
				t.Fatalf("cut after %d and %d bytes: %q", first, second, got)
			}
			for _, e := range l.events {
				if strings.HasPrefix(e, "lost") {
					t.Fatalf("cut after %d and %d bytes: told %q", first, second, l.events)
				}
			}
		}
	}
}

// TestPermanentCutWhileSent: as above, for messages that are sent while up, from within a callback of another source.
func TestPermanentCutWhileSent(t *testing.T) {
	lines := []string{"A", "BB v=1", "C long=some_more_text", "D"}
	for first := range len(strings.Join(lines, "\n")) + 1 {
		loop, _ := looptest.New(t)
		d := &cutters{tb: t, list: []int{first}}
		live(t, loop, d, nil, connection.PermanentConfig{
			Backoff: connection.Backoff{First: 1, Max: 1},
			OnUp: func(p *connection.Permanent) error {
				if p.Connections() == 1 {
					say(t, p, lines...)
				} else {
					p.Close()
				}
				return nil
			},
		})
		run(t, loop)
		if got := d.whole(); !slices.Equal(got, lines) {
			t.Fatalf("cut after %d bytes: %q", first, got)
		}
	}
}

// TestPermanentCutByPeer: a peer resets in the middle of a long line; the next one gets all of it, and
// then what has waited.
func TestPermanentCutByPeer(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t, room: 1}
	var l *life
	d.serve = func(p *peer) {
		if p.number == 1 {
			p.Pause()
			return
		}
		p.line = func(line string) {
			if line == "LAST" {
				l.p.Close()
			}
		}
	}
	l = live(t, loop, d, nil, connection.PermanentConfig{Backoff: again, OnUp: func(p *connection.Permanent) error {
		if p.Connections() > 1 {
			return nil
		}
		if err := errors.Join(p.Send(large("SHORT", 100)), p.Send(large("LONG", 50_000))); err != nil {
			t.Error(err)
		}
		say(t, p, numbered(0, 3)...)
		say(t, p, "LAST")
		d.peers[0].reset()
		return nil
	}})
	run(t, loop)
	want := []string{"LONG", "N", "N", "N", "LAST"} // SHORT was taken by the kernel: it is never sent again
	if got := d.peers[1].lines(); !slices.Equal(commands(got), want) || len(got[0]) != 50_000-1 {
		t.Errorf("the second peer got %q", commands(got))
	}
	l.expect(t, "up", "down reset", "up", "down <nil>", "closed <nil>")
}

// TestPermanentNeverTwice: what the kernel has taken is not sent again, though the peer has never read it.
func TestPermanentNeverTwice(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t, serve: func(p *peer) { p.Pause() }}
	live(t, loop, d, nil, connection.PermanentConfig{Backoff: again, OnUp: func(p *connection.Permanent) error {
		say(t, p, fmt.Sprintf("N i=%d", p.Connections()))
		if p.Connections() == 3 {
			d.peers[2].Resume()
			p.Close()
		} else {
			d.peers[p.Connections()-1].reset()
		}
		return nil
	}})
	run(t, loop)
	if got := d.lines(); !slices.Equal(got, []string{"N i=3"}) {
		t.Errorf("the peers got %q", got)
	}
}
