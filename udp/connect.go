//go:build linux

package udp

import (
	"errors"
	"net"
	"net/netip"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// ConnectConfig says how to connect. The zero value is right for most.
type ConnectConfig struct {
	// Datagram is what is common to all datagram sockets: name, priority, what to do at the end. Its
	// Failed is told when nobody listens at the address (ECONNREFUSED).
	Datagram connection.DatagramConfig
	// Local is the address and port to send from; with port 0 a free one. Invalid: the kernel
	// chooses both.
	Local netip.AddrPort
	// What follows is as in ListenConfig.
	SendBuffer, ReceiveBuffer int
	Broadcast                 bool
	TTL, MulticastTTL         int
	NoMulticastLoop           bool
	MulticastInterface        string
	DontFragment              bool
}

// Connect makes a socket with one peer: Datagram.Write sends to it, and h takes what comes from it
// and nothing else. The address is "host:port"; a host name is looked up, which blocks, and its first
// address is taken. Nothing is sent yet, so nobody needs to listen there: that shows when something
// was sent, and the machine there says so, as ECONNREFUSED of the next Write or to
// DatagramConfig.Failed. It doesn't close the socket. Without a route the error is ENETUNREACH; for a
// zone that names no interface it is a *net.AddrError.
func Connect(loop *communicator.Communicator, address string, h connection.DatagramHandler, config ConnectConfig) (*connection.Datagram, error) {
	resolved, err := resolve(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "udp", Err: err}
	}
	fd, err := connect(unmap(resolved.AddrPort()), &config)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "udp", Addr: resolved, Err: err}
	}
	return connection.NewDatagram(loop, fd, h, config.Datagram)
}

func connect(to netip.AddrPort, config *ConnectConfig) (int, error) {
	if !to.Addr().IsValid() { // as package net does: without a host it is this machine
		to = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), to.Port())
	}
	var sa sys.Sockaddr
	if err := sa.SetAddrPort(to); err != nil {
		return sys.NoFD, err
	}
	fd, err := sys.Socket(&sa, sys.Datagram)
	if err != nil {
		return sys.NoFD, err
	}
	o := options{
		sendBuffer: config.SendBuffer, receiveBuffer: config.ReceiveBuffer, broadcast: config.Broadcast,
		ttl: config.TTL, multicastTTL: config.MulticastTTL, noLoop: config.NoMulticastLoop,
		iface: config.MulticastInterface, dontFragment: config.DontFragment,
	}
	err = o.set(fd)
	if err == nil && config.Local.IsValid() {
		var local sys.Sockaddr
		if err = local.SetAddrPort(unmap(config.Local)); err == nil {
			err = sys.Bind(fd, &local)
		}
	}
	if err == nil {
		err = sys.Connect(fd, &sa)
	}
	if err != nil {
		return sys.NoFD, errors.Join(err, sys.Close(fd))
	}
	return fd, nil
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// The headers in front of a datagram's bytes: RFC 791, 8200 and 768.
const (
	headerIPv4 = 20
	headerIPv6 = 40
	headerUDP  = 8
)

// PathMTU is the longest packet, in bytes, that reaches an address unfragmented, headers included,
// as far as the kernel knows: the MTU of the interface that its route leads through, or what a
// router on the path has told since. It sends nothing and doesn't wait.
func PathMTU(dest netip.AddrPort) (int, error) {
	dest = unmap(dest)
	if !dest.IsValid() {
		return 0, &net.OpError{Op: "dial", Net: "udp", Err: &net.AddrError{Err: "no address given"}}
	}
	mtu, err := sys.PathMTU(dest)
	if err != nil {
		return 0, &net.OpError{Op: "dial", Net: "udp", Addr: net.UDPAddrFromAddrPort(dest), Err: err}
	}
	return mtu, nil
}

// PayloadSize is the longest datagram, in bytes, that reaches an address unfragmented: PathMTU
// without the headers of IP and UDP. The C++ library calls it MSS.
func PayloadSize(dest netip.AddrPort) (int, error) {
	mtu, err := PathMTU(dest)
	if err != nil {
		return 0, err
	}
	if dest.Addr().Unmap().Is4() {
		return mtu - headerIPv4 - headerUDP, nil
	}
	return mtu - headerIPv6 - headerUDP, nil
}
