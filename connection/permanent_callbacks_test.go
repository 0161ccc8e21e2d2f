//go:build linux

package connection_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// play is the whole life of a Permanent: a message expires, a dial fails, a connection stands, a message
// comes, one that is longer than the kernel's buffer goes, the peer ends the connection, and the next one
// is closed. In one place an action of the test is taken, the first time it is reached.
type play struct {
	tb    testing.TB
	loop  connection.Loop
	life  *life
	d     *pairs
	where string
	what  func(p *connection.Permanent)
	acted bool
	taken []string // the commands of the messages that Send has taken
}

func (s *play) at(place string) {
	if place == s.where && !s.acted {
		s.acted = true
		s.what(s.life.p)
	}
}

// send sends if it is not too late for that.
func (s *play) send(m *message.Message) {
	if s.life.p.Send(m) == nil {
		s.taken = append(s.taken, m.Command())
	}
}

func (s *play) run() {
	s.d = &pairs{tb: s.tb, room: 1}
	s.d.fail = func(n int) error {
		if n == 1 {
			return errTest
		}
		return nil
	}
	s.d.serve = func(p *peer) {
		if p.number == 2 {
			p.say("COMES")
		}
		p.line = func(line string) {
			if p.number == 2 && strings.HasPrefix(line, "LARGE") {
				p.CloseWrite() // and it goes on to read
			}
		}
	}
	s.life = live(s.tb, s.loop, s.d, message.HandlerFunc(func(message.Sender, *message.Message) error {
		s.at("handler")
		return nil
	}), connection.PermanentConfig{
		Backoff: again,
		Message: connection.MessageConfig{
			Opened:  func(*connection.MessageConn) error { s.at("Opened"); return nil },
			Drained: func(*connection.MessageConn) error { s.at("Drained"); return nil },
			Closed:  func(*connection.MessageConn, error) { s.at("Message.Closed") },
		},
		OnUp: func(p *connection.Permanent) error {
			if p.Connections() == 1 {
				s.send(large("LARGE", 50_000))
			} else {
				p.Close()
			}
			s.at("OnUp")
			return nil
		},
		OnDown:          func(*connection.Permanent, error) { s.at("OnDown") },
		OnAttemptFailed: func(*connection.Permanent, error, time.Duration) { s.at("OnAttemptFailed") },
		Undelivered:     func(*connection.Permanent, *message.Message, error) { s.at("Undelivered") },
		Closed:          func(*connection.Permanent, error) { s.at("Closed") },
	})
	if err := s.life.p.SendWithin(message.New("EXPIRES"), 1); err != nil {
		s.tb.Fatal(err)
	}
	s.taken = append(s.taken, "EXPIRES")
	run(s.tb, s.loop)
}

// check holds for every play.
func (s *play) check() {
	s.tb.Helper()
	if !s.acted {
		s.tb.Errorf("the place was never reached: %q", s.life.events)
	}
	up, closed := false, 0
	for _, e := range s.life.events {
		what, _, _ := strings.Cut(e, " ")
		if closed > 0 {
			s.tb.Errorf("told of %q after the end: %q", e, s.life.events)
		}
		switch {
		case what == "closed":
			closed++
		case what == "up" && up, what == "failed" && up:
			s.tb.Errorf("told of %q while up: %q", e, s.life.events)
		case what == "up":
			up = true
		case what == "down":
			up = false
		}
	}
	if closed != 1 || up {
		s.tb.Errorf("closed %d times, up at the end: %v: %q", closed, up, s.life.events)
	}
}

// outcomes are the commands that were delivered and those that were reported.
func (s *play) outcomes() (all []string) {
	for _, line := range s.d.lines() {
		command, _, _ := strings.Cut(line, " ")
		all = append(all, command)
	}
	for _, e := range s.life.events {
		if fields := strings.Fields(e); fields[0] == "lost" {
			all = append(all, fields[1])
		}
	}
	slices.Sort(all)
	return all
}

// actions are what a callback may do. After one that is lossy, what the kernel has may be lost with its connection.
var actions = []struct {
	name  string
	lossy bool
	do    func(s *play, p *connection.Permanent)
}{
	{"Close", false, func(_ *play, p *connection.Permanent) { p.Close() }},
	{"Abort", true, func(_ *play, p *connection.Permanent) { p.Abort(errOther) }},
	{"Send", false, func(s *play, _ *connection.Permanent) { s.send(message.New("SENT")) }},
	{"Send and Close", false, func(s *play, p *connection.Permanent) {
		s.send(message.New("SENT"))
		p.Close()
		if err := p.Send(message.New("NEVER")); !errors.Is(err, net.ErrClosed) {
			s.tb.Errorf("Send after Close: %v", err)
		}
	}},
	{"Send a hundred", false, func(s *play, _ *connection.Permanent) {
		for i := range 100 {
			s.send(large(fmt.Sprintf("SENT%d", i), 3000))
		}
	}},
	{"Send and Abort", true, func(s *play, p *connection.Permanent) {
		s.send(message.New("SENT"))
		p.Abort(errOther)
	}},
	{"Stop", true, func(s *play, _ *connection.Permanent) { s.loop.Stop(nil) }},
	{"Shutdown", true, func(s *play, _ *connection.Permanent) { s.loop.Shutdown(looptest.Patience) }}, // of the peers too
	{"Abort the connection", true, func(_ *play, p *connection.Permanent) {
		if c := p.Conn(); c != nil {
			c.Stream().Abort(errOther)
		}
	}},
	{"Close the connection", false, func(_ *play, p *connection.Permanent) {
		if c := p.Conn(); c != nil {
			c.Close()
		}
	}},
}

// TestPermanentWithinCallbacks does everything within every callback.
func TestPermanentWithinCallbacks(t *testing.T) {
	for _, place := range []string{
		"Opened", "OnUp", "handler", "Drained", "OnDown", "Message.Closed", "OnAttemptFailed", "Undelivered", "Closed",
	} {
		for _, action := range actions {
			t.Run(place+"/"+action.name, func(t *testing.T) {
				loop, _ := looptest.New(t)
				s := &play{tb: t, loop: loop, where: place}
				s.what = func(p *connection.Permanent) { action.do(s, p) }
				s.run()
				s.check()
				slices.Sort(s.taken)
				if got := s.outcomes(); !action.lossy && !slices.Equal(got, s.taken) {
					t.Errorf("delivered or reported\n%q\nwant\n%q\n%q", got, s.taken, s.life.events)
				}
			})
		}
	}
}
