//go:build linux

package tcp

import (
	"errors"
	"os"
)

// ErrNoCertificate is returned by Listen for a TLS config that has no certificate, and nothing to get one from.
var ErrNoCertificate = errors.New("tcp: TLS: neither Certificates, GetCertificate nor GetConfigForClient is set")

// ErrHandshakeTimeout is the cause when a TLS handshake took too long; errors.Is(err,
// os.ErrDeadlineExceeded) holds.
var ErrHandshakeTimeout error = handshakeTimeout{}

// ErrCrowded is the cause when a TLS handshake was given up whose peer had kept it waiting while others had no place.
var ErrCrowded = errors.New("tcp: TLS handshake: others had no place")

// handshakeTimeout is a net.Error.
type handshakeTimeout struct{}

func (handshakeTimeout) Error() string   { return "tcp: TLS handshake: i/o timeout" }
func (handshakeTimeout) Timeout() bool   { return true }
func (handshakeTimeout) Temporary() bool { return true }
func (handshakeTimeout) Unwrap() error   { return os.ErrDeadlineExceeded }
