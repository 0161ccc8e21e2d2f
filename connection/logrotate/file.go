//go:build linux

package logrotate

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// DefaultMode is the mode of a log file that is made here: its owner writes it, its group reads it.
const DefaultMode os.FileMode = 0o640

// FileConfig says how a log file is opened. The zero value is right for most.
type FileConfig struct {
	// Mode is the mode of a file that isn't there yet; the umask takes away from it. One that is there, such as
	// logrotate's create has made, keeps its own. Zero: DefaultMode.
	Mode os.FileMode
}

// File is a log file that can be opened again under its name. Any goroutine may use it. Its errors are *os.PathError;
// after Close, errors.Is(err, os.ErrClosed) holds, as for an os.File.
type File struct {
	name string
	mode os.FileMode

	reopening sync.Mutex // one at a time, or what the first has opened could take the place of what the second has

	mu   sync.Mutex // held for the whole of a line
	out  *output    // nil: closed
	torn bool       // the last thing in the file is a part of a line
}

var _ io.WriteCloser = (*File)(nil)

// Open opens a log file to append to it, and makes it if it isn't there; its folder has to be. The name may be that of
// a symbolic link, and is looked up again by Reopen, from the folder that is the working directory now.
//
// No child inherits the descriptor. Anything else than a regular file is opened and written without waiting: a FIFO
// that nobody reads is ENXIO, as is a socket, and a directory is EISDIR.
func Open(name string, config FileConfig) (*File, error) {
	if config.Mode == 0 {
		config.Mode = DefaultMode
	}
	if name != "" { // which Abs takes for the working directory
		absolute, err := filepath.Abs(name)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		name = absolute
	}
	out, err := open(name, config.Mode)
	if err != nil {
		return nil, err
	}
	return &File{name: name, mode: config.Mode, out: out}, nil
}

// Name is the file's name, absolute.
func (f *File) Name() string { return f.name }

// Write appends p, one or more whole lines, and neither buffers nor calls fsync. All of p goes to one file, and nothing
// of another Write comes in between.
//
// What there is no room for is lost: ENOSPC of a full disk, and connection.ErrWouldBlock of a FIFO or a terminal whose
// reader doesn't keep up. When that was the rest of a line, the next Write begins with a line feed.
func (f *File) Write(p []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.out == nil:
		return 0, f.closed("write")
	case len(p) == 0:
		return 0, nil
	case !f.torn:
		n, err = f.out.write(p)
		f.tear(p, n)
		return n, err
	}
	line := append([]byte{'\n'}, p...)
	n, err = f.out.write(line)
	f.tear(line, n)
	return max(n-1, 0), err
}

// tear notes whether the file ends with a part of a line, when n bytes of p were written.
func (f *File) tear(p []byte, n int) {
	if n > 0 {
		f.torn = n < len(p) && p[n-1] != '\n' // all of a p without a line feed is the caller's will
	}
}

// Reopen opens the name again and then closes what was open until now. It fits Listen, dispatcher.Service.ReopenLogs
// and signals.Hangup as it is. Writes that have begun are finished in the old file.
//
// When the name can't be opened, the old file goes on being written. But an error with the Op "close" is about the old
// file, as some network file systems tell it only then: the new one is in use.
func (f *File) Reopen() error { return f.reopen(open) }

func (f *File) reopen(open func(name string, mode os.FileMode) (*output, error)) error {
	f.reopening.Lock()
	defer f.reopening.Unlock()
	if f.isClosed() {
		return f.closed("open")
	}
	out, err := open(f.name, f.mode)
	if err != nil {
		return err
	}
	if out = f.exchange(out); out == nil {
		return f.closed("open")
	}
	return out.file.Close()
}

// exchange takes another output into use and returns the one before; nil if the file was closed meanwhile, and the
// other one is too then.
func (f *File) exchange(out *output) (old *output) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old = f.out
	if old == nil {
		_ = out.file.Close() // nothing was written to it
		return nil
	}
	if !os.SameFile(old.info, out.info) {
		f.torn = false
	}
	f.out = out
	return old
}

// Close closes the file. Writes that have begun are finished.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.out == nil {
		return f.closed("close")
	}
	out := f.out
	f.out = nil
	return out.file.Close()
}

func (f *File) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.out == nil
}

func (f *File) closed(op string) error {
	return &os.PathError{Op: op, Path: f.name, Err: os.ErrClosed}
}

// output is what a File writes to between two times that it is opened.
type output struct {
	file *os.File
	info os.FileInfo
}

// open opens a file without waiting for anybody: a reader of a FIFO, the holder of a lease, the carrier of a modem. Nor
// does a terminal become that of a daemon.
func open(name string, mode os.FileMode) (*output, error) {
	const flags = os.O_WRONLY | os.O_APPEND | os.O_CREATE | syscall.O_NONBLOCK | syscall.O_NOCTTY
	file, err := os.OpenFile(name, flags, mode)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &output{file, info}, nil
}

// write writes all of p, or returns an error. What is no regular file would have os.File wait until there is room.
func (o *output) write(p []byte) (n int, err error) {
	if o.info.Mode().IsRegular() {
		return o.file.Write(p)
	}
	raw, err := o.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failure error
	err = raw.Write(func(fd uintptr) bool {
		for n < len(p) && failure == nil {
			var some int
			some, failure = sys.Write(int(fd), p[n:])
			n += some
		}
		return true // there is nothing to wait for
	})
	if err == nil && failure != nil {
		err = &os.PathError{Op: "write", Path: o.file.Name(), Err: failure}
	}
	return n, err
}
