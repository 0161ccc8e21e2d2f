//go:build linux

package filewatch

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// backend is what lets the kernel watch directories: inotify or notifier.
type backend interface {
	// watch returns the same dir for the same directory. follow says whether the path may be a symbolic link.
	watch(name string, follow bool, ops Op) (*dir, error)
	// unwatch is called when the dir is of no use any more.
	unwatch(d *dir)
	// is tells whether the path leads to that directory now. follow says whether it may be a symbolic link.
	is(d *dir, name string, follow bool) bool
}

// dir is a directory that the kernel watches, once for all trees that it is in.
type dir struct {
	nodes  []*node
	guards []*tree    // those whose root it is and that are served by the other backend
	wd     int32      // inotify's
	id     sys.FileID // with fsnotify, and
	path   string     // under which that knows it,
	follow bool       // which may be a symbolic link
}

func (d *dir) idle() bool { return len(d.nodes) == 0 && len(d.guards) == 0 }

// tree is one Watch.
type tree struct {
	Watch
	w       *Watcher
	root    string
	only    string // the one name of interest; empty in a watch of a directory
	backend backend
	guard   *dir // tells of an unmount, which fsnotify doesn't
	top     *node
	silent  bool  // there are no events any more
	adding  bool  // within Add
	refused error // why Add fails
	// failures counts the directories below that Add couldn't watch or read; failure is the error of the last.
	failures int
	failure  error
}

// node is a directory in a tree.
type node struct {
	tree     *tree
	dir      *dir
	parent   *node
	children map[string]*node // the directories in it that are watched
	// fresh has what was told after reading the directory and changed so shortly before that the kernel may have
	// told of it, too; so there are no more of them than files.
	fresh map[string]finding
	// unread and missed are what could not be read or watched because it was moved meanwhile: the event
	// of that is still to come and tells the new path. Missed are directories in this one, by their names.
	unread *scan
	missed map[string]missing
	path   string
	name   string
	since  time.Time // when the watch began
	link   bool      // reached by a symbolic link, or the root
	gone   bool      // not watched any more
}

// finding is what has been told of a file that was found.
type finding struct {
	inode    uint64
	finished bool
}

// missing is how a directory would have been entered.
type missing struct {
	op     Op
	follow bool
}

// maxFailures is how many directories that Add can't watch or read have an event of their own.
const maxFailures = 1000

// begin watches the root, and with Recursive all below it.
func (t *tree) begin() error {
	status, err := sys.FileStat(t.root, true)
	if err != nil {
		return failed(t.root, err)
	}
	name := t.root
	if !status.Directory {
		name, t.only = filepath.Split(t.root)
		name = filepath.Clean(name)
		t.Recursive = false
	}
	if t.Ops&^common == 0 {
		t.backend, err = t.w.openNotifier()
	} else {
		t.backend, err = t.w.openInotify()
	}
	if err != nil {
		return failed(t.root, err)
	}
	if t.top, err = t.add(nil, "", name, true); err != nil {
		return failed(t.root, err)
	}
	if _, ok := t.backend.(*notifier); ok {
		if err := t.beginGuard(name); err != nil {
			return failed(t.root, err)
		}
	}
	if !t.Recursive {
		return nil
	}
	t.adding = true
	scans := []*scan{{node: t.top}}
	for len(scans) > 0 && t.refused == nil {
		if s := scans[0]; s.step(&scans) {
			scans = scans[1:]
		}
	}
	for _, s := range scans {
		s.close()
	}
	t.adding = false
	if more := t.failures - maxFailures; more > 0 {
		t.fail(t.root, fmt.Errorf("and %d more directories: %w", more, t.failure))
	}
	return t.refused
}

func (t *tree) beginGuard(name string) error {
	i, err := t.w.openInotify()
	if err != nil {
		return err
	}
	if t.guard, err = i.watch(name, true, 0); err != nil {
		return err
	}
	t.guard.guards = append(t.guard.guards, t)
	return nil
}

// drop stops watching all of it.
func (t *tree) drop() {
	if t.top != nil {
		t.top.drop()
	}
	if g := t.guard; g != nil {
		t.guard = nil
		g.guards = slices.DeleteFunc(g.guards, func(other *tree) bool { return other == t })
		if g.idle() {
			t.w.inotify.unwatch(g)
		}
	}
}

// end is the end of a tree whose root has gone.
func (t *tree) end() {
	if t.w.trees[t.root] != t {
		return
	}
	delete(t.w.trees, t.root)
	t.drop()
	t.tell(Event{Op: Gone, Path: t.root, Directory: t.only == ""})
}

// errTwice is returned by add for a directory that is in the tree already, under another path.
var errTwice = errors.New("filewatch: the directory is watched under another path")

// add watches a directory.
func (t *tree) add(parent *node, name, full string, follow bool) (*node, error) {
	for t.w.nodes >= t.w.max {
		if !t.w.dropSome() {
			return nil, ErrTooMany
		}
	}
	n := &node{tree: t, parent: parent, name: name, path: full, since: time.Now(), link: follow}
	for {
		d, err := t.backend.watch(full, follow, t.Ops)
		if errors.Is(err, syscall.ENOSPC) && t.w.dropSome() {
			continue
		}
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(d.nodes, func(other *node) bool { return other.tree == t })
		if i < 0 {
			n.dir = d
			d.nodes = append(d.nodes, n)
			break
		}
		// It is reached by a link, or was moved, and the event of its old path is still to come.
		other := d.nodes[i]
		if !other.dead() && (other.path == full || t.backend.is(d, other.path, other.link)) {
			return nil, errTwice
		}
		other.replace()
	}
	t.w.nodes++
	if parent != nil {
		if parent.children == nil {
			parent.children = map[string]*node{}
		}
		parent.children[name] = n
	}
	return n, nil
}

// dead tells whether the directory is not wanted any more, though it may still be watched.
func (n *node) dead() bool {
	for ; n != nil; n = n.parent {
		if n.gone {
			return true
		}
	}
	return false
}

// drop stops watching a directory, and all below it in a while.
func (n *node) drop() {
	if !n.gone {
		n.tree.w.drops = append(n.tree.w.drops, n)
		n.tree.w.dropSome()
	}
}

// replace is drop for a directory whose name another has taken. If it was reached by a link, nobody else tells that
// what was below has gone.
func (n *node) replace() {
	told := n.link && n.parent != nil && !n.dead()
	n.drop()
	if told {
		n.tree.tell(Event{Op: Removed, Path: n.path, Directory: true})
	}
}

// dropSome ends some of the watches that are not wanted any more, beginning with the last that was dropped. It returns
// false if there are none.
func (w *Watcher) dropSome() bool {
	if len(w.drops) == 0 {
		return false
	}
	for range piece {
		last := len(w.drops) - 1
		if last < 0 {
			w.drops = nil
			break
		}
		n := w.drops[last]
		w.drops[last] = nil
		w.drops = w.drops[:last]
		if !n.gone {
			n.unwatch()
		}
	}
	return true
}

// unwatch stops watching a directory, and leaves what is below to dropSome.
func (n *node) unwatch() {
	w := n.tree.w
	n.gone, n.fresh = true, nil
	w.nodes--
	if n.parent != nil && n.parent.children[n.name] == n {
		delete(n.parent.children, n.name)
	}
	for _, child := range n.children {
		w.drops = append(w.drops, child)
	}
	n.dir.nodes = slices.DeleteFunc(n.dir.nodes, func(other *node) bool { return other == n })
	if n.dir.idle() {
		n.tree.backend.unwatch(n.dir)
	}
}

// relabel gives a directory another place in its tree.
func (n *node) relabel(parent *node, name string) {
	if n.parent.children[n.name] == n {
		delete(n.parent.children, n.name)
	}
	if old := parent.children[name]; old != nil {
		old.drop()
	}
	if parent.children == nil {
		parent.children = map[string]*node{}
	}
	parent.children[name] = n
	n.parent, n.name = parent, name
	n.rename(filepath.Join(parent.path, name))
}

// rename gives a directory, and all below it, another path, under which what was missed is made good.
func (n *node) rename(full string) {
	n.path = full
	scans := &n.tree.w.scans
	if n.unread != nil {
		*scans = append(*scans, n.unread)
		n.unread = nil
	}
	for name, child := range n.children {
		child.rename(filepath.Join(full, name))
	}
	missed := n.missed
	n.missed = nil
	for name, m := range missed {
		n.enter(name, m.follow, m.op, scans)
	}
}

// enter watches a directory in n and has it read; op is how the files in it are told. follow says
// whether it is reached by a link.
func (n *node) enter(name string, follow bool, op Op, scans *[]*scan) {
	full := filepath.Join(n.path, name)
	child, err := n.tree.add(n, name, full, follow)
	switch {
	case err == nil:
		*scans = append(*scans, &scan{node: child, op: op})
	case vanished(err):
		if n.missed == nil {
			n.missed = map[string]missing{}
		}
		n.missed[name] = missing{op, follow}
	case !errors.Is(err, errTwice):
		n.tree.fail(full, err)
	}
}

// fail tells of a directory that can't be watched or read.
func (t *tree) fail(full string, err error) {
	e := Event{Op: Failed, Path: full, Directory: true, Err: failed(full, err)}
	if t.adding {
		if limited(e.Err) || full == t.root {
			t.refused = e.Err
			return
		}
		if t.failures++; t.failures > maxFailures {
			t.failure = err
			return
		}
	}
	t.tell(e)
}

// tell queues an event for the handler, if it was asked for.
func (t *tree) tell(e Event) {
	e.Op &= t.Ops | Exists | Overflow | Gone | Failed
	if e.Op == 0 || t.silent {
		return
	}
	e.Root = t.root
	e.Guessed = e.Guessed && e.Op.Has(Finished)
	t.w.out = append(t.w.out, told{e, t})
}

// wants tells whether there are events of that name.
func (t *tree) wants(name string) bool {
	if t.only != "" && name != t.only {
		return false
	}
	if len(t.Patterns) == 0 {
		return true
	}
	return slices.ContainsFunc(t.Patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil // Add has found no mistake in it
	})
}
