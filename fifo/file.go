//go:build linux

package fifo

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// ownership is what becomes of a FIFO's file.
type ownership struct {
	mode       os.FileMode // 0: not asked for
	uid, gid   int         // -1: not asked for
	owner, grp string
}

func newOwnership(mode os.FileMode, owner, group string) (o ownership, err error) {
	o = ownership{mode: mode, owner: owner, grp: group}
	o.uid, err = id(owner, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil {
		return o, describe("owner", owner, err)
	}
	o.gid, err = id(group, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	return o, describe("group", group, err)
}

// id is a number as it is, or what lookup finds for a name; -1 for none.
func id(name string, lookup func(string) (string, error)) (int, error) {
	if name == "" {
		return -1, nil
	}
	n, err := strconv.ParseUint(name, 10, 32)
	if errors.Is(err, strconv.ErrSyntax) {
		if name, err = lookup(name); err != nil {
			return 0, err
		}
		n, err = strconv.ParseUint(name, 10, 32)
	}
	if err == nil && n == math.MaxUint32 {
		err = strconv.ErrRange // chown(2) takes it for none
	}
	return int(n), err
}

func describe(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, name, err)
}

// file is the file of a FIFO.
type file struct {
	path string      // absolute, so that it is found again after a change of the working directory
	info os.FileInfo // nil: it was there before, or is removed
}

// makeFile makes a FIFO if it isn't there, and gives it what is asked for. It never has a wider mode
// than it will have in the end: neither for its first owner or group nor because of the umask.
func makeFile(path string, o ownership) (*file, error) {
	if path == "" {
		return nil, &os.PathError{Op: "mkfifo", Path: path, Err: os.NewSyscallError("mkfifo", syscall.ENOENT)}
	}
	f := &file{}
	var err error
	if f.path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	mode := o.mode
	if mode == 0 {
		mode = DefaultMode
	}
	first := mode
	if o.uid >= 0 || o.gid >= 0 {
		first &= 0o700 // until it has its owner and its group
	}
	err = sys.Mkfifo(f.path, first)
	made := err == nil
	if made {
		o.mode = mode
	} else if !errors.Is(err, fs.ErrExist) {
		return nil, pathError("mkfifo", path, err)
	}
	place, err := sys.OpenPath(f.path)
	if err != nil {
		return nil, pathError("open", path, err)
	}
	defer func() { _ = sys.Close(place) }()
	kind, err := sys.KindOf(place)
	if err == nil && kind != sys.KindFIFO {
		err = ErrNotFIFO
	}
	if err == nil && made {
		f.info, err = os.Lstat(f.path)
	}
	if err == nil {
		err = o.settle(place)
	}
	if err != nil {
		f.remove()
		return nil, pathError("open", path, err)
	}
	return f, nil
}

// settle gives the file its group, its mode and its owner, in that order: whoever gives a file away
// may need a privilege to change its mode afterwards.
func (o *ownership) settle(fd int) error {
	var err error
	if o.gid >= 0 {
		err = describe("group", o.grp, sys.Chown(fd, -1, o.gid))
	}
	if err == nil && o.mode != 0 {
		err = sys.Chmod(fd, o.mode)
	}
	if err == nil && o.uid >= 0 {
		err = describe("owner", o.owner, sys.Chown(fd, o.uid, -1))
	}
	return err
}

// openFirst opens the FIFO for reading, if nobody else does. Who may not write to it can't know.
func (f *file) openFirst() (int, error) {
	if fd, err := sys.OpenFIFO(f.path, sys.ForWriting); err == nil {
		return sys.NoFD, errors.Join(ErrInUse, sys.Close(fd))
	}
	fd, err := sys.OpenFIFO(f.path, sys.ForReading)
	if err != nil {
		return sys.NoFD, pathError("open", f.path, err)
	}
	return fd, nil
}

// remove removes the file, if it was made and still is that one.
func (f *file) remove() {
	if f.info == nil {
		return
	}
	if now, err := os.Lstat(f.path); err == nil && os.SameFile(f.info, now) {
		_ = os.Remove(f.path) // somebody else may have been faster
	}
	f.info = nil
}

func pathError(op, path string, err error) error {
	return &os.PathError{Op: op, Path: path, Err: err}
}
