//go:build linux

package filewatch

import (
	"errors"
	"sync"

	"github.com/fsnotify/fsnotify"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// queue is what goroutines have for the loop.
type queue struct {
	mu    sync.Mutex
	bell  sys.Bell
	limit int // of events
	queued
	closed bool
}

// queued is what the loop takes from the queue at once.
type queued struct {
	events []fsnotify.Event
	lost   bool // events after these
	err    error
	freed  bool // an inotify instance that was replaced is closed
}

func (q *queued) empty() bool { return len(q.events) == 0 && !q.lost && q.err == nil && !q.freed }

// add queues an event, unless it says what the one before it said.
func (q *queue) add(e fsnotify.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.events)
	switch {
	case q.closed, q.lost:
		return
	case n > 0 && q.events[n-1] == e && e.Op == fsnotify.Write:
		return
	case n >= q.limit:
		q.lost = true
	default:
		q.events = append(q.events, e)
	}
	q.bell.Ring()
}

// fail queues an error of fsnotify, or that it has lost events.
func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return
	case errors.Is(err, fsnotify.ErrEventOverflow):
		q.lost = true
	case q.err == nil:
		q.err = err
	}
	q.bell.Ring()
}

// free queues that an inotify instance is closed.
func (q *queue) free() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.freed = true
	q.bell.Ring()
}

// take empties the queue, which goes on in that room.
func (q *queue) take(room []fsnotify.Event) queued {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.queued
	if taken.empty() {
		q.bell.Quiet()
		return queued{events: room}
	}
	q.queued = queued{events: room}
	return taken
}

func (q *queue) close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	return q.bell.Close()
}
