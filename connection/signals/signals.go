//go:build linux

// Package signals brings the process's signals to a loop.
//
//	signals.Terminate(loop, 10*time.Second, nil, communicator.Options{}) // SIGINT and SIGTERM end the program in order
//	signals.Hangup(loop, reload, communicator.Options{})                 // SIGHUP has it read its configuration again
//
// and [Notify] for any others. Each of them is a source in the loop with a name and a priority.
//
// Go delivers signals to goroutines of its own, so the signalfd of other loops can't be used: the runtime would
// take most of them first. Here goroutines, one for each signal, take them from os/signal and write to an eventfd,
// which the loop watches.
//
// A signal is not a queue: what comes twice before the process has taken the first is one, for the kernel and for
// Go's runtime, and so are realtime signals, which the runtime doesn't count either. What is sure is that after the
// last signal there is a call, while the source is in the loop. Different signals that come at about the same time may
// be told in another order.
//
// Do not use it to wait for a signal outside of a loop: os/signal does that. Nor for the end of a child: package
// procwatch knows which one it was.
package signals

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Signals is a source of signals in a loop. It belongs to the loop's goroutine.
type Signals struct {
	handle   *communicator.Handle
	handler  func(sig os.Signal, count int) error
	set      []os.Signal
	eventfd  int
	patience int                          // how many signals may count until they are given back; 0: any number
	channels map[os.Signal]chan os.Signal // one each, or a storm of one would take the room of the others
	pumps    sync.WaitGroup
	pending  pending
}

// room is how many of one signal may wait for their goroutine. os/signal drops what finds none, and there is
// something to tell of then anyway.
const room = 64

// pending is what the goroutines have taken and the loop has not seen yet.
type pending struct {
	mu     sync.Mutex
	counts []count       // in the order in which the goroutines have added them; no longer than the set
	total  int           // that have counted at all
	window time.Duration // what comes so soon after one that counted is the same once more; 0: each counts
	last   time.Time     // when one counted last
}

type count struct {
	signal os.Signal
	n      int
}

// add counts a signal. first tells whether it is the first that the loop is to be told of.
func (p *pending) add(sig os.Signal) (first bool, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.window > 0 {
		now := time.Now()
		if p.total > 0 && now.Sub(p.last) < p.window {
			return false, p.total
		}
		p.last = now
	}
	p.total++
	for i := range p.counts {
		if p.counts[i].signal == sig {
			p.counts[i].n++
			return false, p.total
		}
	}
	p.counts = append(p.counts, count{sig, 1})
	return len(p.counts) == 1, p.total
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
	for _, came := range p.counts {
		if i := slices.IndexFunc(counts, func(c count) bool { return c.signal == came.signal }); i >= 0 {
			counts[i].n += came.n
		} else {
			counts = append(counts, came)
		}
	}
	p.counts = counts
}

// Notify calls f on the loop's goroutine when one of the signals has come, and takes from them their usual effect
// on the process. count says how often it has come since the last call, as far as the kernel and the runtime have
// counted. An error from f removes the source with that cause.
//
// The source keeps Run from returning, unless Options.Background says otherwise. Close takes it out and gives the
// signals back, and so does communicator.Shutdown if it isn't in the background. To end a program, use Terminate,
// and for SIGHUP, Hangup: their sources stay.
//
// A signal that has come and has not been told when the source leaves the loop, or the loop ends, is swallowed: it has
// no effect at all. Options.Want is not used.
//
// For SIGURG f is called without reason, too: Go's runtime uses it.
//
// Its errors are ErrNoSignals, ErrUncatchable, and those of the loop's Add.
func Notify(loop *communicator.Communicator, f func(sig os.Signal, count int) error, o communicator.Options, set ...os.Signal) (*Signals, error) {
	if f == nil {
		panic("signals: nil function")
	}
	s := &Signals{handler: f, set: slices.Clone(set)}
	return s.add(loop, (*source)(s), o)
}

// add puts s into the loop as src and asks for the signals. Nothing of it is left after an error.
func (s *Signals) add(loop *communicator.Communicator, src communicator.Source, o communicator.Options) (*Signals, error) {
	if len(s.set) == 0 {
		return nil, ErrNoSignals // os/signal would take it for all there are
	}
	for _, sig := range s.set {
		if !catchable(sig) {
			return nil, fmt.Errorf("%w: %v", ErrUncatchable, sig)
		}
	}
	o.Want = communicator.Read
	var err error
	if s.eventfd, err = sys.EventFD(); err != nil {
		return nil, err
	}
	if s.handle, err = loop.Add(src, o); err != nil {
		_ = sys.Close(s.eventfd)
		return nil, err
	}
	s.channels = make(map[os.Signal]chan os.Signal, len(s.set))
	for _, sig := range s.set {
		if s.channels[sig] != nil {
			continue // it was named twice
		}
		c := make(chan os.Signal, room)
		s.channels[sig] = c
		signal.Notify(c, sig)
		s.pumps.Go(func() { s.pump(c) })
	}
	return s, nil
}

// catchable tells whether os/signal delivers a signal. For others it says nothing, and does nothing.
func catchable(sig os.Signal) bool {
	n, ok := sig.(syscall.Signal)
	if !ok || n < 1 || n > 64 {
		return false
	}
	switch n {
	case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGPROF, 32, 33, 34,
		syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGSYS, syscall.SIGSTKFLT:
		return false
	}
	return true
}

// pump takes the signals of one channel, on a goroutine of its own, and wakes the loop.
func (s *Signals) pump(c <-chan os.Signal) {
	for sig := range c {
		first, total := s.pending.add(sig)
		if s.patience > 0 && total > s.patience {
			signal.Reset(s.set...)
			_ = sys.Raise(sig.(syscall.Signal)) // a process may always signal itself
		}
		if first {
			_ = sys.Signal(s.eventfd) // it could only fail with a count near 2^64
		}
	}
}

// Handle is the source's place in its loop.
func (s *Signals) Handle() *communicator.Handle { return s.handle }

// Close takes the source out of the loop; at the end of the turn the signals have their usual effect again. What has
// come before that and was not told is swallowed.
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
	for _, c := range s.channels {
		signal.Stop(c)
		close(c)
	}
	s.pumps.Wait()
	return sys.Close(s.eventfd)
}
