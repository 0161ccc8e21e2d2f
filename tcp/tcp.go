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
	// Delay lets the kernel hold back small writes (Nagle's algorithm). It is off by default, as in
	// package net.
	Delay bool
	// SendBuffer and ReceiveBuffer are the sizes in bytes of the kernel's buffers for each
	// connection, which the kernel doubles and bounds. Zero: the kernel adapts them. A
	// ReceiveBuffer that is smaller than a segment, 64 KiB on the loopback interface, makes a
	// transfer crawl from timer to timer.
	SendBuffer, ReceiveBuffer int
}

// Listen listens on an address, "host:port", and has serve put a layer on each connection. Without
// a host it is all of this machine's addresses, IPv4 and IPv6; port 0 chooses a free one: see
// Listener.Addr. A host name is looked up, which blocks; its first address is taken.
func Listen(loop *communicator.Communicator, address string, serve connection.Serve, config ListenConfig) (*connection.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err == nil && address == "" { // package net takes it for a free port of all addresses
		err = &net.AddrError{Err: "no address given"}
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: err}
	}
	fd, err := sys.BindAny(resolved.AddrPort(), sys.Stream, func(fd int) error {
		return errors.Join(sys.SetOption(fd, sys.ReuseAddr, 1), setup(fd, config.Delay, config.SendBuffer, config.ReceiveBuffer))
	})
	if err == nil {
		if config.Backlog <= 0 {
			config.Backlog = DefaultBacklog
		}
		if err = sys.Listen(fd, config.Backlog); err != nil {
			err = errors.Join(err, sys.Close(fd))
		}
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: resolved, Err: err}
	}
	acceptor, err := connection.NewSocketAcceptor(fd)
	if err != nil {
		return nil, err
	}
	return connection.NewListener(loop, acceptor, serve, config.Listener)
}

// setup sets the options of a socket. Connections have those of the socket that listens for them.
func setup(fd int, delay bool, send, receive int) error {
	var errs []error
	if !delay {
		errs = append(errs, sys.SetOption(fd, sys.NoDelay, 1))
	}
	if send > 0 {
		errs = append(errs, sys.SetOption(fd, sys.SendBuffer, send))
	}
	if receive > 0 {
		errs = append(errs, sys.SetOption(fd, sys.ReceiveBuffer, receive))
	}
	return errors.Join(errs...)
}

// Dialer makes connections to an address; it is a connection.Dialer.
type Dialer struct {
	// Address is "host:port". A host name is looked up at each dial, by a goroutine; its addresses
	// are tried one after the other. Without a host it is this machine.
	Address string
	// Timeout bounds a dial: the look-up and all addresses, each of which has its share of what is
	// left. Zero: connection.DefaultDialTimeout.
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

// Dial begins a connection: see connection.Dialer. It returns an error only for an address that
// can't be one; all others come later.
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
		attempts[i] = connection.TCPAttempt(netip.AddrPortFrom(ip.Unmap(), port), func(fd int) error {
			return setup(fd, d.Delay, d.SendBuffer, d.ReceiveBuffer)
		})
	}
	return attempts
}
