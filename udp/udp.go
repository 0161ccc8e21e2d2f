//go:build linux

// Package udp receives and sends datagrams over UDP, IPv4 and IPv6, on a loop.
//
// Listen brings the socket; what is put on it comes from package connection: a handler of
// datagrams, or connection.NewMessageDatagrams for messages.
//
//	socket, err := udp.Listen(loop, "127.0.0.1:4041", connection.NewMessageDatagrams(mux, connection.MessageDatagramConfig{}), udp.ListenConfig{})
//
// UDP loses, doubles and reorders datagrams, and anybody can forge a sender: use package tcp for
// what must arrive.
package udp

import (
	"net"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// ListenConfig says how to listen. The zero value is right for most.
type ListenConfig struct {
	// Datagram is what is common to all datagram sockets: name, priority, what to do at the end.
	Datagram connection.DatagramConfig
	// SendBuffer and ReceiveBuffer are the sizes in bytes of the kernel's buffers, which the kernel
	// doubles and bounds (net.core.wmem_max, rmem_max). Zero: the kernel's default.
	SendBuffer, ReceiveBuffer int
}

// Listen binds a socket to an address, "host:port", and has h take its datagrams. Without a host it
// is all of this machine's addresses, IPv4 and IPv6; port 0 chooses a free one: see Datagram.Addr.
// A host name is looked up, which blocks.
func Listen(loop *communicator.Communicator, address string, h connection.DatagramHandler, config ListenConfig) (*connection.Datagram, error) {
	resolved, err := net.ResolveUDPAddr("udp", address)
	if err == nil && address == "" { // package net takes it for a free port of all addresses
		err = &net.AddrError{Err: "no address given"}
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Err: err}
	}
	fd, err := sys.BindAny(resolved.AddrPort(), sys.Datagram, func(fd int) (err error) {
		if config.SendBuffer > 0 {
			err = sys.SetOption(fd, sys.SendBuffer, config.SendBuffer)
		}
		if err == nil && config.ReceiveBuffer > 0 {
			err = sys.SetOption(fd, sys.ReceiveBuffer, config.ReceiveBuffer)
		}
		return err
	})
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: resolved, Err: err}
	}
	return connection.NewDatagram(loop, fd, h, config.Datagram)
}
