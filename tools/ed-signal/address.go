package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

const (
	defaultHost = "127.0.0.1"
	defaultPort = "4041"
	// maxPath is the longest path of a Unix socket, or name of an abstract one, in bytes: unix(7), sun_path.
	maxPath = 107
)

// The values of --type, which are networks of package net.
const (
	typeUDP      = "udp"
	typeTCP      = "tcp"
	typeUnix     = "unix"
	typeUnixgram = "unixgram"
)

func types() []string { return []string{typeUDP, typeTCP, typeUnix, typeUnixgram} }

// target is where the message goes.
type target struct {
	network string // of types
	address string // as package net wants it, HOST:PORT or PATH
	host    string // that of HOST:PORT
}

// unix tells whether it is a Unix socket.
func (t target) unix() bool { return t.network == typeUnix || t.network == typeUnixgram }

// datagrams tells whether messages go as datagrams, not as lines of a stream.
func (t target) datagrams() bool { return t.network == typeUDP || t.network == typeUnixgram }

// String is the target in logs and errors.
func (t target) String() string { return t.network + " " + t.address }

// newTarget makes a target of the values of --type and --host. It looks nothing up but the variable of a configuration
// file that --host may name.
func newTarget(network, host string) (target, error) {
	t := target{network: network, host: host}
	if file, name, found := t.fileAndName(); found {
		c, err := readConf(file)
		if err != nil {
			return target{}, fmt.Errorf("--host: %w", err)
		}
		if t.host, found = c.lookup(name); !found {
			return target{}, fmt.Errorf("--host: %s: no variable %q", file, name)
		}
		if err := t.setAddress(); err != nil {
			return target{}, fmt.Errorf("--host: %s: %w", host, err)
		}
		return t, nil
	}
	if err := t.setAddress(); err != nil {
		return target{}, cli.Usagef("--host: %w", err)
	}
	return t, nil
}

// fileAndName tells whether the host is FILE@NAME. A file is what exists or has a slash; not so @NAME of an abstract
// socket, and the path of a socket that exists.
func (t target) fileAndName() (file, name string, found bool) {
	at := strings.LastIndexByte(t.host, '@')
	if at <= 0 {
		return "", "", false
	}
	if t.unix() && (t.host[0] == '@' || exists(t.host)) {
		return "", "", false
	}
	file, name = t.host[:at], t.host[at+1:]
	return file, name, strings.Contains(file, "/") || exists(file)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// setAddress makes the address of what the host is so far.
func (t *target) setAddress() error {
	if t.unix() {
		switch {
		case t.host == "" || t.host == "@":
			return errors.New("the PATH of a socket is missing")
		case len(t.host) > maxPath:
			return fmt.Errorf("the PATH of a socket has at most %d bytes, this one %d", maxPath, len(t.host))
		}
		t.address, t.host = t.host, ""
		return nil
	}
	host, port, err := splitPort(t.host)
	if err != nil {
		return err
	}
	t.host, t.address = host, net.JoinHostPort(host, port)
	return nil
}

// splitPort takes ADDR[:PORT] apart. An IPv6 address may be in brackets or, without a port, as it is.
func splitPort(address string) (host, port string, err error) {
	switch {
	case strings.Contains(address, "@"):
		return "", "", fmt.Errorf("%q is neither ADDR[:PORT] nor FILE@NAME of a file that exists", address)
	case strings.Contains(address, "/"):
		return "", "", fmt.Errorf("%q is not ADDR[:PORT]; a PATH needs --type unix or unixgram", address)
	}
	inner, opened := strings.CutPrefix(address, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	_, bare := netip.ParseAddr(inner)
	switch {
	case bare == nil && opened == closed:
		host, port = inner, defaultPort
	case !strings.Contains(address, ":"):
		host, port = address, defaultPort
	default:
		if host, port, err = net.SplitHostPort(address); err != nil {
			return "", "", fmt.Errorf("%q is not ADDR[:PORT]", address)
		}
	}
	if host == "" {
		return "", "", fmt.Errorf("%q has no address", address)
	}
	// The names of ports are left to the look-up.
	number, err := strconv.Atoi(port)
	if port == "" || err == nil && (number < 1 || number > 65535) {
		return "", "", fmt.Errorf("%q is not a port", port)
	}
	return host, port, nil
}
