package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// target is something whose certificates are checked: a server, or a file.
type target struct {
	name string // as it was given, and is shown
	file bool   // name is that of a file, "-" the standard input

	host, port string // of a server
}

var (
	errEmpty     = errors.New("no name")
	errURL       = errors.New("a URL: give its host, and the port if need be")
	errCharacter = errors.New("a character that names don't have; beyond ASCII they begin with xn--")
	errPath      = errors.New("a server's name has no slash; a file needs its own --file")
	errBrackets  = errors.New("brackets are for an IPv6 address, as in [::1]:443")
	errColons    = errors.New("neither DOMAIN:PORT nor an IPv6 address")
	errPort      = errors.New("a port is a number from 1 to 65535")
	errBare      = errors.New("a name or an address alone: no port, no brackets")
)

// newServer reads DOMAIN[:PORT]. An IPv6 address stands in brackets, or bare when it has no port.
func newServer(text, port string) (target, error) {
	t := target{name: text, host: text, port: port}
	err := t.split()
	if err != nil {
		return target{}, fmt.Errorf("%q: %w", text, err)
	}
	return t, nil
}

func (t *target) split() error {
	text := t.name
	switch {
	case strings.Contains(text, "://"):
		return errURL
	case strings.Contains(text, "/"):
		return errPath
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`\@?#"'`, r) }):
		return errCharacter
	case strings.HasPrefix(text, "["):
		return t.splitBrackets()
	case strings.Count(text, ":") > 1:
		if address, err := netip.ParseAddr(text); err != nil || strings.ContainsAny(address.Zone(), "[]") {
			return errColons
		}
		return nil
	}
	if host, port, found := strings.Cut(text, ":"); found {
		t.host, t.port = host, port
	}
	switch {
	case t.host == "":
		return errEmpty
	case strings.ContainsAny(t.host, "[]%"): // which are for addresses
		return errCharacter
	}
	return checkPort(t.port)
}

// splitBrackets reads [ADDRESS] and [ADDRESS]:PORT.
func (t *target) splitBrackets() error {
	inside, rest, _ := strings.Cut(t.name[1:], "]")
	if address, err := netip.ParseAddr(inside); err != nil || !address.Is6() || strings.Contains(address.Zone(), "[") {
		return errBrackets
	}
	t.host = inside
	if t.name == "["+inside+"]" {
		return nil
	}
	port, found := strings.CutPrefix(rest, ":")
	if !found {
		return errBrackets
	}
	t.port = port
	return checkPort(port)
}

func checkPort(text string) error {
	if n, err := strconv.ParseUint(text, 10, 16); err != nil || n == 0 {
		return errPort
	}
	return nil
}

// checkName checks a name that a server is asked for, or an address.
func checkName(text string) error {
	t, err := newServer(text, "443")
	switch {
	case err != nil:
		return err
	case t.host != text:
		return fmt.Errorf("%q: %w", text, errBare)
	}
	return nil
}

// address is what is dialled.
func (t target) address() string { return net.JoinHostPort(t.host, t.port) }

// hostname is the name, or IP address, that the certificate has to be for.
func (t target) hostname() string {
	if address, err := netip.ParseAddr(t.host); err == nil {
		return address.WithZone("").String()
	}
	return t.host
}
