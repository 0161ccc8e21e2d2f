//go:build linux

package filewatch

import (
	"errors"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// settling is how long fsnotify may take, at the very most, to tell what had happened when a directory was read.
// It can't be asked; if it takes longer a file may be told as Created twice.
const settling = time.Second

// notifier is the backend that has its events from fsnotify. A goroutine takes them and hands them to
// the loop.
type notifier struct {
	w       *Watcher
	watcher *fsnotify.Watcher
	eventfd int
	paths   map[string]*dir
	ids     map[sys.FileID]*dir
	// echoes counts, by path, the second Rename of a directory that is to come: fsnotify tells of one from the
	// directory it was in, and from itself unless its watch was removed by then.
	echoes  map[string]int
	renamed string // what the Rename that is handled now is of
	taken   []fsnotify.Event
	next    int // in taken
	lost    bool
	last    fsnotify.Event
	queue   queue
	stop    chan *inotify // given what is to be closed, too
}

// queue is what the goroutine has taken and the loop has not.
type queue struct {
	mu     sync.Mutex
	events []fsnotify.Event
	limit  int
	lost   bool // events after these
	err    error
	closed bool
}

// openNotifier returns the Watcher's fsnotify instance, made for the first who needs it.
func (w *Watcher) openNotifier() (*notifier, error) {
	if w.notify != nil {
		return w.notify, nil
	}
	eventfd, err := sys.EventFD()
	if err != nil {
		return nil, err
	}
	if err := sys.EpollAdd(w.epfd, eventfd, sys.Readable, 0, 0); err != nil {
		_ = sys.Close(eventfd)
		return nil, err
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		_ = sys.Close(eventfd)
		return nil, err
	}
	w.notify = &notifier{
		w: w, watcher: watcher, eventfd: eventfd,
		paths: map[string]*dir{}, ids: map[sys.FileID]*dir{}, echoes: map[string]int{},
		queue: queue{limit: w.limit}, stop: make(chan *inotify, 1),
	}
	go w.notify.run()
	return w.notify, nil
}

// run is the goroutine. It never waits for the loop.
func (b *notifier) run() {
	for {
		select {
		case e := <-b.watcher.Events:
			b.add(e)
		case err := <-b.watcher.Errors:
			b.fail(err)
		case other := <-b.stop:
			b.end()
			if other != nil {
				other.close()
			}
			return
		}
	}
}

// end closes fsnotify's watcher. Somebody has to take errors meanwhile: fsnotify may be waiting for that with the
// lock held that its Close needs.
func (b *notifier) end() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = b.watcher.Close()
	}()
	for {
		select {
		case err := <-b.watcher.Errors: // closed at the end, too
			b.fail(err)
		case <-closed:
			return
		}
	}
}

// add queues an event, unless it says what the one before it said.
func (b *notifier) add(e fsnotify.Event) {
	q := &b.queue
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
	if n == 0 {
		_ = sys.Signal(b.eventfd)
	}
}

// fail queues an error. EINVAL is none: fsnotify has ended the watch of a directory that was moved, and deleted
// before that.
func (b *notifier) fail(err error) {
	if errors.Is(err, syscall.EINVAL) {
		return
	}
	q := &b.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	if errors.Is(err, fsnotify.ErrEventOverflow) {
		q.lost = true
	} else if q.err == nil {
		q.err = err
	}
	_ = sys.Signal(b.eventfd)
}

// take moves what is queued to the loop's side.
func (b *notifier) take() error {
	const keep = 1024 // events of room are kept
	q := &b.queue
	clear(b.taken)
	room := b.taken[:0]
	if cap(room) > keep {
		room = nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	b.taken, b.next, b.lost = q.events, 0, q.lost
	q.events, q.lost = room, false
	return q.err
}

// awake takes back the signal that there is something.
func (b *notifier) awake() {
	var p [8]byte
	_, _ = sys.Read(b.eventfd, p[:])
}

// close ends the goroutine, without waiting for it, and lets it close the other instance as well.
func (b *notifier) close(other *inotify) {
	b.queue.mu.Lock()
	b.queue.closed = true
	_ = sys.Close(b.eventfd)
	b.queue.mu.Unlock()
	b.stop <- other
}

func (b *notifier) watch(name string, follow bool, _ Op) (*dir, error) {
	status, err := sys.FileStat(name, follow)
	if err != nil {
		return nil, err
	}
	if !status.Directory {
		return nil, syscall.ENOTDIR
	}
	if d := b.ids[status.ID]; d != nil {
		if d.path == name || b.is(d, d.path) {
			return d, nil
		}
		b.forget(d) // moved; under the new path it is the same
		return d, b.register(d, name)
	}
	if old := b.paths[name]; old != nil {
		b.forget(old)
	}
	d := &dir{id: status.ID}
	return d, b.register(d, name)
}

func (b *notifier) register(d *dir, name string) error {
	if err := b.watcher.Add(name); err != nil {
		return err
	}
	d.path = name
	b.paths[name], b.ids[d.id] = d, d
	return nil
}

func (b *notifier) is(d *dir, name string) bool {
	status, err := sys.FileStat(name, true)
	return err == nil && status.ID == d.id
}

func (b *notifier) unwatch(d *dir) {
	if b.ids[d.id] == d {
		b.forget(d)
	}
}

func (b *notifier) forget(d *dir) {
	delete(b.ids, d.id)
	if b.paths[d.path] != d {
		return
	}
	delete(b.paths, d.path)
	err := b.watcher.Remove(d.path)
	if errors.Is(err, fsnotify.ErrNonExistentWatch) && b.renamed == d.path {
		b.echoes[d.path]++
	}
}

// step handles one event, if there is one.
func (b *notifier) step() (more bool, err error) {
	if b.next < len(b.taken) {
		e := b.taken[b.next]
		b.next++
		b.handle(e)
		return true, nil
	}
	if b.lost {
		b.lost = false
		clear(b.echoes)
		b.w.overflow(b)
		return true, nil
	}
	if err = b.take(); len(b.taken) > 0 || b.lost || err != nil {
		return err == nil, err
	}
	if len(b.w.fresh) > 0 && b.w.read.Add(settling).Before(time.Now()) {
		b.w.settled(b)
	}
	return false, nil
}

func (b *notifier) handle(e fsnotify.Event) {
	full := filepath.Clean(e.Name)
	again := e == b.last && e.Op == fsnotify.Chmod
	b.last = e
	self, name := b.paths[full], filepath.Base(full)
	var in *dir // where it is
	if name != "." && name != ".." && name != "/" {
		in = b.paths[filepath.Dir(full)]
	}
	moved := e.Has(fsnotify.Rename)
	switch {
	case moved && b.echoes[full] > 0:
		if b.echoes[full]--; b.echoes[full] == 0 {
			delete(b.echoes, full)
		}
	case e.Has(fsnotify.Create):
		b.each(in, func(n *node) { n.appeared(name, false, false, false) })
	case e.Has(fsnotify.Remove | fsnotify.Rename):
		if moved {
			b.renamed = full
		}
		b.each(in, func(n *node) { n.vanished(name, moved, false) })
		if self != nil && (moved || !b.is(self, full)) {
			b.each(self, func(n *node) {
				if n.parent == nil {
					n.tree.end()
				}
			})
		}
		b.renamed = ""
	case e.Has(fsnotify.Write):
		b.each(in, func(n *node) { n.touched(name, Written, false) })
	case e.Has(fsnotify.Chmod) && !(again && self != nil && in != nil):
		b.each(in, func(n *node) { n.touched(name, Attributes, false) })
		b.each(self, func(n *node) {
			if n.parent == nil && n.tree.only == "" {
				n.tree.tell(Event{Op: Attributes, Path: n.tree.root, Directory: true})
			}
		})
	}
}

func (b *notifier) each(d *dir, f func(n *node)) {
	if d != nil {
		d.each(f)
	}
}
