//go:build linux

package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// source is a Pool as the loop sees it.
type source Pool

func (s *source) FD() int { return s.bell.FD() }

func (s *source) HandleRead(h *communicator.Handle) error {
	if err := s.bell.Answer(); err != nil {
		return err
	}
	p := (*Pool)(s)
	for first := true; p.collect(); first = false {
		if !first && !h.Continue() {
			h.SetDeadline(h.Loop().Now())
			return nil
		}
		p.nextResult()
	}
	return nil
}

// HandleTimeout goes on with what HandleRead has left. A mark would wait for the next turn, and what is less
// important would come first.
func (s *source) HandleTimeout(h *communicator.Handle) error { return s.HandleRead(h) }

// collect tells whether there are results. With none it silences the bell.
func (p *Pool) collect() bool {
	if p.next < len(p.results) {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.results, p.finished, p.next = p.finished, p.results[:0], 0
	if len(p.results) == 0 {
		p.bell.Quiet()
		return false
	}
	return true
}

func (p *Pool) nextResult() {
	t := p.results[p.next]
	p.results[p.next] = nil
	p.next++
	p.deliver(t, t.err, true)
}

// deliver calls the callback of a task.
func (p *Pool) deliver(t *Task, err error, whole bool) {
	p.open.Remove(t.open)
	t.open = nil
	t.cancel(nil) // gives the context back
	t.work.finish(err, whole)
	if p.open.Len() > 0 {
		return
	}
	p.handle.SetBackground(true)
	if p.ending {
		p.handle.Remove(nil)
	}
}

func (s *source) HandleShutdown(h *communicator.Handle) {
	s.ending = true
	if s.single {
		s.cancel(context.Canceled)
	}
	if s.open.Len() == 0 {
		h.Remove(nil)
	}
}

func (s *source) HandleClose(h *communicator.Handle, cause error) {
	p := (*Pool)(s)
	ended := ErrClosed
	if cause != nil {
		ended = fmt.Errorf("%w: %w", ErrClosed, cause)
	}
	if err := p.abandon(); err != nil {
		h.Loop().Logger().Warn("closing a source failed", "source", h, "error", err)
	}
	if cause != nil && !errors.Is(cause, communicator.ErrClosed) {
		h.Loop().Logger().Warn("a pool of workers has failed", "source", h, "cause", cause)
	}
	p.cancel(ended)
	for p.collect() {
		p.nextResult()
	}
	for p.open.Len() > 0 {
		p.deliver(p.open.Front().Value.(*Task), ended, false)
	}
}

// abandon ends the workers that wait, and lets the others' outcomes be dropped.
func (p *Pool) abandon() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.queue.Init()
	for e := p.open.Front(); e != nil; e = e.Next() {
		if t := e.Value.(*Task); t.state != finished {
			t.state = abandoned
		}
	}
	p.more.Broadcast()
	return p.bell.Close()
}
