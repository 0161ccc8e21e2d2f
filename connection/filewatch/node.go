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
	inode, fresh := n.fresh[name]
	delete(n.fresh, name)
	if t.only != "" && name != t.only {
		return
	}
	full := filepath.Join(n.path, name)
	link := false
	if fresh || !sure || !directory && t.FollowSymlinks && t.Recursive {
		status, err := sys.FileStat(full, false)
		if err != nil && !sure {
			return // a Removed follows, or it isn't that directory any more
		}
		// What was told after reading is told once: unless another took its place.
		fresh = fresh && (err != nil || status.ID.Inode == inode)
		directory = directory || status.Directory
		link = status.Link
	}
	if !fresh && t.wants(name) {
		op := Created
		if moved && !directory {
			op |= Finished
		}
		t.tell(Event{Op: op, Path: full, Directory: directory})
	}
	if !t.Recursive {
		return
	}
	if link && t.FollowSymlinks {
		status, err := sys.FileStat(full, true)
		directory, link = err == nil && status.Directory, true
	}
	if !directory {
		return
	}
	if child := n.children[name]; child != nil {
		if d, err := t.backend.watch(full, link, t.Ops); err == nil && d == child.dir {
			return
		}
		child.drop()
	}
	n.enter(name, link, Created|Finished, &t.w.scans)
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
		known = t.backend.is(child.dir, filepath.Join(to.path, as))
	}
	if !t.Ops.Has(Renamed) || !known || child == nil && (!t.wants(name) || !t.wants(as)) {
		n.vanished(name, true, directory)
		to.appeared(as, true, directory, true)
		return
	}
	delete(n.fresh, name)
	delete(to.fresh, as)
	e := Event{Op: Renamed, From: filepath.Join(n.path, name), Path: filepath.Join(to.path, as), Directory: directory || child != nil}
	if child != nil {
		child.relabel(to, as)
	}
	if !directory {
		e.Op |= Finished
	}
	t.tell(e)
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
	t.tell(Event{Op: op, Path: filepath.Join(n.path, name), Directory: directory || n.children[name] != nil})
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
		return n.fresh == nil || n.gone
	})
}

// overflow handles the loss of events: all that this backend serves is watched anew, from the roots.
func (w *Watcher) overflow(b backend) {
	for _, root := range w.Watched() {
		t := w.trees[root]
		if t.backend != b {
			continue
		}
		t.tell(Event{Op: Overflow, Path: t.root, Directory: t.only == ""})
		t.top.drop()
		top, err := t.add(nil, "", t.top.path, true)
		switch {
		case err != nil && vanished(err):
			t.end()
			continue
		case err != nil:
			t.fail(t.root, err)
			t.end()
			continue
		}
		t.top = top
		s := &scan{node: top, follow: true}
		if t.Exists {
			s.op = Exists
		}
		if t.Exists || t.Recursive {
			w.scans = append(w.scans, s)
		}
	}
}

// each calls f for the nodes of a directory, which f may change.
func (d *dir) each(f func(n *node)) {
	for _, n := range slices.Clone(d.nodes) {
		if !n.gone {
			f(n)
		}
	}
}
