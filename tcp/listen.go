//go:build linux

package tcp

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// DefaultBacklog is how many connections may wait to be accepted. The kernel allows no more than
// net.core.somaxconn.
const DefaultBacklog = 4096

// ListenConfig says how to listen. The zero value is right for most.
type ListenConfig struct {
	// Options are those of each connection, and the family of addresses.
	Options
	// Listener is what is common to all transports: name, priority, batch, how many connections.
	Listener connection.ListenConfig
	// TLS secures each connection, as a server. The config is crypto/tls's own and needs a certificate:
	// see LoadCertificate. What serve gets is a *TLSConn whose handshake is over. Nil: no TLS.
	TLS *tls.Config
	// Handshakes is where the TLS handshakes are made. Nil: a place of the listener's own, with the
	// listener's priority.
	Handshakes *Handshakes
	// Backlog is how many connections may wait to be accepted. Zero: DefaultBacklog.
	Backlog int
	// ReusePort lets several listeners have the same address, in this process or in others of the same
	// user, if all of them ask for it (SO_REUSEPORT). The kernel spreads the connections among them by a
	// hash of the addresses: one loop a core, each with a listener of its own. Those that wait for a
	// listener which is closed are reset, unless net.ipv4.tcp_migrate_req is on. Zero: an address that is
	// in use is EADDRINUSE.
	ReusePort bool
}

// Listen listens on an address, "host:port", and has serve put a layer on each connection. Without
// a host it is all of this machine's addresses, IPv4 and IPv6 unless Network says which; so it is for
// the host "::", while "0.0.0.0" is all of IPv4. Port 0 chooses a free one: see Listener.Addr. A host
// name is looked up, which blocks; its first address is taken, one of IPv4 if there is any.
//
// The address can be used again as soon as the listener is closed, whatever connections of it are left
// (SO_REUSEADDR).
func Listen(loop *communicator.Communicator, address string, serve connection.Serve, config ListenConfig) (*connection.Listener, error) {
	network, err := config.network()
	if c := config.TLS; err == nil && c != nil && len(c.Certificates) == 0 && c.GetCertificate == nil && c.GetConfigForClient == nil {
		err = ErrNoCertificate
	}
	var resolved *net.TCPAddr
	switch {
	case err != nil:
	case address == "": // package net takes it for a free port of all addresses
		err = &net.AddrError{Err: "no address given"}
	default:
		resolved, err = net.ResolveTCPAddr(network, address)
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	fd, err := sys.BindAny(bindAddr(network, resolved.AddrPort()), sys.Stream, func(fd int) error {
		return errors.Join(config.setupListening(fd, network), config.setup(fd))
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
		return nil, &net.OpError{Op: "listen", Net: network, Addr: resolved, Err: err}
	}
	if config.TLS != nil {
		if config.Handshakes == nil {
			config.Handshakes = NewHandshakes(HandshakeConfig{Priority: config.Listener.Priority})
		}
		serve = ServeTLS(config.TLS, serve, config.Handshakes)
	}
	acceptor, err := connection.NewSocketAcceptor(fd)
	if err != nil {
		return nil, err
	}
	return connection.NewListener(loop, acceptor, serve, config.Listener)
}

// bindAddr is what to bind to: of one family all addresses are its own unspecified one.
func bindAddr(network string, addr netip.AddrPort) netip.AddrPort {
	switch {
	case addr.Addr().IsValid():
	case network == "tcp4":
		return netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port())
	case network == "tcp6":
		return netip.AddrPortFrom(netip.IPv6Unspecified(), addr.Port())
	}
	return addr
}

// setupListening sets what the listening socket alone has.
func (c *ListenConfig) setupListening(fd int, network string) error {
	errs := []error{sys.SetOption(fd, sys.ReuseAddr, 1)}
	if c.ReusePort {
		errs = append(errs, sys.SetOption(fd, sys.ReusePort, 1))
	}
	if network == "tcp6" { // also for the unspecified address, which would be IPv4's too
		errs = append(errs, sys.SetOption(fd, sys.IPv6Only, 1))
	}
	return errors.Join(errs...)
}
