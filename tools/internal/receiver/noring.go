//go:build !linux

package receiver

import (
	"context"
	"errors"
	"net"
)

// dialRing fails: rings are made of what only Linux has.
func dialRing(_ context.Context, path string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: Shm, Addr: &net.UnixAddr{Name: path, Net: Shm}, Err: errors.ErrUnsupported}
}
