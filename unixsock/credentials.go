//go:build linux

package unixsock

import (
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Credentials say which process is at the other end of a connection, as seen from this process.
type Credentials struct {
	// PID is the process; 0 if it is in a PID namespace that this process can't look into. When that
	// process has ended another may get its number.
	PID int
	// UID and GID are its effective user and group.
	UID, GID int
}

// PeerCredentials returns who is at the other end: of an accepted connection who has connected, of
// a dialled one who listens. The kernel has noted it at that moment, so that a process that changes
// its user, or hands the connection on, changes nothing.
//
// A handler finds the transport by Stream.Transport. For one that is still being dialled, nil, the
// error is ENOTCONN; for one that is no Unix socket, and has none as that of package shmconn has, EAFNOSUPPORT; for one
// that is closed net.ErrClosed.
func PeerCredentials(t connection.Transport) (Credentials, error) {
	c, err := peerCredentials(t)
	if err != nil {
		return Credentials{}, &net.OpError{Op: "credentials", Net: "unix", Err: err}
	}
	return c, nil
}

func peerCredentials(t connection.Transport) (c Credentials, err error) {
	if t == nil {
		return c, os.NewSyscallError("getsockopt", syscall.ENOTCONN)
	}
	if over, ok := t.(interface{ Socket() *connection.Socket }); ok {
		t = over.Socket()
	}
	fd := t.FD()
	if fd == sys.NoFD {
		return c, net.ErrClosed
	}
	if err = sys.CheckUnix(fd); err == nil {
		c.PID, c.UID, c.GID, err = sys.PeerCredentials(fd)
	}
	return c, err
}

// Filter turns connections down by who has made them. It belongs in a ListenConfig, or in several; for a
// listener that somebody else has made see Filter.Serve.
type Filter struct {
	// Accept tells whether a connection is served. It is called on the loop's goroutine, before
	// serve. Nil: none is.
	Accept func(Credentials) bool

	refused  atomic.Uint64
	failures logger.Limited
}

// Refused is how many connections were turned down. It may be called from any goroutine.
func (f *Filter) Refused() uint64 { return f.refused.Load() }

// Serve has serve get only those connections that the filter lets through; a nil Filter lets all
// through. The others are closed at once, and logged once a second at most; so is one that is no Unix
// socket, with an error. Listen and ListenPackets do it with the Filter of their config. It is for
// connection.ListenFD and connection.ListenOn, whose Unix socket a service manager or package net has
// made.
func (f *Filter) Serve(serve connection.Serve) connection.Serve {
	if f == nil || serve == nil {
		return serve
	}
	return func(loop *communicator.Communicator, t connection.Transport) error {
		c, err := PeerCredentials(t)
		if err == nil && f.Accept != nil && f.Accept(c) {
			return serve(loop, t)
		}
		n := f.refused.Add(1)
		if err == nil {
			sys.DiscardUnread(t.FD())
		}
		_ = t.Close()
		if err != nil {
			return err
		}
		f.failures.Log(loop.Logger(), slog.LevelWarn, "a connection was turned down",
			"pid", c.PID, "uid", c.UID, "gid", c.GID, "refused", n)
		return nil
	}
}
