//go:build linux

package filewatch

import (
	"fmt"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// source is a Watcher as the loop sees it.
type source Watcher

var (
	_ communicator.ReadHandler    = (*source)(nil)
	_ communicator.TimeoutHandler = (*source)(nil)
)

func (s *source) FD() int { return s.epfd }

func (s *source) String() string {
	roots := (*Watcher)(s).Watched()
	if len(roots) == 1 {
		return "filewatch " + roots[0]
	}
	return fmt.Sprintf("filewatch of %d paths", len(roots))
}

const (
	// unseen is how many events of the kernel are dealt with, when the handler isn't told of them, before the
	// loop is asked whether to go on; and before it is the other backend's turn.
	unseen = 64
	// piece is how many watches are ended in one go, which is done once in unseen events. Each makes an event in the
	// kernel's queue, so it is less than what is read from there meanwhile.
	piece = unseen / 4
)

func (s *source) HandleRead(h *communicator.Handle) error {
	w := (*Watcher)(s)
	if err := w.queue.bell.Answer(); err != nil {
		return err
	}
	served := false
	for n := 0; h.Enabled(); n++ {
		told := w.next < len(w.out)
		if n > 0 && (told && served || n%unseen == 0 || w.busy()) && !h.Continue() {
			break
		}
		if more, err := w.step(); err != nil || !more {
			return err
		}
		served = served || told
	}
	w.goOn()
	return nil
}

// HandleTimeout goes on with what HandleRead has left, or gives up waiting for where something was moved to.
func (s *source) HandleTimeout(h *communicator.Handle) error { return s.HandleRead(h) }

// goOn lets HandleRead be called as soon as it is the Watcher's turn. A mark would wait for the next turn of the loop,
// and what is less important would come first.
func (w *Watcher) goOn() { w.handle.SetDeadline(w.handle.Loop().Now()) }

// Close ends what is not the loop's goroutine without waiting for it.
func (s *source) Close() error {
	w := (*Watcher)(s)
	for _, scan := range w.scans {
		scan.close()
	}
	w.renewals, w.scans, w.drops, w.out, w.fresh = nil, nil, nil, nil, nil
	w.trees, w.nodes = map[string]*tree{}, 0
	ends := w.inotify
	switch {
	case w.notify != nil:
		w.notify.stop <- ends
	case ends != nil:
		go ends.close()
	}
	err := w.queue.close()
	if e := sys.Close(w.epfd); err == nil {
		err = e
	}
	return err
}

// busy tells whether there is work of which a step may take long.
func (w *Watcher) busy() bool { return len(w.renewals) > 0 || len(w.scans) > 0 || len(w.drops) > 0 }

// step does one piece of work: an event to the handler, what an overflow has left to do, a part of a directory that
// is to be read, or what the kernel tells, in this order. So nothing else is told of a directory before it has been
// read.
func (w *Watcher) step() (more bool, err error) {
	switch {
	case w.next < len(w.out):
		return true, w.tell()
	case len(w.renewals) > 0:
		r := w.renewals[0]
		w.renewals = w.renewals[1:]
		w.renew(r)
		return true, nil
	case len(w.scans) > 0:
		if s := w.scans[0]; s.step(&w.scans) {
			w.scans = w.scans[1:] // s was the first, what it found stands behind
			w.read = time.Now()
		}
		return true, nil
	}
	w.renewals, w.scans = nil, nil
	return w.listen()
}

// listen handles what one of the two backends has, by turns, and ends watches meanwhile.
func (w *Watcher) listen() (more bool, err error) {
	if w.turn++; w.turn%unseen == 0 {
		w.other = !w.other
		if w.dropSome() {
			return true, nil
		}
	}
	for range 2 {
		if w.other {
			more, err = w.fromQueue()
		} else if w.inotify != nil {
			more, err = w.inotify.step()
		}
		if more || err != nil {
			return more, err
		}
		w.other = !w.other
	}
	return w.dropSome(), nil
}

// fromQueue handles one event of fsnotify, or takes what goroutines have queued.
func (w *Watcher) fromQueue() (more bool, err error) {
	b := w.notify
	if b != nil && b.step() {
		return true, nil
	}
	var q queued
	if b != nil {
		q = w.queue.take(b.room())
		b.taken, b.next, b.lost = q.events, 0, q.lost
	} else {
		q = w.queue.take(nil)
	}
	if q.freed {
		w.overflow(w.inotify)
	}
	if q.empty() && b != nil {
		b.none()
	}
	return !q.empty(), q.err
}

// tell hands an event to the handler.
func (w *Watcher) tell() error {
	e := w.out[w.next]
	w.out[w.next] = told{}
	if w.next++; w.next == len(w.out) {
		w.out, w.next = w.out[:0], 0
		if cap(w.out) > 2*chunk {
			w.out = nil
		}
	}
	if e.tree.silent {
		return nil
	}
	return w.handler(e.Event)
}
