//go:build linux

package conntest

import (
	"errors"
	"net"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// probe is a handler of streams that does what the functions of a test say, and complains about what no
// stream may do. What has no function does nothing; data without a function is consumed.
type probe struct {
	tb    testing.TB
	open  func(*connection.Stream) error
	data  func(*connection.Stream, []byte) (int, error)
	eof   func(s *connection.Stream, rest []byte) error
	drain func(*connection.Stream) error
	close func(s *connection.Stream, cause error)

	opened  chan *connection.Stream // those that stand
	endings chan error              // the causes of those that have ended

	inside map[*connection.Stream]string // the callback that is running
	muted  map[*connection.Stream]string // why nothing may be called any more but HandleClose
	over   map[*connection.Stream]bool
}

var (
	_ connection.OpenHandler  = (*probe)(nil)
	_ connection.DrainHandler = (*probe)(nil)
	_ connection.CloseHandler = (*probe)(nil)
	_ connection.EOFHandler   = (*eofProbe)(nil)
)

func newProbe(tb testing.TB) *probe {
	return &probe{
		tb: tb, opened: make(chan *connection.Stream, 1000), endings: make(chan error, 1000),
		inside: map[*connection.Stream]string{}, muted: map[*connection.Stream]string{}, over: map[*connection.Stream]bool{},
	}
}

// mute says that nothing may be called any more but HandleClose.
func (p *probe) mute(s *connection.Stream, why string) { p.muted[s] = why }

func (p *probe) enter(s *connection.Stream, what string) (leave func()) {
	switch {
	case p.over[s]:
		p.tb.Errorf("%s after HandleClose", what)
	case p.muted[s] != "":
		p.tb.Errorf("%s after %s", what, p.muted[s])
	case p.inside[s] != "":
		p.tb.Errorf("%s within %s", what, p.inside[s])
	case !s.Handle().Active():
		p.tb.Errorf("%s of a stream that is gone", what)
	}
	p.inside[s] = what
	return func() { delete(p.inside, s) }
}

func (p *probe) HandleOpen(s *connection.Stream) error {
	defer p.enter(s, "HandleOpen")()
	var err error
	if p.open != nil {
		err = p.open(s)
	}
	p.opened <- s
	return err
}

func (p *probe) HandleData(s *connection.Stream, data []byte) (int, error) {
	defer p.enter(s, "HandleData")()
	if !s.Reading() {
		p.tb.Error("HandleData of a stream that isn't reading")
	}
	if len(data) == 0 {
		p.tb.Error("HandleData without data")
	}
	if p.data == nil {
		return len(data), nil
	}
	return p.data(s, data)
}

func (p *probe) HandleDrain(s *connection.Stream) error {
	defer p.enter(s, "HandleDrain")()
	if n := s.QueuedBytes(); n != 0 {
		p.tb.Errorf("HandleDrain with %d bytes queued", n)
	}
	if p.drain == nil {
		return nil
	}
	return p.drain(s)
}

func (p *probe) HandleClose(s *connection.Stream, cause error) {
	switch {
	case p.over[s]:
		p.tb.Error("HandleClose twice")
	case p.inside[s] != "":
		p.tb.Errorf("HandleClose within %s", p.inside[s])
	case s.Handle().Active():
		p.tb.Error("HandleClose of a stream that is in the loop")
	}
	if _, err := s.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
		p.tb.Errorf("Write in HandleClose: %v", err)
	}
	p.over[s] = true
	if p.close != nil {
		p.close(s, cause)
	}
	p.endings <- cause
}

// stream waits until a connection stands.
func (p *probe) stream() *connection.Stream {
	p.tb.Helper()
	return looptest.Await(p.tb, p.opened, "an open connection")
}

// ending waits until a stream has ended and returns its cause.
func (p *probe) ending() error {
	p.tb.Helper()
	return looptest.Await(p.tb, p.endings, "the end of a connection")
}

// endsWith waits until a stream has ended, for that reason.
func (p *probe) endsWith(want error) {
	p.tb.Helper()
	if cause := p.ending(); !errors.Is(cause, want) {
		p.tb.Errorf("ended with %v, want %v", cause, want)
	}
}

// eofProbe is a probe that handles the peer's end itself.
type eofProbe struct{ *probe }

func (p eofProbe) HandleEOF(s *connection.Stream, rest []byte) error {
	defer p.enter(s, "HandleEOF")()
	if p.eof == nil {
		s.Close()
		return nil
	}
	return p.eof(s, rest)
}

// echo writes back what comes.
func echo(s *connection.Stream, data []byte) (int, error) { return s.Write(data) }

// source writes a text piece by piece, each when the one before has gone to the kernel: pump is for HandleOpen
// and HandleDrain.
type source struct {
	text  []byte
	piece int
	done  func(*connection.Stream) // all has been written
}

func (o *source) pump(s *connection.Stream) error {
	for len(o.text) > 0 && s.QueuedBytes() == 0 {
		n := min(o.piece, len(o.text))
		if _, err := s.Write(o.text[:n]); err != nil {
			return err
		}
		o.text = o.text[n:]
	}
	if len(o.text) == 0 && o.done != nil {
		done := o.done
		o.done = nil
		done(s)
	}
	return nil
}
