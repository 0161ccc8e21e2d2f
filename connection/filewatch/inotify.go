//go:build linux

package filewatch

import (
	"errors"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// moveWait is how long the second half of a rename is waited for. The kernel queues both within
// microseconds, but not at once.
const moveWait = 5 * time.Millisecond

// inotify is the backend for what fsnotify doesn't report. The loop reads it directly.
type inotify struct {
	w     *Watcher
	fd    int
	dirs  map[int32]*dir
	buf   []byte
	rest  []byte         // of buf, not handled yet
	from  sys.FileChange // the first half of a rename, when its Mask isn't 0
	until time.Time      // when the second half isn't waited for any longer; zero as long as there is more to read
}

// openInotify returns the Watcher's own inotify instance, made for the first who needs it.
func (w *Watcher) openInotify() (*inotify, error) {
	if w.inotify != nil {
		return w.inotify, nil
	}
	fd, err := w.openInstance()
	if err != nil {
		return nil, err
	}
	w.inotify = &inotify{w: w, fd: fd, dirs: map[int32]*dir{}, buf: make([]byte, 16<<10)}
	return w.inotify, nil
}

func (w *Watcher) openInstance() (fd int, err error) {
	if fd, err = sys.InotifyInit(); err != nil {
		return sys.NoFD, err
	}
	if err = sys.EpollAdd(w.epfd, fd, sys.Readable, 0, 0); err != nil {
		_ = sys.Close(fd)
		return sys.NoFD, err
	}
	return fd, nil
}

// renew replaces an instance that has lost events by a new one. To end its watches one by one would fill the
// kernel's queue again, with an event for each. The old one is closed on a goroutine, which takes some milliseconds.
// Only then all is watched anew, because until then the old watches count for the user's limit.
func (i *inotify) renew() error {
	old := i.fd
	i.fd, i.dirs, i.rest, i.from.Mask = sys.NoFD, map[int32]*dir{}, nil, 0
	if err := sys.EpollDelete(i.w.epfd, old); err != nil {
		_ = sys.Close(old)
		return err
	}
	fd, err := i.w.openInstance()
	if err == nil {
		i.fd = fd
		go func() {
			_ = sys.Close(old)
			i.w.queue.free()
		}()
		return nil
	}
	_ = sys.Close(old) // which may be the one that is missing
	if i.fd, err = i.w.openInstance(); err == nil {
		i.w.overflow(i)
	}
	return limit(err)
}

func (i *inotify) close() { _ = sys.Close(i.fd) }

// mask is what the kernel is asked for, in each directory of a watch.
func mask(ops Op) uint32 {
	if ops == 0 { // a guard
		return sys.SelfDeleted
	}
	m := uint32(sys.FileCreated | sys.FileDeleted | sys.FileMovedFrom | sys.FileMovedTo | sys.SelfDeleted | sys.SelfMoved)
	for _, c := range changes {
		if ops.Has(c.op) {
			m |= c.mask
		}
	}
	return m
}

// changes are what can happen to a file that keeps its name.
var changes = [...]struct {
	op   Op
	mask uint32
}{
	{Written, sys.FileModified},
	{Finished, sys.FileWritten},
	{Attributes, sys.FileAttributes},
	{Opened, sys.FileOpened},
	{Accessed, sys.FileAccessed},
	{Closed, sys.FileClosed},
}

func (i *inotify) watch(name string, follow bool, ops Op) (*dir, error) {
	m := mask(ops) | sys.WatchAdd | sys.WatchOnlyDir
	if !follow {
		m |= sys.WatchNoFollow
	}
	wd, err := sys.InotifyAdd(i.fd, name, m)
	if err != nil {
		return nil, err
	}
	d := i.dirs[wd]
	if d == nil {
		d = &dir{wd: wd}
		i.dirs[wd] = d
	}
	return d, nil
}

func (i *inotify) unwatch(d *dir) {
	if i.dirs[d.wd] == d {
		delete(i.dirs, d.wd)
		_ = sys.InotifyRemove(i.fd, d.wd) // EINVAL: the directory was deleted
	}
}

func (i *inotify) is(d *dir, name string, follow bool) bool {
	m := uint32(sys.SelfDeleted | sys.WatchAdd | sys.WatchOnlyDir)
	if !follow {
		m |= sys.WatchNoFollow
	}
	wd, err := sys.InotifyAdd(i.fd, name, m)
	if err != nil {
		return false
	}
	if i.dirs[wd] == nil {
		_ = sys.InotifyRemove(i.fd, wd) // deleted since, at worst
	}
	return i.dirs[wd] == d
}

// step handles one event of the kernel, if there is one.
func (i *inotify) step() (more bool, err error) {
	var c sys.FileChange
	var ok bool
	if c, i.rest, ok = sys.NextFileChange(i.rest); !ok {
		n, err := sys.Read(i.fd, i.buf)
		switch {
		case errors.Is(err, sys.ErrWouldBlock):
			return i.none(), nil
		case err != nil:
			return false, err
		}
		i.rest = i.buf[:n]
		return true, nil
	}
	i.until = time.Time{}
	if from := i.from; from.Mask != 0 {
		i.from.Mask = 0
		i.w.handle.SetDeadline(time.Time{})
		if c.Mask&sys.FileMovedTo != 0 && c.Cookie == from.Cookie {
			i.moved(from, c)
			return true, nil
		}
		i.away(from)
	}
	if c.Mask&sys.WatchOverflow != 0 {
		return true, i.renew()
	}
	i.handle(c)
	return true, nil
}

// none is called when the kernel has nothing to tell. A rename of which only one half was told waits for the other.
func (i *inotify) none() (more bool) {
	if i.from.Mask == 0 {
		i.w.settled(i)
		return false
	}
	now := time.Now()
	if i.until.IsZero() {
		i.until = now.Add(moveWait)
	}
	if now.Before(i.until) {
		i.w.handle.SetDeadline(i.until)
		return false
	}
	from := i.from
	i.from.Mask = 0
	i.away(from)
	return true
}

func (i *inotify) handle(c sys.FileChange) {
	d := i.dirs[c.WD]
	if d == nil {
		return // it came before the watch was ended
	}
	directory := c.Mask&sys.FileIsDir != 0
	switch {
	case c.Mask&sys.WatchEnded != 0:
		delete(i.dirs, c.WD)
	case c.Mask&sys.SelfUnmounted != 0:
		for len(d.guards) > 0 {
			d.guards[0].end()
		}
		d.each((*node).lost)
	case c.Name == "":
		i.self(d, c.Mask)
	case c.Mask&sys.FileMovedFrom != 0:
		i.from = c
	case c.Mask&sys.FileDeleted != 0:
		d.each(func(n *node) { n.vanished(c.Name, false, directory) })
	case c.Mask&(sys.FileCreated|sys.FileMovedTo) != 0:
		d.each(func(n *node) { n.appeared(c.Name, c.Mask&sys.FileMovedTo != 0, directory, true) })
	default:
		for _, change := range changes {
			if c.Mask&change.mask != 0 {
				d.each(func(n *node) { n.touched(c.Name, change.op, directory) })
			}
		}
	}
}

// self handles what happened to a directory itself; of what is in another that is told there.
func (i *inotify) self(d *dir, m uint32) {
	d.each(func(n *node) {
		switch {
		case !n.link:
		case m&(sys.SelfDeleted|sys.SelfMoved) != 0:
			n.lost()
		case n.parent == nil && m&sys.FileAttributes != 0 && n.tree.only == "":
			n.tree.tell(Event{Op: Attributes, Path: n.tree.root, Directory: true})
		}
	})
}

// away handles what was moved out of all that is watched.
func (i *inotify) away(from sys.FileChange) {
	if d := i.dirs[from.WD]; d != nil {
		d.each(func(n *node) { n.vanished(from.Name, true, from.Mask&sys.FileIsDir != 0) })
	}
}

// moved handles a rename. In a tree that has only one side of it something has appeared or vanished.
func (i *inotify) moved(from, to sys.FileChange) {
	directory := from.Mask&sys.FileIsDir != 0
	target := i.dirs[to.WD]
	if target == nil {
		i.away(from)
		return
	}
	within := map[*tree]*node{}
	target.each(func(n *node) { within[n.tree] = n })
	if d := i.dirs[from.WD]; d != nil {
		d.each(func(n *node) {
			if t := within[n.tree]; t != nil {
				delete(within, n.tree)
				n.moved(from.Name, t, to.Name, directory)
			} else {
				n.vanished(from.Name, true, directory)
			}
		})
	}
	target.each(func(n *node) {
		if within[n.tree] == n {
			n.appeared(to.Name, true, directory, true)
		}
	})
}
