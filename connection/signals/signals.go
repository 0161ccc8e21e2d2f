//go:build linux

// Package signals brings the process's signals to a loop.
//
// Go delivers signals to goroutines of its own, so the signalfd of other loops can't be used: the
// runtime would take most of them first. Here a goroutine takes them from os/signal and writes to
// an eventfd, whose source in the loop has a name and a priority like any other.
//
// Do not use it to wait for a signal outside of a loop: os/signal does that.
package signals

import (
	"errors"
	"os"
	"os/signal"
	"strings"
	"sync"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Signals is a source of signals in a loop. It belongs to the loop's goroutine.
type Signals struct {
	handle  *communicator.Handle
	handler func(sig os.Signal, count int) error
	set     []os.Signal
	eventfd int
	channel chan os.Signal
	done    chan struct{} // closed when the goroutine has ended
	pending pending
}

// pending is what the goroutine has taken and the loop has not seen yet.
type pending struct {
	mu     sync.Mutex
	counts []count // in the order in which they came first
}

type count struct {
	signal os.Signal
	n      int
}

// add counts a signal; true if it is the first that the loop is to be told of.
func (p *pending) add(sig os.Signal) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.counts {
		if p.counts[i].signal == sig {
			p.counts[i].n++
			return false
		}
	}
	p.counts = append(p.counts, count{sig, 1})
	return len(p.counts) == 1
}

func (p *pending) take() []count {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.counts
	p.counts = nil
	return taken
}

// giveBack puts back what the loop has not handled.
func (p *pending) giveBack(counts []count) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts = append(counts, p.counts...)
}

// ErrNoSignals is returned by Notify when it is given no signals.
var ErrNoSignals = errors.New("signals: none to notify of")

// Notify calls f on the loop's goroutine when one of the signals has come, and takes from them
// their usual effect on the process. count says how often it has come since the last call; the
// kernel itself makes one of a signal that comes twice before it was delivered. An error from f
// removes the source with that cause. The source keeps Run from returning; Close takes it out and
// gives the signals back.
func Notify(loop *communicator.Communicator, f func(sig os.Signal, count int) error, o communicator.Options, set ...os.Signal) (*Signals, error) {
	if f == nil {
		panic("signals: nil function")
	}
	if len(set) == 0 {
		return nil, ErrNoSignals // os/signal would take it for all there are
	}
	s := &Signals{handler: f, set: set}
	var err error
	if s.eventfd, err = sys.EventFD(); err != nil {
		return nil, err
	}
	if s.handle, err = loop.Add((*source)(s), o); err != nil {
		_ = sys.Close(s.eventfd)
		return nil, err
	}
	s.channel = make(chan os.Signal, 64) // os/signal drops what finds no room
	s.done = make(chan struct{})
	signal.Notify(s.channel, set...)
	go func() {
		defer close(s.done)
		for sig := range s.channel {
			if s.pending.add(sig) {
				_ = sys.Signal(s.eventfd)
			}
		}
	}()
	return s, nil
}

// Handle is the source's place in its loop.
func (s *Signals) Handle() *communicator.Handle { return s.handle }

// Close takes the source out of the loop; at the end of the turn the signals have their usual
// effect again.
func (s *Signals) Close() { s.handle.Remove(nil) }

// source is a Signals as the loop sees it.
type source Signals

func (s *source) FD() int { return s.eventfd }

func (s *source) String() string {
	names := make([]string, len(s.set))
	for i, sig := range s.set {
		names[i] = sig.String()
	}
	return "signals " + strings.Join(names, ", ")
}

func (s *source) HandleRead(h *communicator.Handle) error {
	var buf [8]byte
	if _, err := sys.Read(s.eventfd, buf[:]); err != nil && !errors.Is(err, sys.ErrWouldBlock) {
		return err
	}
	taken := s.pending.take()
	for i, c := range taken {
		if !h.Enabled() {
			s.pending.giveBack(taken[i:])
			return sys.Signal(s.eventfd)
		}
		if err := s.handler(c.signal, c.n); err != nil {
			return err
		}
	}
	return nil
}

func (s *source) Close() error {
	signal.Stop(s.channel)
	close(s.channel)
	<-s.done
	return sys.Close(s.eventfd)
}
