//go:build linux

package unixsock

import (
	"errors"
	"net"
	"os"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// PacketListenConfig says how to accept packet connections. The zero value is right for most.
type PacketListenConfig struct {
	// Listener is what is common to all listeners: name, priority, batch.
	Listener connection.ListenConfig
	// Datagram is what the connections have in common: priority, limits, what to do at the end.
	Datagram connection.DatagramConfig
	// Mode, Owner, Group, Backlog and Filter are as in ListenConfig.
	Mode         os.FileMode
	Owner, Group string
	Backlog      int
	Filter       *Filter
	// Opened is called for each connection, before its first packet, on the loop's goroutine. It may
	// write to the connection, keep it and close it; an error closes it with that cause. Nil: nothing
	// is to be done.
	Opened func(d *connection.Datagram) error
}

// ListenPackets listens on a path for connections of the kind SOCK_SEQPACKET and has h take the
// packets of all of them. Each is a connected connection.Datagram: a Write is one packet, packets
// are neither lost nor reordered, and it is closed with the cause nil when its peer has ended, or with
// ECONNRESET when the peer has left unread what was sent to it. The errors are those of Listen, and it
// blocks as Listen does.
func ListenPackets(loop *communicator.Communicator, path string, h connection.DatagramHandler, config PacketListenConfig) (*connection.Listener, error) {
	if h == nil {
		panic("unixsock: nil handler")
	}
	a, err := NewPacketAcceptor(path, ListenConfig{
		Mode: config.Mode, Owner: config.Owner, Group: config.Group, Backlog: config.Backlog, Descriptors: config.Datagram.Descriptors,
	})
	if err != nil {
		return nil, err
	}
	return connection.NewListener(loop, a, config.Filter.Serve(servePackets(h, config)), config.Listener)
}

// NewPacketAcceptor listens on a path for connections of the kind SOCK_SEQPACKET, for a protocol that wants the
// sockets themselves: each Read and Write of the transport that it accepts is one packet. It is for
// connection.NewListener, and removes the file when it is closed. Of the config it uses Mode, Owner, Group, Backlog and
// Descriptors, of which only counts whether a peer may send any. The errors are those of Listen, and it blocks as Listen does.
func NewPacketAcceptor(path string, config ListenConfig) (*Acceptor, error) {
	a, err := accept(sys.SeqPacket, path, config)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "unixpacket", Addr: &net.UnixAddr{Net: "unixpacket", Name: path}, Err: err}
	}
	return a, nil
}

func servePackets(h connection.DatagramHandler, config PacketListenConfig) connection.Serve {
	return func(loop *communicator.Communicator, t connection.Transport) error {
		d, err := connection.NewDatagramOn(loop, t, h, config.Datagram)
		if err == nil && config.Opened != nil {
			if err := config.Opened(d); err != nil {
				d.Handle().Remove(err)
			}
		}
		return err
	}
}

// DialPackets connects to a path for packets: see ListenPackets. The connection stands at once.
// With the listener's backlog full, errors.Is(err, connection.ErrWouldBlock) holds; try again later.
func DialPackets(loop *communicator.Communicator, path string, h connection.DatagramHandler, config connection.DatagramConfig) (*connection.Datagram, error) {
	s, err := newSocket(sys.SeqPacket)
	if err == nil {
		var sa sys.Sockaddr
		if err = sa.SetPath(path); err == nil {
			err = refuse(s.fd, config.Descriptors)
		}
		if err == nil {
			err = sys.Connect(s.fd, &sa)
		}
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "unixpacket", Addr: &net.UnixAddr{Net: "unixpacket", Name: path}, Err: err}
	}
	return connection.NewDatagramOn(loop, s, h, config)
}
