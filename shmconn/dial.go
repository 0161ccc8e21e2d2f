//go:build linux

package shmconn

import (
	"net"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Dialer makes connections to a path; it is a connection.Dialer. The transports are *Transport.
type Dialer struct {
	// Path is the path of the listener's socket, or its abstract name with a @ in front.
	Path string
	// Timeout bounds a dial, the handshake included. Zero: connection.DefaultDialTimeout; DialConn then has no limit but
	// that of its context.
	Timeout time.Duration
	// Priority is that of the work of dialling; the connection has its own.
	Priority int
	// Ring is what this side's end of the connection is like.
	Ring Config
}

// String is the path, for people.
func (d Dialer) String() string { return network + " " + d.Path }

// Dial begins a connection: see connection.Dialer. Its errors are, besides those of a Unix socket, ErrCapacity,
// ErrMemory, ErrForeign, a *VersionError, a *RefusedError, ErrHandshakeTimeout and those of making memory.
func (d Dialer) Dial(loop *communicator.Communicator, done func(connection.Transport, error)) (cancel func(), err error) {
	if d.Ring, err = d.Ring.withDefaults(); err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: Addr(d.Path), Err: err}
	}
	if d.Timeout <= 0 {
		d.Timeout = connection.DefaultDialTimeout
	}
	end := time.Now().Add(d.Timeout)
	name := "dialling " + d.String()
	var stop func() // what is under way
	stop, err = connection.Connect{
		Attempts: []connection.Attempt{connection.UnixPacketAttempt(d.Path, sys.AllowDescriptors)},
		Timeout:  d.Timeout, Name: name, Priority: d.Priority,
	}.Dial(loop, func(t connection.Transport, err error) {
		err = ofRing("dial", d.Path, err)
		if err == nil {
			h := &handshake{socket: t.(*connection.Socket), config: d.Ring}
			h.done = func(t *Transport, err error) {
				if err != nil {
					done(nil, err)
					return
				}
				done(t, nil)
			}
			var cancel func()
			cancel, err = begin(loop, h, communicator.Options{Name: name, Deadline: end, Want: communicator.Read, Priority: d.Priority})
			if err == nil {
				stop = cancel
			}
		}
		if err != nil {
			done(nil, err)
		}
	})
	if err != nil {
		return nil, err
	}
	return func() { stop() }, nil
}
