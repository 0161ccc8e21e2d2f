//go:build linux

package filewatch

import "slices"

// renewal is a tree of which all that a backend watches is to be watched anew.
type renewal struct {
	tree    *tree
	backend backend
}

// overflow handles the loss of events: all that this backend watches is watched anew, from the roots. Of an inotify
// instance that was replaced it is what isn't watched by the new one.
func (w *Watcher) overflow(b backend) {
	w.renewals = slices.DeleteFunc(w.renewals, func(r renewal) bool { return r.backend == b })
	i, replaced := b.(*inotify)
	for _, root := range w.Watched() {
		t := w.trees[root]
		d := t.top.dir
		if t.backend != b {
			d = t.guard
		}
		if d != nil && (t.backend == b || replaced) && !(replaced && i.dirs[d.wd] == d) {
			w.renewals = append(w.renewals, renewal{t, b})
		}
	}
}

// renew watches a tree anew. What is below the root is left to scans.
func (w *Watcher) renew(r renewal) {
	t := r.tree
	if w.trees[t.root] != t {
		return
	}
	if t.backend != r.backend {
		t.renewGuard()
		return
	}
	t.top.drop()
	top, err := t.add(nil, "", t.top.path, true)
	if err != nil {
		t.tellOverflow()
		if !vanished(err) {
			t.fail(t.root, err)
		}
		t.end()
		return
	}
	t.top = top
	switch {
	case t.Exists:
		t.tellOverflow()
		w.scans = append(w.scans, &scan{node: top, op: Exists})
	case t.Recursive: // the program is to look when no directory is unwatched any more
		w.scans = append(w.scans, &scan{node: top}, &scan{node: top, last: true})
	default:
		t.tellOverflow()
	}
}

func (t *tree) tellOverflow() {
	t.tell(Event{Op: Overflow, Path: t.root, Directory: t.only == ""})
}

// renewGuard makes up for an unmount of which nothing was told.
func (t *tree) renewGuard() {
	err := t.beginGuard(t.top.path)
	if err == nil && t.backend.is(t.top.dir, t.top.path, true) {
		return
	}
	if err != nil && !vanished(err) {
		t.fail(t.root, err)
	}
	t.end()
}
