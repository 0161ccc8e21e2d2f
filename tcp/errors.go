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
var ErrHandshakeTimeout error = handshakeTimeoutError{}

// ErrCrowded is the cause when a TLS handshake was given up whose peer had kept it waiting while others had no place.
var ErrCrowded = errors.New("tcp: TLS handshake: others had no place")

// handshakeTimeoutError is a net.Error.
type handshakeTimeoutError struct{}

func (handshakeTimeoutError) Error() string   { return "tcp: TLS handshake: i/o timeout" }
func (handshakeTimeoutError) Timeout() bool   { return true }
func (handshakeTimeoutError) Temporary() bool { return true }
func (handshakeTimeoutError) Unwrap() error   { return os.ErrDeadlineExceeded }
