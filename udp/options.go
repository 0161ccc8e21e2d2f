//go:build linux

package udp

import (
	"net"
	"net/netip"
	"strconv"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// options are set on a socket before it is bound.
type options struct {
	sendBuffer, receiveBuffer              int
	reuseAddr, reusePort, only6, broadcast bool
	noLoop, dontFragment                   bool
	ttl, multicastTTL                      int
	iface                                  string
	groups                                 []Group
}

// set sets the options. A socket of IPv6 that takes IPv4 too needs those of both.
func (o *options) set(fd int) error {
	six, err := sys.IsIPv6(fd)
	if err != nil {
		return err
	}
	s := setter{fd: fd}
	s.number(sys.SendBuffer, o.sendBuffer)
	s.number(sys.ReceiveBuffer, o.receiveBuffer)
	s.flag(sys.ReuseAddr, o.reuseAddr)
	s.flag(sys.ReusePort, o.reusePort)
	s.flag(sys.Broadcast, o.broadcast)
	s.number(sys.TTL, o.ttl)
	s.number(sys.MulticastTTL, o.multicastTTL)
	if o.dontFragment {
		s.number(sys.MTUDiscover, sys.DontFragment)
	}
	s.set(sys.MulticastAll, 0)
	if o.noLoop {
		s.set(sys.MulticastLoop, 0)
	}
	if six {
		s.flag(sys.IPv6Only, o.only6)
		s.number(sys.HopLimit, o.ttl)
		s.number(sys.MulticastHops, o.multicastTTL)
		if o.dontFragment {
			s.number(sys.MTUDiscover6, sys.DontFragment)
		}
		s.set(sys.MulticastAll6, 0)
		if o.noLoop {
			s.set(sys.MulticastLoop6, 0)
		}
	}
	if s.err == nil && o.iface != "" {
		s.sendThrough(o.iface, six)
	}
	for _, g := range o.groups {
		if s.err == nil {
			s.err = member(fd, g, sys.Join)
		}
	}
	return s.err
}

// setter sets options until one fails.
type setter struct {
	fd  int
	err error
}

func (s *setter) set(o sys.Option, value int) {
	if s.err == nil {
		s.err = sys.SetOption(s.fd, o, value)
	}
}

// number sets an option of which zero means the kernel's default.
func (s *setter) number(o sys.Option, value int) {
	if value != 0 {
		s.set(o, value)
	}
}

func (s *setter) flag(o sys.Option, on bool) {
	if on {
		s.set(o, 1)
	}
}

// sendThrough chooses the interface of what is sent to groups.
func (s *setter) sendThrough(name string, six bool) {
	index, err := interfaceIndex(name)
	if err == nil {
		err = sys.MulticastInterface(s.fd, index)
	}
	if err == nil && six {
		err = sys.SetOption(s.fd, sys.MulticastIf6, index)
	}
	s.err = err
}

// interfaceIndex is the number of an interface; 0, the kernel's choice, without a name.
func interfaceIndex(name string) (int, error) {
	if name == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil // as in a zone
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0, &net.AddrError{Err: "no such interface", Addr: name}
	}
	return i.Index, nil
}

// Join makes a socket a member of a group on an interface, by name; with an empty one the kernel's
// routes choose. A socket of IPv4 can't join a group of IPv6; one for both can join both. A router
// is asked for the group at once, and how many groups a socket may join the kernel bounds
// (net.ipv4.igmp_max_memberships). The error is a *net.OpError: around a *net.AddrError for an
// interface that doesn't exist or an address that is no group, EADDRINUSE for one that was joined
// already, net.ErrClosed for a socket that is closed.
func Join(d *connection.Datagram, group netip.Addr, iface string) error {
	return change("join", d, Group{group, iface}, sys.Join)
}

// Leave ends a membership: the group and the interface must be those of Join, or the error is
// EADDRNOTAVAIL. What has come already is still handed over. The end of the socket ends all.
func Leave(d *connection.Datagram, group netip.Addr, iface string) error {
	return change("leave", d, Group{group, iface}, sys.Leave)
}

func change(op string, d *connection.Datagram, g Group, call func(fd int, group netip.Addr, iface int) error) error {
	err := connection.ErrClosed
	var source net.Addr // none of a closed socket
	if d.Handle().Active() {
		source = d.Addr()
		err = member(d.FD(), g, call)
	}
	if err != nil {
		return &net.OpError{Op: op, Net: "udp", Source: source, Addr: &net.IPAddr{IP: g.Addr.AsSlice(), Zone: g.Interface}, Err: err}
	}
	return nil
}

func member(fd int, g Group, call func(fd int, group netip.Addr, iface int) error) error {
	addr := g.Addr.Unmap()
	if !addr.IsMulticast() {
		return &net.AddrError{Err: "no multicast group", Addr: g.Addr.String()}
	}
	name := g.Interface
	if name == "" {
		name = addr.Zone()
	}
	index, err := interfaceIndex(name)
	if err != nil {
		return err
	}
	return call(fd, addr.WithZone(""), index)
}
