//go:build linux

package fifo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fileowner"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// file is the file of a FIFO.
type file struct {
	path string      // absolute, so that it is found again after a change of the working directory
	info os.FileInfo // nil: it was there before, or is removed
}

// makeFile makes a FIFO if it isn't there, and gives it what is asked for. It never has a wider mode
// than it will have in the end: neither for its first owner or group nor because of the umask.
func makeFile(path string, o fileowner.Owner) (*file, error) {
	if path == "" {
		return nil, &os.PathError{Op: "mkfifo", Path: path, Err: os.NewSyscallError("mkfifo", syscall.ENOENT)}
	}
	f := &file{}
	var err error
	if f.path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	asked := o.Mode
	if o.Mode == 0 {
		o.Mode = DefaultMode
	}
	err = sys.Mkfifo(f.path, o.First())
	made := err == nil
	if !made {
		o.Mode = asked // one that was there
	}
	if !made && !errors.Is(err, fs.ErrExist) {
		return nil, pathError("mkfifo", path, err)
	}
	if made { // known before anything can fail, so that it doesn't stay
		if info, err := os.Lstat(f.path); err == nil && info.Mode().Type() == os.ModeNamedPipe {
			f.info = info
		}
	}
	if err = f.settle(&o); err != nil {
		f.remove()
		return nil, pathError("open", path, err)
	}
	return f, nil
}

// settle gives a FIFO what it is to have. It goes through a descriptor, or whoever may write to the
// folder could put a symbolic link to another file there.
func (f *file) settle(o *fileowner.Owner) error {
	place, err := sys.OpenPath(f.path)
	if err != nil {
		return err
	}
	defer func() { _ = sys.Close(place) }()
	kind, err := sys.KindOf(place)
	if err == nil && kind != sys.KindFIFO {
		err = ErrNotFIFO
	}
	if err == nil {
		err = o.Settle(place)
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
