//go:build linux

package fifo

import "github.com/eventdispatcher-go/eventdispatcher/connection"

// Open opens what a Dial would, at once.
func (d Dialer) Open() (connection.Transport, error) { return d.open() }
