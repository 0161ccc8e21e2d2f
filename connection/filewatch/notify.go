//go:build linux

package filewatch

import (
	"errors"
	"path/filepath"
	"slices"
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
	stop    chan *inotify // given what is to be closed, too
}

// openNotifier returns the Watcher's fsnotify instance, made for the first who needs it.
func (w *Watcher) openNotifier() (*notifier, error) {
	if w.notify != nil {
		return w.notify, nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w.notify = &notifier{
		w: w, watcher: watcher, stop: make(chan *inotify, 1),
		paths: map[string]*dir{}, ids: map[sys.FileID]*dir{}, echoes: map[string]int{},
	}
	go w.notify.run()
	return w.notify, nil
}

// run is the goroutine. It never waits for the loop.
func (b *notifier) run() {
	for {
		select {
		case e := <-b.watcher.Events:
			b.w.queue.add(e)
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

// fail queues an error. EINVAL is none: fsnotify has ended the watch of a directory that was moved, and deleted
// before that.
func (b *notifier) fail(err error) {
	if err != nil && !errors.Is(err, syscall.EINVAL) {
		b.w.queue.fail(err)
	}
}

// room is what the queue can go on with.
func (b *notifier) room() []fsnotify.Event {
	const keep = 1024 // events
	clear(b.taken)
	if cap(b.taken) > keep {
		return nil
	}
	return b.taken[:0]
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
		if b.is(d, d.path, d.follow) {
			return d, nil
		}
		b.forget(d) // moved; under the new path it is the same
		return d, b.register(d, name, follow)
	}
	if old := b.paths[name]; old != nil {
		b.forget(old)
	}
	d := &dir{id: status.ID}
	return d, b.register(d, name, follow)
}

func (b *notifier) register(d *dir, name string, follow bool) error {
	if err := b.watcher.Add(name); err != nil {
		return err
	}
	d.path, d.follow = name, follow
	b.paths[name], b.ids[d.id] = d, d
	return nil
}

func (b *notifier) is(d *dir, name string, follow bool) bool {
	status, err := sys.FileStat(name, follow)
	return err == nil && status.ID == d.id
}

// alive tells whether fsnotify watches what has that path. It doesn't any more when that was moved.
func (b *notifier) alive(name string) bool { return slices.Contains(b.watcher.WatchList(), name) }

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

// step handles one event of those that were taken, if there is one.
func (b *notifier) step() (more bool) {
	if b.next < len(b.taken) {
		e := b.taken[b.next]
		b.next++
		b.handle(e)
		return true
	}
	if b.lost {
		b.lost = false
		clear(b.echoes)
		b.w.overflow(b)
		return true
	}
	return false
}

// none is called when there is nothing to take.
func (b *notifier) none() {
	if len(b.w.fresh) > 0 && b.w.read.Add(settling).Before(time.Now()) {
		b.w.settled(b)
	}
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
		// It may be of a directory that had the path before, and was watched before.
		if self != nil && (!b.is(self, full, self.follow) || moved && !b.alive(full)) {
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
