//go:build linux

// Package filewatch brings changes of files and directories to a loop.
//
//	w, err := filewatch.New(loop, func(e filewatch.Event) error {
//		fmt.Println(e.Op, e.Path)
//		return nil
//	}, filewatch.Config{})
//	...
//	err = w.Add("/etc/demo.conf", filewatch.Watch{Ops: filewatch.Finished})
//
// A [Watch] is of a directory, with Recursive of all below it, or of a single file. When Add has
// returned nothing is missed any more; in the rare case that the kernel drops events, or the program
// doesn't keep up, there is an [Overflow], after which everything is watched again.
//
// Do not use it for files on network file systems that others change, nor for those of /proc and
// /sys: the kernel doesn't tell. Nor for files mapped into memory: what is written there goes
// unnoticed. Whether a path is still what an event said has to be looked at: events are old when
// they come.
//
// # Single files
//
// A single file is followed by name: its directory is watched, and what has another name there is
// left out. So the watch outlives editors and programs that write a new file and rename it over the
// old one, which is Created, or Finished, not Written. It outlives the removal of the file, too, and
// ends when the directory goes. If the name is a symbolic link, the link is what is watched.
//
// # Directories that appear
//
// In a recursive watch a directory that appears is watched at once, and what is in it by then is
// told as Created: once, even if the kernel tells of it as well. What was removed again before the
// loop came to it may be left out. Removed of a directory that was moved away stands for all that is
// in it, and comes whatever the patterns are.
//
// # Two sources
//
// Created, Written, Removed and Attributes are what package fsnotify reports, and a watch that asks
// for nothing else is served by it. It doesn't report the rest, so a watch that asks for some of it
// is served by an inotify instance that the loop reads directly. The events of one watch are in
// order, those of different watches not always. With fsnotify:
//
//   - Event.Directory of what was removed is only true if it was watched itself;
//   - what happens within a directory while it and another trade names may be told of the wrong one,
//     because fsnotify knows directories by their paths;
//   - that a directory which is reached by a symbolic link has gone isn't told reliably.
//
// # Limits
//
// The kernel has limits for each user: fs.inotify.max_user_watches, of which every directory takes
// one; fs.inotify.max_user_instances, of which a Watcher takes up to two; and
// fs.inotify.max_queued_events, beyond which there is an Overflow. A relative path is looked up again
// for every directory that appears: with such the program must not change its working directory.
package filewatch

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// What Config has for zero.
const (
	DefaultMaxDirectories = 1 << 16
	DefaultMaxEvents      = 1 << 16
)

// Config says how a Watcher is. The zero value is right for most.
type Config struct {
	// Options are those of the source in the loop. Deadline and Want mean nothing here.
	communicator.Options
	// MaxDirectories is how many directories may be watched, of all watches together: ErrTooMany. Zero:
	// DefaultMaxDirectories.
	MaxDirectories int
	// MaxEvents is how many events of fsnotify may wait for the loop; what is more becomes an
	// Overflow. The loop may hold as many again. Zero: DefaultMaxEvents.
	MaxEvents int
}

// Watch says what is wanted of a path. The zero value is Created, Written and Removed of what is in
// a directory, or of a file.
type Watch struct {
	// Ops are what is wanted. Zero: Created, Written and Removed. To read files that change ask for
	// Finished instead of Written.
	Ops Op
	// Recursive watches all directories below as well.
	Recursive bool
	// Patterns are for the base names of what is told, as path.Match has them; one has to match.
	// Directories are descended into whatever their names. Empty: all names.
	Patterns []string
	// Exists tells of what is there already, as Exists, before any other event of that path. What
	// appears between Add and that moment may be told as Exists or Created, but not both.
	Exists bool
	// FollowSymlinks lets a recursive watch descend into directories by symbolic links. A directory is
	// watched once, under the path found first, so that circles end. The root is followed in any case.
	FollowSymlinks bool
}

// Watcher is a source of file events in a loop. It belongs to the loop's goroutine.
type Watcher struct {
	handle  *communicator.Handle
	handler func(Event) error
	max     int // directories
	limit   int // events of fsnotify
	epfd    int // the set of inotify's descriptor and fsnotify's eventfd

	trees   map[string]*tree
	nodes   int       // directories of all trees
	fresh   []*node   // those that have fresh names
	read    time.Time // when a directory was, last
	out     []told
	next    int // in out
	scans   []*scan
	inotify *inotify
	notify  *notifier
}

// told is an event that waits to be handled.
type told struct {
	Event
	tree *tree
}

// New makes a Watcher that watches nothing yet. f is called on the loop's goroutine for each event; it
// may call all methods of the Watcher. After Remove there are no more events of that root, after Close
// none at all. An error from f closes the Watcher with that cause.
//
// Events of a disabled Watcher wait, within the limits. It keeps Run from returning also while it watches
// nothing, unless Options.Background is set.
func New(loop *communicator.Communicator, f func(Event) error, c Config) (*Watcher, error) {
	if f == nil {
		panic("filewatch: nil function")
	}
	w := &Watcher{
		handler: f,
		max:     cmp.Or(c.MaxDirectories, DefaultMaxDirectories),
		limit:   cmp.Or(c.MaxEvents, DefaultMaxEvents),
		trees:   map[string]*tree{},
	}
	c.Deadline, c.Want = time.Time{}, communicator.Read
	var err error
	if w.epfd, err = sys.EpollCreate(); err != nil {
		return nil, err
	}
	if w.handle, err = loop.Add((*source)(w), c.Options); err != nil {
		_ = sys.Close(w.epfd)
		return nil, err
	}
	return w, nil
}

// Handle is the source's place in its loop.
func (w *Watcher) Handle() *communicator.Handle { return w.handle }

// Close takes the source out of the loop: there are no more events.
func (w *Watcher) Close() { w.handle.Remove(nil) }

// Len is how many paths are watched.
func (w *Watcher) Len() int { return len(w.trees) }

// Watched are the paths that are watched, as they were given to Add but cleaned, in order.
func (w *Watcher) Watched() []string {
	roots := make([]string, 0, len(w.trees))
	for root := range w.trees {
		roots = append(roots, root)
	}
	slices.Sort(roots)
	return roots
}

// Directories is how many directories are watched for that, which is what Config.MaxDirectories limits.
func (w *Watcher) Directories() int { return w.nodes }

// Add watches a path. A recursive watch costs some microseconds for each directory, in this call. A
// directory below the path that can't be watched for want of permission is left out and told as Failed.
//
// The error wraps fs.ErrNotExist or fs.ErrPermission for the path itself, ErrTooMany, ErrWatches,
// ErrInstances, ErrWatched, ErrOps, path.ErrBadPattern, or communicator.ErrClosed after Close; then
// nothing is watched.
func (w *Watcher) Add(name string, watch Watch) error {
	if !w.handle.Active() {
		return communicator.ErrClosed
	}
	if name == "" {
		return failed(name, fs.ErrNotExist)
	}
	root := filepath.Clean(name)
	if w.trees[root] != nil {
		return failed(root, ErrWatched)
	}
	if watch.Ops&^askable != 0 {
		return failed(root, ErrOps)
	}
	watch.Ops = cmp.Or(watch.Ops, defaultOps)
	watch.Patterns = slices.Clone(watch.Patterns)
	for _, pattern := range watch.Patterns {
		if _, err := path.Match(pattern, ""); err != nil {
			return failed(pattern, err)
		}
	}
	t := &tree{w: w, root: root, Watch: watch}
	if err := t.begin(); err != nil {
		t.drop()
		t.silent = true
		return err
	}
	w.trees[root] = t
	if watch.Exists {
		w.scans = append(w.scans, &scan{node: t.top, op: Exists})
	}
	w.handle.MarkReadable()
	return nil
}

// Remove ends the watch of a path: there are no more events of it. ErrNotWatched if there is none.
func (w *Watcher) Remove(name string) error {
	root := filepath.Clean(name)
	t := w.trees[root]
	if t == nil {
		return failed(root, ErrNotWatched)
	}
	delete(w.trees, root)
	t.silent = true
	t.drop()
	return nil
}

// source is a Watcher as the loop sees it.
type source Watcher

func (s *source) FD() int { return s.epfd }

func (s *source) String() string {
	roots := (*Watcher)(s).Watched()
	if len(roots) == 1 {
		return "filewatch " + roots[0]
	}
	return fmt.Sprintf("filewatch of %d paths", len(roots))
}

// unseen is how many events of the kernel are dealt with, when the handler isn't told of them, before the
// loop is asked whether to go on.
const unseen = 64

func (s *source) HandleRead(h *communicator.Handle) error {
	w := (*Watcher)(s)
	if w.notify != nil {
		w.notify.awake()
	}
	served := false
	for n := 1; h.Enabled(); n++ {
		told := w.next < len(w.out)
		if (told && served || n%unseen == 0 || len(w.scans) > 0) && !h.Continue() {
			break
		}
		if more, err := w.step(); err != nil || !more {
			return err
		}
		served = served || told
	}
	h.MarkReadable() // if disabled, it waits
	return nil
}

// HandleTimeout gives up waiting for where something was moved to.
func (s *source) HandleTimeout(h *communicator.Handle) error {
	if s.inotify != nil {
		s.inotify.giveUp = true
	}
	h.MarkReadable()
	return nil
}

// Close ends what is not the loop's goroutine without waiting for it.
func (s *source) Close() error {
	w := (*Watcher)(s)
	for _, scan := range w.scans {
		scan.close()
	}
	w.scans, w.out, w.fresh, w.trees, w.nodes = nil, nil, nil, map[string]*tree{}, 0
	ends := w.inotify
	switch {
	case w.notify != nil:
		w.notify.close(ends)
	case ends != nil:
		go ends.close()
	}
	return sys.Close(w.epfd)
}

// step does one piece of work: an event to the handler, a part of a directory that is to be read, or one
// event from the kernel, in this order. So nothing else is told of a directory before it has been read.
func (w *Watcher) step() (more bool, err error) {
	if w.next < len(w.out) {
		e := w.out[w.next]
		w.out[w.next] = told{}
		if w.next++; w.next == len(w.out) {
			w.out, w.next = w.out[:0], 0
			if cap(w.out) > 2*chunk {
				w.out = nil
			}
		}
		if e.tree.silent {
			return true, nil
		}
		return true, w.handler(e.Event)
	}
	if len(w.scans) > 0 {
		if s := w.scans[0]; s.step(&w.scans) {
			w.scans = w.scans[1:] // s was the first, what it found stands behind
			w.read = time.Now()
		}
		return true, nil
	}
	w.scans = nil
	if w.inotify != nil {
		if more, err := w.inotify.step(); more || err != nil {
			return more, err
		}
	}
	if w.notify != nil {
		return w.notify.step()
	}
	return false, nil
}
