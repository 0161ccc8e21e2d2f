//go:build linux

// Package signals brings the process's signals to a loop.
//
// Go delivers signals to goroutines of its own, so the signalfd of other loops can't be used: the
// runtime would take most of them first. Here a goroutine takes them from os/signal and marks a source
// of the loop, which has a name and a priority like any other.
//
// Do not use it to wait for a signal outside of a loop: os/signal does that.
package signals

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// Signals is a source of signals in a loop. It belongs to the loop's goroutine.
type Signals struct {
	handle  *communicator.Handle
	handler func(sig os.Signal, count int) error
	set     []os.Signal
	incoming
}

// incoming is what the goroutine and the loop share.
type incoming struct {
	channel chan os.Signal
	done    chan struct{}
	mu      sync.Mutex
	counts  map[os.Signal]int
	order   []os.Signal // those in counts, as they came first
}

// Notify calls f on the loop's goroutine when one of the signals has come, and takes from them their usual
// effect on the process. count says how often it has come since the last call; the kernel itself makes
// one of a signal that comes twice before it was delivered. An error from f removes the source with
// that cause. The source keeps Run from returning; Close takes it out and gives the signals back.
func Notify(loop *communicator.Communicator, f func(sig os.Signal, count int) error, o communicator.Options, set ...os.Signal) (*Signals, error) {
	s := &Signals{handler: f, set: set}
	s.counts = map[os.Signal]int{}
	var err error
	if s.handle, err = loop.Add((*source)(s), o); err != nil {
		return nil, err
	}
	s.channel = make(chan os.Signal, 64) // os/signal drops what finds no room
	s.done = make(chan struct{})
	signal.Notify(s.channel, set...)
	go s.receive()
	return s, nil
}

// receive runs on a goroutine until the channel is closed.
func (s *Signals) receive() {
	defer close(s.done)
	mark := s.handle.MarkReadable
	for sig := range s.channel {
		s.mu.Lock()
		first := len(s.order) == 0
		if s.counts[sig] == 0 {
			s.order = append(s.order, sig)
		}
		s.counts[sig]++
		s.mu.Unlock()
		if first && s.handle.Loop().Post(mark) != nil {
			// The queue is full or the loop has ended. The next signal tries again.
			s.mu.Lock()
			clear(s.counts)
			s.order = s.order[:0]
			s.mu.Unlock()
		}
	}
}

// Handle is the source's place in its loop.
func (s *Signals) Handle() *communicator.Handle { return s.handle }

// Close takes the source out of the loop; at the end of the turn the signals have their usual effect again.
func (s *Signals) Close() { s.handle.Remove(nil) }

// source is a Signals as the loop sees it.
type source Signals

func (s *source) FD() int { return communicator.NoFD }

func (s *source) String() string {
	names := make([]string, len(s.set))
	for i, sig := range s.set {
		names[i] = fmt.Sprint(sig)
	}
	return "signals " + strings.Join(names, ", ")
}

func (s *source) HandleRead(h *communicator.Handle) error {
	for h.Enabled() {
		sig, count := s.take()
		if count == 0 {
			return nil
		}
		if err := s.handler(sig, count); err != nil {
			return err
		}
	}
	return nil
}

func (s *source) take() (sig os.Signal, count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) == 0 {
		return nil, 0
	}
	sig = s.order[0]
	count = s.counts[sig]
	delete(s.counts, sig)
	s.order = s.order[1:]
	return sig, count
}

func (s *source) Close() error {
	signal.Stop(s.channel)
	close(s.channel)
	<-s.done
	return nil
}
