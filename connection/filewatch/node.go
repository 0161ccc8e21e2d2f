//go:build linux

package filewatch

import (
	"path/filepath"
	"slices"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// What an event of the kernel means for a directory of a tree.

// appeared handles a name that has appeared in n. sure says that the kernel has told whether it is a directory.
func (n *node) appeared(name string, moved, directory, sure bool) {
	t := n.tree
	before, fresh := n.fresh[name]
	delete(n.fresh, name)
	if t.only != "" && name != t.only {
		return
	}
	full := filepath.Join(n.path, name)
	finished := moved && !directory && t.Ops.Has(Finished)
	follow := !directory && t.FollowSymlinks && t.Recursive
	link, enter := false, directory
	if fresh || !sure || finished || follow {
		status, err := sys.FileStat(full, false)
		if err != nil && !sure {
			return // a Removed follows, or it isn't that directory any more
		}
		// What was told after reading is told once: unless another took its place.
		fresh = fresh && (err != nil || status.ID.Inode == before.inode)
		directory = directory || status.Directory
		finished = finished && (err != nil || status.Regular)
		if link = status.Link; link {
			enter = follow && leads(full)
		} else {
			enter = directory
		}
	}
	child := n.children[name]
	if child != nil && !(enter && child.link == link && child.at(full)) {
		child.replace()
		child = nil
	}
	if t.wants(name) {
		var op Op
		if !fresh {
			op |= Created
		}
		if finished && !(fresh && before.finished) {
			op |= Finished
		}
		t.tell(Event{Op: op, Path: full, Directory: directory})
	}
	if t.Recursive && enter && child == nil {
		n.enter(name, link, Created|Finished, &t.w.scans)
	}
}

// leads tells whether a symbolic link leads to a directory.
func leads(full string) bool {
	status, err := sys.FileStat(full, true)
	return err == nil && status.Directory
}

// at tells whether the directory has that path, and sees to it that it is watched.
func (n *node) at(full string) bool {
	b := n.tree.backend
	d, err := b.watch(full, n.link, n.tree.Ops)
	if err != nil {
		return false
	}
	if d.idle() {
		b.unwatch(d)
	}
	return d == n.dir
}

// vanished handles a name that has gone from n, by being moved or deleted.
func (n *node) vanished(name string, moved, directory bool) {
	t := n.tree
	delete(n.fresh, name)
	delete(n.missed, name)
	child := n.children[name]
	if child != nil {
		child.drop()
	}
	if t.wants(name) || child != nil && moved {
		t.tell(Event{Op: Removed, Path: filepath.Join(n.path, name), Directory: directory || child != nil})
	}
}

// moved handles a rename within a tree, from a name in n to one in to. A directory takes along what is known
// of it if it can be seen that it is the one: under the old name there may have been another in the meantime,
// and under the new one may be another by now.
func (n *node) moved(name string, to *node, as string, directory bool) {
	t := n.tree
	child := n.children[name]
	known := !directory || !t.Recursive
	if child != nil {
		known = t.backend.is(child.dir, filepath.Join(to.path, as), child.link)
	}
	if !t.Ops.Has(Renamed) || !known || child == nil && (!t.wants(name) || !t.wants(as)) {
		n.vanished(name, true, directory)
		to.appeared(as, true, directory, true)
		return
	}
	delete(n.fresh, name)
	delete(to.fresh, as)
	e := Event{
		Op: Renamed, From: filepath.Join(n.path, name), Path: filepath.Join(to.path, as),
		Directory: directory || child != nil,
	}
	if old := to.children[as]; old != nil && old != child {
		old.replace()
	}
	if child != nil {
		child.relabel(to, as)
	}
	follow := t.FollowSymlinks && t.Recursive && child == nil
	link := false
	if !directory && (follow || t.Ops.Has(Finished)) {
		status, err := sys.FileStat(e.Path, false)
		link = status.Link
		if err != nil || status.Regular {
			e.Op |= Finished
		}
	}
	t.tell(e)
	if link && follow && leads(e.Path) { // under its old name it was gone too soon
		to.enter(as, true, Created|Finished, &t.w.scans)
	}
}

// touched handles what happened to a file in n.
func (n *node) touched(name string, op Op, directory bool) {
	t := n.tree
	if directory {
		op &^= Opened | Accessed | Closed
	}
	if op&t.Ops == 0 || !t.wants(name) {
		return
	}
	full := filepath.Join(n.path, name)
	if op == Finished {
		if status, err := sys.FileStat(full, false); err == nil && !status.Regular {
			return
		}
	}
	t.tell(Event{Op: op, Path: full, Directory: directory || n.children[name] != nil})
}

// lost handles the end of the directory itself.
func (n *node) lost() {
	if n.parent == nil {
		n.tree.end()
		return
	}
	n.drop()
	n.tree.tell(Event{Op: Gone, Path: n.path, Directory: true})
}

// settled is called when a backend has told all that had happened when the last directory was read: from now on
// what the kernel tells is new.
func (w *Watcher) settled(b backend) {
	w.fresh = slices.DeleteFunc(w.fresh, func(n *node) bool {
		if n.tree.backend == b {
			n.fresh = nil
		}
		return n.fresh == nil || n.dead()
	})
}

// each calls f for the nodes of a directory, which f may change.
func (d *dir) each(f func(n *node)) {
	for _, n := range slices.Clone(d.nodes) {
		if !n.dead() {
			f(n)
		}
	}
}
