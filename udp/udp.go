//go:build linux

// Package udp receives and sends datagrams over UDP, IPv4 and IPv6, on a loop.
//
// Listen brings the socket; what is put on it comes from package connection: a handler of
// datagrams, or connection.NewMessageDatagrams for messages.
//
//	socket, err := udp.Listen(loop, "127.0.0.1:4041", connection.NewMessageDatagrams(mux, connection.MessageDatagramConfig{}), udp.ListenConfig{})
//
// Connect brings a socket with one peer, to which Write sends.
//
// UDP loses, doubles and reorders datagrams, and anybody can forge a sender: use package tcp for
// what must arrive.
//
// # Multicast
//
// A socket gets what is sent to the groups that it has joined, in [ListenConfig].Groups or by
// [Join], on the interfaces on which it has, and nothing of the groups that other programs of the
// machine have joined. Of an IPv6 group that was joined on several interfaces, by whomever, the kernel
// hands each member what comes on any of them. The port is that of the group; several programs share
// it with ReuseAddr.
package udp

import (
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
	// SendBuffer and ReceiveBuffer are the sizes in bytes of the kernel's buffers, which the kernel
	// doubles and bounds (net.core.wmem_max, rmem_max). Zero: the kernel's default.
	SendBuffer, ReceiveBuffer int
	// ReuseAddr lets several sockets have the address, if all say so: each gets what comes to a
	// multicast group or by broadcast, the last one bound the rest. False: the address must be free.
	ReuseAddr bool
	// ReusePort lets several sockets of one user have the address, if all say so; the kernel deals
	// what comes out among them, by the sender's address. False: the address must be free.
	ReusePort bool
	// IPv6Only leaves IPv4 out when all addresses are listened on. False: both.
	IPv6Only bool
	// Broadcast allows sending to a broadcast address; it is EACCES without. False: it is not
	// allowed.
	Broadcast bool
	// TTL is the time to live, or hop limit, of what is sent to one host, 1 to 255. Zero: the
	// kernel's default, mostly 64.
	TTL int
	// MulticastTTL is that of what is sent to a group, 1 to 255. Zero: 1, which no router passes on.
	MulticastTTL int
	// NoMulticastLoop keeps what is sent to a group from this machine's own members. False: they get
	// it too.
	NoMulticastLoop bool
	// MulticastInterface is the name of the interface through which groups are sent to. Empty: the
	// kernel's routes decide.
	MulticastInterface string
	// Groups are joined from the beginning. Empty: none.
	Groups []Group
	// DontFragment has the kernel refuse, by EMSGSIZE, what is longer than the path's MTU. False: it
	// is sent in fragments, of which each must arrive. See PayloadSize.
	DontFragment bool
}

// Group is a multicast group on an interface.
type Group struct {
	Addr netip.Addr
	// Interface is the name of the interface. Empty: the zone of Addr, or else the kernel's choice,
	// by its routes.
	Interface string
}

// Listen binds a socket to an address, "host:port", and has h take its datagrams. Without a host it
// is all of this machine's addresses, IPv4 and IPv6; port 0 chooses a free one: see Datagram.Addr.
// A host name is looked up, which blocks. An interface that doesn't exist, also as a zone, and an address
// that is no group, are a *net.AddrError.
func Listen(loop *communicator.Communicator, address string, h connection.DatagramHandler, config ListenConfig) (*connection.Datagram, error) {
	resolved, err := resolve(address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Err: err}
	}
	options := config.options()
	fd, err := sys.BindAny(resolved.AddrPort(), sys.Datagram, options.set)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: resolved, Err: err}
	}
	return connection.NewDatagram(loop, fd, h, config.Datagram)
}

func resolve(address string) (*net.UDPAddr, error) {
	if address == "" { // package net takes it for a free port of all addresses
		return nil, &net.AddrError{Err: "no address given"}
	}
	return net.ResolveUDPAddr("udp", address)
}

func (c *ListenConfig) options() options {
	return options{
		sendBuffer: c.SendBuffer, receiveBuffer: c.ReceiveBuffer,
		reuseAddr: c.ReuseAddr, reusePort: c.ReusePort, only6: c.IPv6Only, broadcast: c.Broadcast,
		ttl: c.TTL, multicastTTL: c.MulticastTTL, noLoop: c.NoMulticastLoop, iface: c.MulticastInterface,
		groups: c.Groups, dontFragment: c.DontFragment,
	}
}
