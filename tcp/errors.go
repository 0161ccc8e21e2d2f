//go:build linux

package tcp

import (
	"errors"
	"fmt"
	"os"
)

// ErrNoCertificate is returned by Listen for a TLS config that has no certificate, and nothing to get one from.
var ErrNoCertificate = errors.New("tcp: TLS: neither Certificates, GetCertificate nor GetConfigForClient is set")

// ErrHandshakeTimeout is the cause when a TLS handshake took too long; errors.Is(err,
// os.ErrDeadlineExceeded) holds.
var ErrHandshakeTimeout = fmt.Errorf("tcp: TLS handshake: %w", os.ErrDeadlineExceeded)
