//go:build linux

package tcp

import (
	"fmt"
	"os"
)

// ErrHandshakeTimeout is the cause when a TLS handshake took too long; errors.Is(err,
// os.ErrDeadlineExceeded) holds.
var ErrHandshakeTimeout = fmt.Errorf("tcp: TLS handshake: %w", os.ErrDeadlineExceeded)
