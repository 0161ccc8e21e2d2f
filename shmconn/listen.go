//go:build linux

package shmconn

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// network is what a ring is called in errors, logs and listings.
const network = "shm"

// ListenConfig says how to listen. The zero value is right for most.
type ListenConfig struct {
	// Listener is what is common to all transports: name, priority, batch, how many connections.
	Listener connection.ListenConfig
	// Mode, Owner and Group are those of the socket's file, Backlog is how many connections may wait to be accepted, and
	// Filter turns connections down by who has made them, all as in unixsock.ListenConfig.
	Mode         os.FileMode
	Owner, Group string
	Backlog      int
	Filter       *unixsock.Filter
	// Timeout is how long a handshake may take. Zero: DefaultTimeout.
	Timeout time.Duration
	// Ring is what this side's end of a connection is like.
	Ring Config
}

// Listen listens on a path, or at an abstract name with a @ in front, and has serve put a layer on each connection when
// its handshake is done: what package connection brings for bytes and messages, or Records. The errors are those of
// unixsock.Listen, and ErrCapacity; it blocks as that does. The file is removed when the listener is closed, and one that a process
// has left behind is replaced.
//
// The transports are *Transport. They stay in the listener's loop: they can't be given to another.
func Listen(loop *communicator.Communicator, path string, serve connection.Serve, config ListenConfig) (*connection.Listener, error) {
	if serve == nil {
		panic("shmconn: nil Serve")
	}
	var err error
	if config.Ring, err = config.Ring.withDefaults(); err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: Addr(path), Err: err}
	}
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	a, err := unixsock.NewPacketAcceptor(path, unixsock.ListenConfig{
		Mode: config.Mode, Owner: config.Owner, Group: config.Group, Backlog: config.Backlog, Descriptors: 2,
	})
	if err != nil {
		return nil, ofRing("listen", path, err)
	}
	return connection.NewListener(loop, &acceptor{a, Addr(path)}, config.Filter.Serve(config.serve(serve)), config.Listener)
}

// ofRing says of an error of the socket that it was the ring's.
func ofRing(op, path string, err error) error {
	var socket *net.OpError
	if !errors.As(err, &socket) {
		return err
	}
	cause := socket.Err
	if errors.Is(err, connection.ErrDialTimeout) {
		cause = fmt.Errorf("%w: %w", connection.ErrDialTimeout, cause)
	}
	return &net.OpError{Op: op, Net: network, Addr: Addr(path), Err: cause}
}

// acceptor has the address of a ring.
type acceptor struct {
	*unixsock.Acceptor
	addr Addr
}

func (a *acceptor) Addr() net.Addr { return a.addr }

// Addr is the path of a ring's socket as a net.Addr.
type Addr string

// Network is "shm".
func (a Addr) Network() string { return network }

// String is the path.
func (a Addr) String() string { return string(a) }

// addr is a socket's address as that of a ring.
func addr(a net.Addr) net.Addr {
	if a == nil {
		return Addr("")
	}
	return Addr(a.String())
}
