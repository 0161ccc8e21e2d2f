//go:build linux

package connection

import (
	"net"
	"net/netip"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Peer is the other side of a datagram socket: an IP address and port, or the path of a Unix
// socket. Peers can be compared and used as keys of a map. The zero Peer is nobody, or on a
// connected socket whom it is connected to.
type Peer struct {
	addr netip.AddrPort
	path string
	unix bool
}

var _ net.Addr = Peer{}

// PeerFrom is the peer at an IP address and port; an IPv4 address that is mapped into IPv6 is the IPv4
// address.
func PeerFrom(addr netip.AddrPort) Peer {
	return Peer{addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())}
}

// PeerFromPath is the Unix socket with a path, or an abstract name with a @ in front; a file whose name
// begins with @ is "./@name". An empty path is a socket without a name, to which nothing can be sent.
func PeerFromPath(path string) Peer { return Peer{path: path, unix: true} }

// PeerFromAddr is the peer at a *net.UDPAddr or a *net.UnixAddr, such as Datagram.Addr returns; for
// anything else it is the zero Peer.
func PeerFromAddr(addr net.Addr) Peer {
	switch a := addr.(type) {
	case *net.UDPAddr:
		return PeerFrom(a.AddrPort())
	case *net.UnixAddr:
		if a != nil {
			return PeerFromPath(a.Name)
		}
	}
	return Peer{}
}

// AddrPort is the peer's IP address and port; invalid for a Unix socket.
func (p Peer) AddrPort() netip.AddrPort { return p.addr }

// Path is the path of the peer's Unix socket, an abstract name with a @ in front; empty for one
// without a name, and for an IP address.
func (p Peer) Path() string { return p.path }

// Network is "udp" or "unixgram"; empty for the zero Peer. It is "unixgram" for the peer of a packet
// socket too: a Peer is an address, whatever the kind of its socket.
func (p Peer) Network() string {
	switch {
	case p.unix:
		return networkUnix
	case p.addr.IsValid():
		return networkUDP
	}
	return ""
}

// String is the peer's address for people.
func (p Peer) String() string {
	switch {
	case !p.unix:
		return p.addr.String()
	case p.path == "":
		return "unnamed"
	}
	return p.path
}

// netAddr is the peer as package net has it; nil for the zero Peer.
func (p Peer) netAddr(network string) net.Addr {
	switch {
	case p.unix:
		return &net.UnixAddr{Net: network, Name: p.path}
	case p.addr.IsValid():
		return net.UDPAddrFromAddrPort(p.addr)
	}
	return nil
}

// peerOf is the peer with an address.
func (d *Datagram) peerOf(sa *sys.Sockaddr) Peer {
	if d.network != networkUDP {
		return PeerFromPath(sa.Path())
	}
	return PeerFrom(sa.AddrPort())
}

// sender is the peer with the address of a datagram that came. It remembers the last one, so that
// nothing is allocated while the same peer sends.
func (d *Datagram) sender(sa *sys.Sockaddr) Peer {
	if !d.last.known || !d.last.addr.Equal(sa) {
		d.last.addr, d.last.peer, d.last.known = *sa, d.peerOf(sa), true
	}
	return d.last.peer
}
