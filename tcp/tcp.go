//go:build linux

package tcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// DefaultBacklog is how many connections may wait to be accepted. The kernel allows no more than
// net.core.somaxconn.
const DefaultBacklog = 4096

// ListenConfig says how to listen. The zero value is right for most.
type ListenConfig struct {
	// Listener is what is common to all transports: name, priority, batch.
	Listener connection.ListenConfig
	// Backlog is how many connections may wait to be accepted. Zero: DefaultBacklog.
	Backlog int
	// Delay lets the kernel hold back small writes (Nagle's algorithm). It is off by default, as in package net.
	Delay bool
	// SendBuffer and ReceiveBuffer are the sizes in bytes of the kernel's buffers for each connection, which the
	// kernel doubles and bounds. Zero: the kernel adapts them.
	SendBuffer, ReceiveBuffer int
}

// Listen listens on an address, "host:port", and has serve put a layer on each connection. Without a host it is
// all of this machine's addresses, IPv4 and IPv6; port 0 chooses a free one: see Listener.Addr. A host
// name is looked up, which blocks; its first address is taken.
func Listen(loop *communicator.Communicator, address string, serve connection.Serve, config ListenConfig) (*connection.Listener, error) {
	fd, err := listen(address, config)
	if err != nil {
		return nil, err
	}
	acceptor, err := connection.NewSocketAcceptor(fd)
	if err != nil {
		_ = sys.Close(fd)
		return nil, err
	}
	acceptor.Setup = func(s *connection.Socket) { setup(s, config.Delay, config.SendBuffer, config.ReceiveBuffer) }
	return connection.NewListener(loop, acceptor, serve, config.Listener)
}

func listen(address string, config ListenConfig) (int, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return 0, &net.OpError{Op: "listen", Net: "tcp", Err: err}
	}
	addr := resolved.AddrPort()
	if !addr.Addr().IsValid() {
		addr = netip.AddrPortFrom(netip.IPv6Unspecified(), addr.Port())
	}
	fd, err := bind(addr, config)
	if err != nil && resolved.IP == nil { // a machine without IPv6
		addr = netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port())
		fd, err = bind(addr, config)
	}
	if err != nil {
		return 0, &net.OpError{Op: "listen", Net: "tcp", Addr: resolved, Err: err}
	}
	return fd, nil
}

func bind(addr netip.AddrPort, config ListenConfig) (int, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	var sa sys.Sockaddr
	sa.SetAddrPort(addr)
	fd, err := sys.Socket(&sa, sys.Stream)
	if err != nil {
		return 0, err
	}
	backlog := config.Backlog
	if backlog <= 0 {
		backlog = DefaultBacklog
	}
	err = sys.SetOption(fd, sys.ReuseAddr, 1)
	if err == nil && addr.Addr().Is6() {
		err = sys.SetOption(fd, sys.IPv6Only, boolean(!addr.Addr().IsUnspecified()))
	}
	if err == nil {
		err = sys.Bind(fd, &sa)
	}
	if err == nil {
		err = sys.Listen(fd, backlog)
	}
	if err != nil {
		return 0, errors.Join(err, sys.Close(fd))
	}
	return fd, nil
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// setup sets the options of a connection. They tune, and their errors are no reason to refuse it.
func setup(s *connection.Socket, delay bool, send, receive int) {
	_ = sys.SetOption(s.FD(), sys.NoDelay, boolean(!delay))
	if send > 0 {
		_ = sys.SetOption(s.FD(), sys.SendBuffer, send)
	}
	if receive > 0 {
		_ = sys.SetOption(s.FD(), sys.ReceiveBuffer, receive)
	}
}

// Dialer makes connections to an address; it is a connection.Dialer.
type Dialer struct {
	// Address is "host:port". A host name is looked up at each dial, by a goroutine; its addresses are tried one after the other.
	// Without a host it is this machine.
	Address string
	// Timeout bounds a dial: the look-up and all addresses. Zero: connection.DefaultDialTimeout.
	Timeout time.Duration
	// Delay, SendBuffer and ReceiveBuffer are as in ListenConfig.
	Delay                     bool
	SendBuffer, ReceiveBuffer int
	// Resolver looks host names up. Nil: net.DefaultResolver.
	Resolver *net.Resolver
	// Priority is that of the work of dialling; the connection has its own.
	Priority int
}

// String is the address, for people.
func (d Dialer) String() string { return "tcp " + d.Address }

// Dial begins a connection: see connection.Dialer. It returns an error only for an address that can't
// be one; all others come later.
func (d Dialer) Dial(loop *communicator.Communicator, done func(connection.Transport, error)) (cancel func(), err error) {
	work := connection.Connect{Timeout: d.Timeout, Name: "dialling " + d.String(), Priority: d.Priority}
	host, service, err := net.SplitHostPort(d.Address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	if host == "" {
		host = "127.0.0.1"
	}
	ip, ipErr := netip.ParseAddr(host)
	port, portErr := strconv.ParseUint(service, 10, 16)
	if ipErr == nil && portErr == nil {
		work.Attempts = d.attempts([]netip.Addr{ip}, uint16(port))
	} else {
		work.Lookup = func(ctx context.Context) ([]connection.Attempt, error) { return d.lookup(ctx, host, service) }
	}
	return work.Dial(loop, done)
}

func (d Dialer) lookup(ctx context.Context, host, service string) ([]connection.Attempt, error) {
	resolver := d.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	port, err := resolver.LookupPort(ctx, "tcp", service)
	if err == nil {
		var ips []netip.Addr
		if ips, err = resolver.LookupNetIP(ctx, "ip", host); err == nil {
			return d.attempts(ips, uint16(port)), nil
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
}

func (d Dialer) attempts(ips []netip.Addr, port uint16) []connection.Attempt {
	attempts := make([]connection.Attempt, len(ips))
	for i, ip := range ips {
		attempts[i] = connection.TCPAttempt(netip.AddrPortFrom(ip.Unmap(), port), func(s *connection.Socket) {
			setup(s, d.Delay, d.SendBuffer, d.ReceiveBuffer)
		})
	}
	return attempts
}
