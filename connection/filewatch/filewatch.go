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
// ends when the directory goes. If the name is a symbolic link, the link is what is watched; a new one in
// its place is Created, not Finished. The file has to be there when it is added. One that may come later is a
// matter for a watch of its directory, with the name, escaped where it has to be, as the only one of
// Watch.Patterns.
//
// # Directories that appear
//
// In a recursive watch a directory that appears is watched at once, and what is in it by then is
// told as Created: once, even if the kernel tells of it as well. What was removed again before the
// loop came to it may be left out. If it is renamed while it is read, it is read from the start, and what was told
// under its old name is told under the new one. Removed of a directory that was moved away stands for all that is
// in it, and comes whatever the patterns are.
//
// A file that is found there is told as Finished if nobody has it open for writing; else the Finished comes when
// he has closed it. The kernel is asked by a read lease, for a moment: see fcntl(2). To that end the file is
// opened and closed, which other programs that watch it may notice; one that opens it for writing in that moment
// waits. Where the kernel doesn't say, because the file belongs to another user or the file system has no leases,
// and in watches of Opened or Closed, there is a Finished with Event.Guessed.
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
//   - that a directory which is reached by a symbolic link has gone isn't told reliably;
//   - that a file system below the root was unmounted isn't told.
//
// # Limits
//
// The kernel has limits for each user: fs.inotify.max_user_watches, of which every directory takes
// one; fs.inotify.max_user_instances, of which a Watcher takes up to two, and for a moment after an Overflow
// three; and fs.inotify.max_queued_events, beyond which there is an Overflow. A directory that couldn't be watched
// for want of something, and was told as Failed, isn't tried again.
//
// A relative path is looked up again for every directory that appears: with such the program must not
// change its working directory. That a directory above the root was renamed goes unnoticed. Where two watches
// have a directory in common, the one that was added later may be told of what happened just before.
package filewatch

import (
	"cmp"
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
	// Options are those of the source in the loop. Deadline, Slack and Want mean nothing here.
	communicator.Options
	// MaxDirectories is how many directories may be watched, of all watches together: ErrTooMany. Zero or
	// less: DefaultMaxDirectories.
	MaxDirectories int
	// MaxEvents is how many events of fsnotify may wait for the loop; what is more becomes an
	// Overflow. The loop may hold as many again. Zero or less: DefaultMaxEvents.
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
	// watched once, under the path found first, so that circles end; when that path goes, it isn't looked for under
	// another. A link that comes to lead elsewhere is Removed, as a directory, and Created. The root is followed in any
	// case.
	FollowSymlinks bool
}

// Watcher is a source of file events in a loop. It belongs to the loop's goroutine.
type Watcher struct {
	handle  *communicator.Handle
	handler func(Event) error
	max     int // directories
	epfd    int // the set of inotify's descriptor and the queue's

	queue queue

	trees    map[string]*tree
	nodes    int       // directories of all trees, and of drops
	fresh    []*node   // those that have fresh names
	read     time.Time // when a directory was, last
	out      []told    // empty before the next piece of work is done, so it has what one piece tells
	next     int       // in out
	renewals []renewal
	scans    []*scan
	drops    []*node // those that are not wanted any more, with all below
	inotify  *inotify
	notify   *notifier
	turn     int  // counts events of the kernel
	other    bool // it is fsnotify's turn, not inotify's
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
// nothing, unless Options.Background is set. The error is ErrInstances when the process has no descriptor left, or
// one of Communicator.Add.
func New(loop *communicator.Communicator, f func(Event) error, c Config) (*Watcher, error) {
	if f == nil {
		panic("filewatch: nil function")
	}
	w := &Watcher{
		handler: f,
		max:     positive(c.MaxDirectories, DefaultMaxDirectories),
		queue:   queue{limit: positive(c.MaxEvents, DefaultMaxEvents)},
		trees:   map[string]*tree{},
	}
	c.Deadline, c.Slack, c.Want = time.Time{}, 0, communicator.Read
	var err error
	if w.epfd, err = sys.EpollCreate(); err != nil {
		return nil, limit(err)
	}
	if w.queue.bell, err = sys.NewBell(); err != nil {
		err = limit(err)
	} else {
		err = sys.EpollAdd(w.epfd, w.queue.bell.FD(), sys.Readable, 0, 0)
	}
	if err == nil {
		w.handle, err = loop.Add((*source)(w), c.Options)
	}
	if err != nil {
		_ = w.queue.close()
		_ = sys.Close(w.epfd)
		return nil, err
	}
	return w, nil
}

// positive is a limit, or what stands for none.
func positive(limit, otherwise int) int {
	if limit <= 0 {
		return otherwise
	}
	return limit
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

// Directories is how many directories are watched for that, which is what Config.MaxDirectories limits. Those of a
// large tree that was removed count until the loop has come round to them, or there is need for the room.
func (w *Watcher) Directories() int { return w.nodes }

// Add watches a path. A recursive watch costs some 20 µs for each directory, in this call: large trees are best added
// before Run, or with a Config.SlowCallback of the loop that allows for them. Directories below the path that
// can't be watched or read, other than by a limit, are left out and told as Failed: a thousand of them each, how
// many more in one event of the root. A single file has to be there: see the package's section "Single files".
//
// The error wraps fs.ErrNotExist, fs.ErrPermission or another for the path itself, ErrTooMany, ErrWatches,
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
	w.goOn()
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
