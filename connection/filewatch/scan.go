//go:build linux

package filewatch

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

const (
	// chunk is how many entries of a directory are read in one go.
	chunk = 32
	// slack is by how much the time of a file may be older than the clock when it was changed: file
	// systems look at a clock that ticks 100 times a second or more often.
	slack = 2 * time.Second
)

// scan reads a directory: what is in it is told, and watched if it is a directory.
type scan struct {
	node *node
	op   Op // how files are told; none: not at all
	file *os.File
	last bool // all of its tree has been read: an overflow is told
}

// step reads a part of the directory, and puts what is to be read after it into scans. It returns true
// when it has come to the end.
func (s *scan) step(scans *[]*scan) (done bool) {
	n := s.node
	if n.dead() {
		s.close()
		return true
	}
	if s.last {
		if slices.ContainsFunc((*scans)[1:], func(other *scan) bool { return other.node.tree == n.tree && !other.last }) {
			*scans = append(*scans, s)
		} else {
			n.tree.tellOverflow()
		}
		return true
	}
	if n.tree.only != "" {
		if status, err := sys.FileStat(n.tree.root, false); err == nil {
			s.found(n.tree.only, status.Directory)
		}
		return true
	}
	if s.file == nil {
		flags := os.O_RDONLY | syscall.O_DIRECTORY
		if !n.link {
			flags |= syscall.O_NOFOLLOW
		}
		var err error
		if s.file, err = os.OpenFile(n.path, flags, 0); err != nil {
			if vanished(err) {
				s.again()
				return true
			}
			n.tree.fail(n.path, unwrap(err))
			s.moved()
			return true
		}
		if s.moved() {
			return true
		}
	}
	entries, err := s.file.ReadDir(chunk)
	for _, entry := range entries {
		link := entry.Type()&fs.ModeSymlink != 0
		if link && n.tree.Recursive && n.tree.FollowSymlinks {
			status, err := sys.FileStat(filepath.Join(n.path, entry.Name()), true)
			if err == nil && status.Directory {
				s.found(entry.Name(), false)
				s.enter(entry.Name(), true, scans)
				continue
			}
		}
		s.found(entry.Name(), entry.IsDir())
		if entry.IsDir() && n.tree.Recursive {
			s.enter(entry.Name(), false, scans)
		}
	}
	if err == nil {
		return false
	}
	if !errors.Is(err, io.EOF) && !vanished(err) {
		n.tree.fail(n.path, unwrap(err))
	}
	s.moved() // what was found after that had no path any more
	s.close()
	return true
}

// moved tells whether the directory has another path than is known. It is read again when that is.
func (s *scan) moved() bool {
	n := s.node
	if n.tree.backend.is(n.dir, n.path, n.link) {
		return false
	}
	s.again()
	return true
}

// again lets the directory be read when its new path is known.
func (s *scan) again() {
	s.close()
	s.node.unread = &scan{node: s.node, op: s.op}
}

// found tells of a name in the directory.
func (s *scan) found(name string, directory bool) {
	n := s.node
	if s.op == 0 || !n.tree.wants(name) {
		return
	}
	full := filepath.Join(n.path, name)
	status, err := sys.FileStat(full, false)
	if err != nil {
		return // gone again
	}
	if n.fresh[name].inode == status.ID.Inode {
		return // it was read before
	}
	e := Event{Op: s.op, Path: full, Directory: directory}
	if s.op&n.tree.Ops&Finished != 0 {
		var finished bool
		if finished, e.Guessed = n.finished(full, &status); !finished {
			e.Op &^= Finished
		}
	}
	if status.Changed.After(n.since.Add(-slack)) {
		if n.fresh == nil {
			n.fresh = map[string]finding{}
			n.tree.w.fresh = append(n.tree.w.fresh, n)
		}
		n.fresh[name] = finding{status.ID.Inode, e.Op.Has(Finished)}
	}
	n.tree.tell(e)
}

// finished tells whether a file that was found is complete. If somebody is still writing, that he has closed it
// will be told, because the directory is watched already.
func (n *node) finished(full string, status *sys.FileStatus) (yes, guessed bool) {
	if !status.Regular {
		return false, false
	}
	// To ask is to open it.
	if slices.ContainsFunc(n.dir.nodes, func(n *node) bool { return n.tree.Ops.Has(Opened | Closed) }) {
		return true, true
	}
	writer, err := sys.HasWriter(full)
	if err == nil && !writer {
		return true, false
	}
	// One who has opened it under another name closes it under that.
	guess := err != nil || status.Links > 1
	return guess, guess
}

// enter goes on with a directory in this one.
func (s *scan) enter(name string, follow bool, scans *[]*scan) {
	if child := s.node.children[name]; child != nil {
		*scans = append(*scans, &scan{node: child, op: s.op})
		return
	}
	s.node.enter(name, follow, s.op, scans)
}

func (s *scan) close() {
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
}

// unwrap takes from an error the path that it will be given again.
func unwrap(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
