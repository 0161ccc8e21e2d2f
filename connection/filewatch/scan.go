//go:build linux

package filewatch

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

const (
	// chunk is how many entries of a directory are read in one go.
	chunk = 128
	// slack is by how much the time of a file may be older than the clock when it was changed: file
	// systems look at a clock that ticks 100 times a second or more often.
	slack = 2 * time.Second
)

// scan reads a directory: what is in it is told, and watched if it is a directory.
type scan struct {
	node   *node
	op     Op // how files are told; none: not at all
	follow bool
	file   *os.File
}

// step reads a part of the directory, and puts what is to be read after it into scans. It returns true
// when it has come to the end.
func (s *scan) step(scans *[]*scan) (done bool) {
	n := s.node
	if n.gone {
		s.close()
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
		if n.parent != nil && !s.follow {
			flags |= syscall.O_NOFOLLOW
		}
		var err error
		if s.file, err = os.OpenFile(n.path, flags, 0); err != nil {
			if !vanished(err) {
				n.tree.fail(n.path, unwrap(err))
			}
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
	if n.tree.backend.is(n.dir, n.path) {
		return false
	}
	s.close()
	n.unread = &scan{node: n, op: s.op}
	return true
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
	if n.fresh[name] == status.ID.Inode {
		return // it was read before
	}
	if status.Changed.After(n.since.Add(-slack)) {
		if n.fresh == nil {
			n.fresh = map[string]uint64{}
			n.tree.w.fresh = append(n.tree.w.fresh, n)
		}
		n.fresh[name] = status.ID.Inode
	}
	op := s.op
	if directory {
		op &^= Finished
	}
	n.tree.tell(Event{Op: op, Path: full, Directory: directory})
}

// enter goes on with a directory in this one.
func (s *scan) enter(name string, follow bool, scans *[]*scan) {
	if child := s.node.children[name]; child != nil {
		*scans = append(*scans, &scan{node: child, op: s.op, follow: follow})
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
