//go:build linux

// Package socketfile gives Unix sockets their paths: with a mode, an owner and a group, in place of what a process has
// left behind, and gone when the socket is closed.
package socketfile

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fileowner"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// DefaultMode is the mode of a socket's file: only its owner may connect.
const DefaultMode os.FileMode = 0o600

// DefaultBacklog is how many connections may wait to be accepted.
const DefaultBacklog = 4096

// ErrAbstract is returned for an abstract name with a mode, an owner or a group.
var ErrAbstract = errors.New("an abstract name has no file, and so no mode, owner or group")

// Options say what file a socket gets.
type Options struct {
	// Mode is the mode of the file, whatever the umask. Zero: DefaultMode.
	Mode os.FileMode
	// Owner and Group are names or numbers. Empty: those that the kernel gives it.
	Owner, Group string
	Kind         int // sys.Stream, sys.Datagram or sys.SeqPacket
	// Backlog is how many connections may wait to be accepted. Zero: DefaultBacklog.
	Backlog int
}

// File is the file of a bound socket. An abstract name has none.
type File struct {
	path string // absolute, so that it is found again after a change of the working directory
	info os.FileInfo
}

// Bind gives a socket its path, or its abstract name, and lets it listen if it is of a kind that
// does. A socket file that a process has left behind is replaced. After an error there is no file of
// ours; the socket is the caller's in any case.
//
// The file never has a wider mode than it will have in the end: neither for its first owner or group
// nor because of the umask.
func Bind(fd int, path string, o Options) (*File, error) {
	var sa sys.Sockaddr
	if err := sa.SetPath(path); err != nil {
		return nil, err
	}
	if path[0] == '@' {
		if o.Mode != 0 || o.Owner != "" || o.Group != "" {
			return nil, ErrAbstract
		}
		if err := sys.Bind(fd, &sa); err != nil {
			return nil, err
		}
		return &File{}, o.listen(fd)
	}
	if o.Mode == 0 {
		o.Mode = DefaultMode
	}
	owner, err := fileowner.New(o.Mode, o.Owner, o.Group)
	if err != nil {
		return nil, err
	}
	f := &File{}
	if f.path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	// Of two that replace a stale file at the same time one would remove the other's. A folder that
	// can't be locked can't be helped.
	if unlock, err := sys.LockFolder(filepath.Dir(path)); err == nil {
		defer unlock()
	}
	if err = sys.SetMode(fd, owner.First()); err != nil {
		return nil, err
	}
	err = sys.Bind(fd, &sa)
	if errors.Is(err, syscall.EADDRINUSE) && isStale(path, &sa) {
		if err = os.Remove(path); err == nil {
			err = sys.Bind(fd, &sa)
		}
	}
	if err != nil {
		return nil, err
	}
	if f.info, err = os.Lstat(path); err == nil {
		err = settle(path, owner)
	}
	if err == nil {
		err = o.listen(fd)
	}
	if err != nil {
		f.Remove()
		return nil, err
	}
	return f, nil
}

func (o *Options) listen(fd int) error {
	if o.Kind == sys.Datagram {
		return nil
	}
	if o.Backlog <= 0 {
		o.Backlog = DefaultBacklog
	}
	return sys.Listen(fd, o.Backlog)
}

// settle gives the file what it is to have. It goes through a descriptor, or whoever may write to the
// folder could put a symbolic link to another file there.
func settle(path string, owner fileowner.Owner) error {
	fd, err := sys.OpenPath(path)
	if err != nil {
		return err
	}
	defer func() { _ = sys.Close(fd) }()
	kind, err := sys.KindOf(fd)
	if err == nil && kind != sys.KindSocket {
		err = syscall.ENOTSOCK
	}
	if err == nil {
		err = owner.Settle(fd)
	}
	return err
}

// isStale tells whether path is a socket that no process has any more. A datagram socket asks: a
// live socket of another kind refuses it by EPROTOTYPE, also one that doesn't listen yet, and no
// server sees a connection that nobody wanted.
func isStale(path string, sa *sys.Sockaddr) bool {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	fd, err := sys.Socket(sa, sys.Datagram)
	if err != nil {
		return false
	}
	err = sys.Connect(fd, sa)
	_ = sys.Close(fd)
	return errors.Is(err, syscall.ECONNREFUSED)
}

// Remove removes the file, if it still is the one that was made. It comes before the socket is
// closed: until then the kernel keeps the file's number, and no other file can have it.
func (f *File) Remove() {
	if f == nil || f.info == nil {
		return
	}
	if now, err := os.Lstat(f.path); err == nil && os.SameFile(f.info, now) {
		_ = os.Remove(f.path) // somebody else may have been faster
	}
	f.info = nil
}
