//go:build linux

// Package udp receives and sends datagrams over UDP, IPv4 and IPv6, on a loop.
//
// Listen brings the socket; what is put on it comes from package connection: a handler of datagrams,
// or connection.MessageDatagrams for messages.
//
//	socket, err := udp.Listen(loop, "127.0.0.1:4041", connection.MessageDatagrams(mux, connection.MessageDatagramConfig{}), udp.ListenConfig{})
//
// UDP loses, doubles and reorders datagrams, and anybody can forge a sender: use package tcp for what must
// arrive.
package udp

import (
	"errors"
	"net"
	"net/netip"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// ListenConfig says how to listen. The zero value is right for most.
type ListenConfig struct {
	// Datagram is what is common to all datagram sockets: name, priority, what to do at the end.
	Datagram connection.DatagramConfig
	// SendBuffer and ReceiveBuffer are the sizes in bytes of the kernel's buffers, which the kernel doubles
	// and bounds (net.core.wmem_max, rmem_max). Zero: the kernel's default.
	SendBuffer, ReceiveBuffer int
}

// Listen binds a socket to an address, "host:port", and has h take its datagrams. Without a host it is all of this
// machine's addresses, IPv4 and IPv6; port 0 chooses a free one: see Datagram.Addr. A host name is
// looked up, which blocks.
func Listen(loop *communicator.Communicator, address string, h connection.DatagramHandler, config ListenConfig) (*connection.Datagram, error) {
	resolved, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Err: err}
	}
	addr := resolved.AddrPort()
	if !addr.Addr().IsValid() {
		addr = netip.AddrPortFrom(netip.IPv6Unspecified(), addr.Port())
	}
	fd, err := bind(addr, config)
	if err != nil && resolved.IP == nil { // a machine without IPv6
		fd, err = bind(netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port()), config)
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: resolved, Err: err}
	}
	return connection.NewDatagram(loop, fd, h, config.Datagram)
}

func bind(addr netip.AddrPort, config ListenConfig) (int, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	var sa sys.Sockaddr
	sa.SetAddrPort(addr)
	fd, err := sys.Socket(&sa, sys.Datagram)
	if err != nil {
		return 0, err
	}
	if addr.Addr().Is6() {
		only := 0
		if !addr.Addr().IsUnspecified() {
			only = 1
		}
		err = sys.SetOption(fd, sys.IPv6Only, only)
	}
	if err == nil && config.SendBuffer > 0 {
		err = sys.SetOption(fd, sys.SendBuffer, config.SendBuffer)
	}
	if err == nil && config.ReceiveBuffer > 0 {
		err = sys.SetOption(fd, sys.ReceiveBuffer, config.ReceiveBuffer)
	}
	if err == nil {
		err = sys.Bind(fd, &sa)
	}
	if err != nil {
		return 0, errors.Join(err, sys.Close(fd))
	}
	return fd, nil
}
