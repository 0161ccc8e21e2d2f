//go:build linux

// Package unixsock listens and dials on Unix stream sockets, on a loop.
//
// It brings transports only; what is put on them (bytes, frames, messages) comes from package
// connection. A path that begins with @ is a name in the abstract namespace: it has no file, no
// mode and no owner, so every process of the machine's network namespace can connect to it.
//
//	listener, err := unixsock.Listen(loop, "/run/demo.sock", connection.Messages(mux, connection.MessageConfig{}), unixsock.ListenConfig{})
//	...
//	conn, err := connection.DialMessages(loop, unixsock.Dialer{Path: "/run/demo.sock"}, mux, connection.MessageConfig{})
//
// It is for processes of one machine; use package tcp between machines.
package unixsock

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

const (
	// DefaultBacklog is how many connections may wait to be accepted. The kernel allows no more
	// than net.core.somaxconn.
	DefaultBacklog = 4096
	// DefaultMode is the mode of a socket's file: only its owner may connect.
	DefaultMode os.FileMode = 0o600
)

// ListenConfig says how to listen. The zero value is right for most.
type ListenConfig struct {
	// Listener is what is common to all transports: name, priority, batch.
	Listener connection.ListenConfig
	// Mode is the mode of the socket's file. Zero: DefaultMode.
	Mode os.FileMode
	// Backlog is how many connections may wait to be accepted. Zero: DefaultBacklog.
	Backlog int
}

// Listen listens on a path and has serve put a layer on each connection. A socket file that a
// process has left behind is replaced: one to which nobody answers. For one that is in use, and for
// a file that is no socket, the error is EADDRINUSE. The file is removed when the listener is
// closed.
func Listen(loop *communicator.Communicator, path string, serve connection.Serve, config ListenConfig) (*connection.Listener, error) {
	a := &acceptor{}
	if err := a.listen(path, config); err != nil {
		return nil, &net.OpError{Op: "listen", Net: "unix", Addr: &net.UnixAddr{Net: "unix", Name: path}, Err: err}
	}
	return connection.NewListener(loop, a, serve, config.Listener)
}

// acceptor removes the socket's file at the end, if it still is the one that it made.
type acceptor struct {
	*connection.SocketAcceptor
	path string
	file os.FileInfo // nil for an abstract name
}

func (a *acceptor) listen(path string, config ListenConfig) error {
	if config.Mode == 0 {
		config.Mode = DefaultMode
	}
	if config.Backlog <= 0 {
		config.Backlog = DefaultBacklog
	}
	var sa sys.Sockaddr
	if err := sa.SetPath(path); err != nil {
		return err
	}
	fd, err := sys.Socket(&sa, sys.Stream)
	if err != nil {
		return err
	}
	if a.SocketAcceptor, err = connection.NewSocketAcceptor(fd); err != nil {
		return err
	}
	a.path = path
	if path[0] != '@' {
		// Of two that replace a stale file at the same time one would remove the other's, and a
		// socket that is bound and doesn't listen yet looks like a stale one. A folder that can't
		// be locked can't be helped.
		if unlock, err := sys.LockFolder(filepath.Dir(path)); err == nil {
			defer unlock()
		}
	}
	err = sys.SetMode(fd, config.Mode) // so that the file never has a wider one
	if err == nil {
		err = sys.Bind(fd, &sa)
	}
	if errors.Is(err, syscall.EADDRINUSE) && path[0] != '@' && isStale(path, &sa) {
		if err = os.Remove(path); err == nil {
			err = sys.Bind(fd, &sa)
		}
	}
	if err == nil && path[0] != '@' {
		a.file, err = os.Lstat(path) // from now on Close removes it
	}
	if err == nil {
		err = sys.Listen(fd, config.Backlog)
	}
	if err == nil && path[0] != '@' {
		err = os.Chmod(path, config.Mode.Perm()) // what the umask forbade
	}
	if err != nil {
		return errors.Join(err, a.Close())
	}
	return nil
}

// isStale tells whether path is a socket to which nobody answers.
func isStale(path string, sa *sys.Sockaddr) bool {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	fd, err := sys.Socket(sa, sys.Stream)
	if err != nil {
		return false
	}
	err = sys.Connect(fd, sa)
	_ = sys.Close(fd)
	return errors.Is(err, syscall.ECONNREFUSED)
}

func (a *acceptor) Close() error {
	if a.file != nil {
		if now, err := os.Lstat(a.path); err == nil && os.SameFile(a.file, now) {
			_ = os.Remove(a.path) // somebody else may have been faster
		}
	}
	return a.SocketAcceptor.Close()
}

// Dialer makes connections to a path; it is a connection.Dialer.
type Dialer struct {
	// Path is the socket's path, or its abstract name with a @ in front.
	Path string
	// Timeout bounds a dial; only a listener with a full backlog takes time. Zero:
	// connection.DefaultDialTimeout.
	Timeout time.Duration
	// Priority is that of the work of dialling; the connection has its own.
	Priority int
}

// String is the path, for people.
func (d Dialer) String() string { return "unix " + d.Path }

// Dial begins a connection: see connection.Dialer.
func (d Dialer) Dial(loop *communicator.Communicator, done func(connection.Transport, error)) (cancel func(), err error) {
	return connection.Connect{
		Attempts: []connection.Attempt{connection.UnixAttempt(d.Path, nil)},
		Timeout:  d.Timeout, Name: "dialling " + d.String(), Priority: d.Priority,
	}.Dial(loop, done)
}
