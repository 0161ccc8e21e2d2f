//go:build linux

// Package unixsock listens and dials on Unix sockets, on a loop.
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
//
// # Who may connect
//
// A socket's file has a mode, an owner and a group: [ListenConfig]. What they can't express a
// [Filter] decides, connection by connection; [PeerCredentials] tells a handler whom it serves.
//
// # Descriptors
//
// With [ListenConfig].Descriptors and [Dialer].Descriptors, open files go along with the bytes of a
// stream: [Write] and [Send] pass them, [Descriptors] takes what has come. The peer needn't be of this
// package; sendmsg(2) with SCM_RIGHTS is all. A listener that somebody else has made gets them by
// [WithDescriptors].
package unixsock

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/socketfile"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

const (
	// DefaultBacklog is how many connections may wait to be accepted. The kernel allows no more
	// than net.core.somaxconn.
	DefaultBacklog = socketfile.DefaultBacklog
	// DefaultMode is the mode of a socket's file: only its owner may connect.
	DefaultMode = socketfile.DefaultMode
)

// ListenConfig says how to listen. The zero value is right for most.
type ListenConfig struct {
	// Listener is what is common to all transports: name, priority, batch.
	Listener connection.ListenConfig
	// Mode is the mode of the socket's file, whatever the umask. Zero: DefaultMode.
	Mode os.FileMode
	// Owner and Group are the owner and the group of the socket's file, each a name or a number.
	// Another owner needs privileges; a group that the process is not in, too. Empty: those that the
	// kernel gives a new file.
	Owner, Group string
	// Backlog is how many connections may wait to be accepted. Zero: DefaultBacklog.
	Backlog int
	// Filter turns connections down by who has made them. Nil: all are served.
	Filter *Filter
	// Descriptors is how many descriptors a connection holds at a time: those that came and were not
	// taken, see Descriptors, and likewise those that wait to be sent, see Write and Send. With more that
	// come the connection ends with ErrDescriptors. Allow for those of two messages: when one comes in
	// two pieces, the second may bring the next message too. All connections together should stay well
	// below RLIMIT_NOFILE: Descriptors times MaxConnections, or else one peer takes what all need. Zero:
	// none are passed along; a peer that sends some gets EPERM, and before Linux 6.16 the kernel closes
	// them, which can block the loop for as long as the peer has set by SO_LINGER. Unless it is zero the
	// transports are no *connection.Socket.
	Descriptors int
}

// Listen listens on a path and has serve put a layer on each connection. A socket file that a
// process has left behind is replaced: one that no process has open. For one that is in use, and
// for a file that is no socket, the error is EADDRINUSE. For an abstract name with a mode, an owner
// or a group it is ErrAbstract. An owner or group that the process may not give is EPERM, and one
// that doesn't exist what package os/user says. The file is removed when the listener is closed.
//
// It blocks: the owner and the group are looked up, and of several processes that listen in one folder
// each waits for the others, for a second at most.
func Listen(loop *communicator.Communicator, path string, serve connection.Serve, config ListenConfig) (*connection.Listener, error) {
	a, err := accept(sys.Stream, path, config)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "unix", Addr: &net.UnixAddr{Net: "unix", Name: path}, Err: err}
	}
	if config.Descriptors > 0 {
		serve = WithDescriptors(serve, config.Descriptors)
	}
	return connection.NewListener(loop, a, config.Filter.Serve(serve), config.Listener)
}

// Acceptor accepts from a listening Unix socket, and removes its file when it is closed: a connection.Acceptor.
type Acceptor struct {
	*connection.SocketAcceptor
	file *socketfile.File
}

// refuse lets a socket, and those that it accepts, take no descriptors if none are asked for.
func refuse(fd, descriptors int) error {
	if descriptors > 0 {
		return nil
	}
	return sys.RefuseDescriptors(fd)
}

// accept makes a listening socket of a kind.
func accept(kind int, path string, config ListenConfig) (*Acceptor, error) {
	s, err := newSocket(kind)
	if err != nil {
		return nil, err
	}
	a := &Acceptor{}
	if a.SocketAcceptor, err = connection.NewSocketAcceptor(s.fd); err != nil {
		return nil, err
	}
	if err = refuse(s.fd, config.Descriptors); err == nil {
		a.file, err = socketfile.Bind(s.fd, path, socketfile.Options{
			Mode: config.Mode, Owner: config.Owner, Group: config.Group, Kind: kind, Backlog: config.Backlog,
		})
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// Close closes the socket and removes its file.
func (a *Acceptor) Close() error {
	a.file.Remove()
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
	// Descriptors is how many descriptors the connection holds at a time, as in ListenConfig. Zero:
	// none are passed along, as there.
	Descriptors int
}

// String is the path, for people.
func (d Dialer) String() string { return "unix " + d.Path }

// Dial begins a connection: see connection.Dialer.
func (d Dialer) Dial(loop *communicator.Communicator, done func(connection.Transport, error)) (cancel func(), err error) {
	return connection.Connect{
		Attempts: []connection.Attempt{connection.UnixAttempt(d.Path, func(fd int) error { return refuse(fd, d.Descriptors) })},
		Timeout:  d.Timeout, Name: "dialling " + d.String(), Priority: d.Priority,
	}.Dial(loop, func(t connection.Transport, err error) {
		if s, ok := t.(*connection.Socket); ok && d.Descriptors > 0 {
			t = newPassing(s, d.Descriptors)
		}
		done(t, err)
	})
}
