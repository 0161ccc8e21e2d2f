//go:build linux

package tcp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Dialer makes connections to an address; it is a connection.Dialer.
type Dialer struct {
	// Options are those of the connection, and the family of addresses.
	Options
	// Address is "host:port". A host name is looked up at each dial, by a goroutine. Its addresses are
	// tried in the order of RFC 6724, the families taking turns as in RFC 8305: the next one when one has
	// failed, or beside those before it when AttemptDelay has passed; the first to connect is taken.
	// Without a host it is this machine: 127.0.0.1, or ::1 if IPv4 is ruled out.
	Address string
	// Timeout bounds a dial: the look-up and all addresses. Zero: connection.DefaultDialTimeout.
	Timeout time.Duration
	// AttemptDelay is how long an address is tried alone. Zero: connection.DefaultAttemptDelay, 250 ms.
	AttemptDelay time.Duration
	// Local is the address to connect from; only addresses of its family are tried then. Port 0 leaves
	// the port to the kernel, and allows as many connections as it has ports for each peer. Zero: the
	// kernel chooses both.
	Local netip.AddrPort
	// TLS secures the connection, as a client. The certificate of the server has to be valid for ServerName, or for the
	// host of Address if that is empty. A server can't ask for another handshake later,
	// whatever Renegotiation says. The zero tls.Config is right for most. Nil: no TLS.
	TLS *tls.Config
	// Handshakes is where the TLS handshake is made: dialers that share one don't compute more than that
	// allows at the same time. Nil: a place of its own for each dial.
	Handshakes *Handshakes
	// Resolver looks host names up. Nil: net.DefaultResolver.
	Resolver *net.Resolver
	// Priority is that of the work of dialling; the connection has its own.
	Priority int
}

// String is the address, for people.
func (d Dialer) String() string { return "tcp " + d.Address }

// Dial begins a connection: see connection.Dialer. It returns an error only for an address, or a
// network, that can't be one; all others come later.
func (d Dialer) Dial(loop *communicator.Communicator, done func(connection.Transport, error)) (cancel func(), err error) {
	if d.TLS != nil {
		return d.dialTLS(loop, done)
	}
	return d.connect(loop, done)
}

// connect begins a connection without TLS.
func (d Dialer) connect(loop *communicator.Communicator, done func(connection.Transport, error)) (cancel func(), err error) {
	work := connection.Connect{Timeout: d.Timeout, AttemptDelay: d.AttemptDelay, Name: "dialling " + d.String(), Priority: d.Priority}
	family, err := d.family()
	var host, service string
	if err == nil {
		host, service, err = net.SplitHostPort(d.Address)
	}
	if err != nil {
		return nil, d.fail(err)
	}
	if host == "" {
		host = "127.0.0.1"
		if family == "ip6" {
			host = "::1"
		}
	}
	ip, ipErr := netip.ParseAddr(host)
	port, portErr := strconv.ParseUint(service, 10, 16)
	if ipErr == nil && portErr == nil {
		ip = ip.Unmap()
		if family == "ip4" && ip.Is6() || family == "ip6" && ip.Is4() {
			return nil, d.fail(&net.AddrError{Err: "not of the network or family that is dialled", Addr: host})
		}
		work.Attempts = d.attempts([]netip.Addr{ip}, uint16(port))
	} else {
		work.Lookup = func(ctx context.Context) ([]connection.Attempt, error) { return d.lookup(ctx, family, host, service) }
	}
	return work.Dial(loop, done)
}

// fail is an error of no address in particular.
func (d *Dialer) fail(err error) error {
	network, _ := d.network()
	return &net.OpError{Op: "dial", Net: network, Err: err}
}

// family is what addresses can be dialled: "ip4", "ip6" or "ip" for both.
func (d *Dialer) family() (string, error) {
	network, err := d.network()
	if err != nil {
		return "", err
	}
	family := "ip" + network[len("tcp"):]
	if !d.Local.Addr().IsValid() {
		return family, nil
	}
	local := "ip4"
	if d.Local.Addr().Unmap().Is6() {
		local = "ip6"
	}
	if family != "ip" && family != local {
		return "", &net.AddrError{Err: "a local address that is not of " + network, Addr: d.Local.String()}
	}
	return local, nil
}

func (d *Dialer) lookup(ctx context.Context, family, host, service string) ([]connection.Attempt, error) {
	resolver := d.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	port, err := resolver.LookupPort(ctx, "tcp", service)
	if err == nil {
		var ips []netip.Addr
		if ips, err = resolver.LookupNetIP(ctx, family, host); err == nil {
			return d.attempts(interleave(ips), uint16(port)), nil
		}
	}
	return nil, d.fail(err)
}

// interleave lets the families take turns, the first one's first: RFC 8305, section 4.
func interleave(ips []netip.Addr) []netip.Addr {
	var families [2][]netip.Addr
	for i, ip := range ips {
		ips[i] = ip.Unmap()
		other := 0
		if ips[i].Is4() != ips[0].Is4() {
			other = 1
		}
		families[other] = append(families[other], ips[i])
	}
	mixed := make([]netip.Addr, 0, len(ips))
	for i := range max(len(families[0]), len(families[1])) {
		for _, family := range families {
			if i < len(family) {
				mixed = append(mixed, family[i])
			}
		}
	}
	return mixed
}

func (d Dialer) attempts(ips []netip.Addr, port uint16) []connection.Attempt {
	attempts := make([]connection.Attempt, len(ips))
	for i, ip := range ips {
		attempts[i] = connection.TCPAttempt(netip.AddrPortFrom(ip, port), func(fd int) error {
			return errors.Join(d.setup(fd), d.bind(fd, ip))
		})
	}
	return attempts
}

// bind gives the socket its local address, if one was asked for.
func (d *Dialer) bind(fd int, remote netip.Addr) error {
	local := netip.AddrPortFrom(d.Local.Addr().Unmap(), d.Local.Port())
	switch {
	case d.Local == netip.AddrPort{}:
		return nil
	case local.Addr().IsValid():
	case remote.Is4():
		local = netip.AddrPortFrom(netip.IPv4Unspecified(), local.Port())
	default:
		local = netip.AddrPortFrom(netip.IPv6Unspecified(), local.Port())
	}
	option := sys.ReuseAddr // connections that were made from the port before are in nobody's way
	if local.Port() == 0 {
		option = sys.BindNoPort
	}
	var sa sys.Sockaddr
	err := sa.SetAddrPort(local)
	if err == nil {
		err = sys.SetOption(fd, option, 1)
	}
	if err == nil {
		err = sys.Bind(fd, &sa)
	}
	return err
}
