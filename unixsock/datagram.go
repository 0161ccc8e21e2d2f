//go:build linux

package unixsock

import (
	"errors"
	"net"
	"os"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/socketfile"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// DatagramListenConfig says how to receive datagrams on a path. The zero value is right for most.
type DatagramListenConfig struct {
	// Datagram is what is common to all datagram sockets: name, priority, what to do at the end.
	Datagram connection.DatagramConfig
	// Mode, Owner and Group are those of the socket's file, as in ListenConfig. Whoever may write
	// to the file may send.
	Mode         os.FileMode
	Owner, Group string
}

// ListenDatagram binds a datagram socket to a path and has h take what comes. A socket file that a
// process has left behind is replaced; its errors are those of Listen, and it blocks as Listen does. The
// file is removed when the socket is closed.
//
// Unix datagrams are neither lost nor reordered: a sender whose datagram has no room is told so. To
// a sender without a name nothing can be answered; see OpenDatagram.
func ListenDatagram(loop *communicator.Communicator, path string, h connection.DatagramHandler, config DatagramListenConfig) (*connection.Datagram, error) {
	s, err := bindDatagram(path, config)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "unixgram", Addr: &net.UnixAddr{Net: "unixgram", Name: path}, Err: err}
	}
	return connection.NewDatagramOn(loop, s, h, config.Datagram)
}

func bindDatagram(path string, config DatagramListenConfig) (*boundSocket, error) {
	s, err := newSocket(sys.Datagram)
	if err != nil {
		return nil, err
	}
	s.file, err = socketfile.Bind(s.fd, path, socketfile.Options{Mode: config.Mode, Owner: config.Owner, Group: config.Group, Kind: sys.Datagram})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// OpenDatagram makes a datagram socket that sends to paths, see connection.PeerFromPath, and has h
// take what is answered. The kernel gives it an abstract name, to which every process of the
// machine's network namespace can send.
func OpenDatagram(loop *communicator.Communicator, h connection.DatagramHandler, config connection.DatagramConfig) (*connection.Datagram, error) {
	s, err := newSocket(sys.Datagram)
	if err == nil {
		var sa sys.Sockaddr
		sa.SetUnnamed()
		if err = sys.Bind(s.fd, &sa); err != nil {
			err = errors.Join(err, s.Close())
		}
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "unixgram", Err: err}
	}
	return connection.NewDatagramOn(loop, s, h, config)
}

// boundSocket is a socket that removes its file at the end.
type boundSocket struct {
	fd   int
	file *socketfile.File
}

func newSocket(kind int) (*boundSocket, error) {
	var sa sys.Sockaddr
	sa.SetUnnamed()
	fd, err := sys.Socket(&sa, kind)
	return &boundSocket{fd: fd}, err
}

func (s *boundSocket) FD() int { return s.fd }

func (s *boundSocket) Close() error {
	s.file.Remove()
	fd := s.fd
	s.fd = sys.NoFD
	return sys.Close(fd)
}
