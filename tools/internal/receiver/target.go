package receiver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// The networks, by their names of package net, and of package shmconn.
const (
	UDP      = "udp"
	TCP      = "tcp"
	Unix     = "unix"
	Unixgram = "unixgram"
	Shm      = "shm"
)

// Networks are all networks.
func Networks() []string { return []string{UDP, TCP, Unix, Unixgram, Shm} }

// Where services listen if nothing else is said.
const (
	DefaultHost = "127.0.0.1"
	DefaultPort = "4041"
)

// The limits, in bytes.
const (
	// MaxUDP is the longest datagram over UDP, MaxUnixgram that of a Unix socket, as the C++ library and package
	// connection have them: receivers cut what is longer.
	MaxUDP      = 1024
	MaxUnixgram = 65536
	// MaxPath is the longest path of a Unix socket, or name of an abstract one with its @: unix(7), sun_path.
	MaxPath = 107
)

// ErrPath is the error of Parse for the path of a Unix socket, or the name of an abstract one, where the network is
// another.
var ErrPath = errors.New("a path or @NAME is for unix, unixgram and shm")

// Target is where a message goes.
type Target struct {
	Network string // of Networks
	Address string // as package net wants it: HOST:PORT, PATH or @NAME
	Host    string // that of HOST:PORT, without brackets; "" for a PATH or @NAME
}

// Parse reads an address: ADDR[:PORT], or for Unix sockets, and rings, which are found by one, PATH, or @NAME in the
// abstract name space. An IPv6 address may be in brackets or, without a port, as it is. A port may have a name of
// letters, digits and dashes; without one it is DefaultPort. Nothing is looked up.
func Parse(network, text string) (Target, error) {
	switch network {
	case Unix, Unixgram, Shm:
		return parsePath(network, text)
	case UDP, TCP:
	default:
		return Target{}, fmt.Errorf("%q is none of %s", network, strings.Join(Networks(), ", "))
	}
	if strings.Contains(text, "/") || strings.HasPrefix(text, "@") {
		return Target{}, fmt.Errorf("%q is not ADDR[:PORT]: %w", text, ErrPath)
	}
	host, port, err := splitPort(text)
	if err != nil {
		return Target{}, err
	}
	if !isHost(host) {
		return Target{}, fmt.Errorf("%q is not ADDR[:PORT]: %q is neither an address nor a name", text, host)
	}
	if !isPort(port) {
		return Target{}, fmt.Errorf("%q is not a port", port)
	}
	return Target{Network: network, Address: net.JoinHostPort(host, port), Host: host}, nil
}

func parsePath(network, path string) (Target, error) {
	switch {
	case path == "" || path == "@":
		return Target{}, errors.New("the PATH of a socket is missing")
	case len(path) > MaxPath:
		return Target{}, fmt.Errorf("the PATH of a socket has at most %d bytes, this one %d", MaxPath, len(path))
	case strings.IndexByte(path, 0) >= 0:
		return Target{}, errors.New("a NUL byte in the PATH of a socket")
	}
	return Target{Network: network, Address: path}, nil
}

// splitPort takes ADDR[:PORT] apart.
func splitPort(text string) (host, port string, err error) {
	inner, opened := strings.CutPrefix(text, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	_, noAddress := netip.ParseAddr(inner)
	switch {
	case noAddress == nil && opened == closed:
		return inner, DefaultPort, nil
	case !strings.Contains(text, ":"):
		host, port = text, DefaultPort
	default:
		if host, port, err = net.SplitHostPort(text); err != nil {
			return "", "", fmt.Errorf("%q is not ADDR[:PORT]", text)
		}
	}
	if host == "" {
		return "", "", fmt.Errorf("%q has no address", text)
	}
	return host, port, nil
}

// isHost tells whether it is an address or may be a name. Underscores are in names of some local networks, and letters
// of other alphabets in /etc/hosts.
func isHost(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return !strings.ContainsAny(address.Zone(), "[]") // which stand around an address
	}
	return !strings.HasPrefix(host, "-") && !strings.ContainsFunc(host, func(r rune) bool {
		return r == unicode.ReplacementChar || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.", r)
	})
}

// isPort tells whether it is the number of a port or may be its name, which is left to the look-up.
func isPort(port string) bool {
	if strings.Trim(port, "0123456789") == "" {
		number, err := strconv.ParseUint(port, 10, 16)
		return err == nil && number > 0
	}
	return port[0] != '-' && strings.Trim(port, "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == ""
}

// Unix tells whether the address is that of a Unix socket: a PATH or @NAME.
func (t Target) Unix() bool { return t.Network == Unix || t.Network == Unixgram || t.Network == Shm }

// Datagrams tells whether messages go as datagrams, not as lines of a stream.
func (t Target) Datagrams() bool { return t.Network == UDP || t.Network == Unixgram }

// String is the target in logs and errors, such as udp 127.0.0.1:4041.
func (t Target) String() string { return t.Network + " " + t.Address }

// CheckLength tells what is wrong with a message of that many bytes, without the line feed of a stream.
func (t Target) CheckLength(length int) error {
	limit := MaxUDP
	if t.Network == Unixgram {
		limit = MaxUnixgram
	}
	if t.Datagrams() && length > limit {
		return fmt.Errorf("the message has %d bytes, a datagram over %s at most %d", length, t.Network, limit)
	}
	return nil
}

// Dial connects. For UDP, where a connection tells nothing of whether anybody is there, a name that has addresses of
// both kinds is taken for its first IPv4 address: services listen there if nothing else is said, and localhost is often
// ::1 as well. Dialer's Resolver looks names up. An error is of package net, and names the address. A ring is a stream
// as that of a Unix socket, but the end of a service that was killed is an error there; it takes nothing from dialer.
func (t Target) Dial(ctx context.Context, dialer net.Dialer) (net.Conn, error) {
	switch t.Network {
	case UDP:
	case Shm:
		return dialRing(ctx, t.Address)
	default:
		return dialer.DialContext(ctx, t.Network, t.Address)
	}
	if _, err := netip.ParseAddr(t.Host); err == nil {
		return dialer.DialContext(ctx, t.Network, t.Address)
	}
	resolver := dialer.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	found, err := resolver.LookupNetIP(ctx, "ip", t.Host)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: t.Network, Err: err}
	}
	_, port, err := net.SplitHostPort(t.Address)
	if err != nil {
		return nil, err
	}
	return dialer.DialContext(ctx, t.Network, net.JoinHostPort(prefer(found).String(), port))
}

// prefer returns the first IPv4 address, without one the first of all.
func prefer(addresses []netip.Addr) netip.Addr {
	for _, a := range addresses {
		if a = a.Unmap(); a.Is4() {
			return a
		}
	}
	return addresses[0]
}
