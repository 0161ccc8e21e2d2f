//go:build linux

package receiver

import (
	"context"
	"net"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// dialRing connects to the listener of a ring. An error is of package net, and names the path.
func dialRing(ctx context.Context, path string) (net.Conn, error) {
	return shmconn.Dialer{Path: path}.DialConn(ctx)
}
