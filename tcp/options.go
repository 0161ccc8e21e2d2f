//go:build linux

package tcp

import (
	"errors"
	"math"
	"net"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// The keep-alive probes that a KeepAlive's zero values stand for; they are those of package net. A
// peer that has vanished is noticed after 150 s.
const (
	DefaultKeepAliveIdle     = 15 * time.Second
	DefaultKeepAliveInterval = 15 * time.Second
	DefaultKeepAliveCount    = 9
)

// Options are what listening and dialling have in common: the options of each connection. The zero
// value is right for most. Accepted connections have those of the socket that listens for them, so
// they cost no system call.
type Options struct {
	// Network is the family of addresses that is used: "tcp4", "tcp6", or "tcp" for both. Empty: "tcp".
	Network string
	// Delay lets the kernel hold back small writes (Nagle's algorithm, TCP_NODELAY off). It is off by
	// default, as in package net.
	Delay bool
	// KeepAlive says how a peer that has vanished is noticed while nothing is sent. Its zero value has
	// the kernel ask for it, as package net does.
	KeepAlive KeepAlive
	// UserTimeout is how long what was sent may wait for the peer to acknowledge it, or for room on its
	// side, before the connection ends with ETIMEDOUT (TCP_USER_TIMEOUT, RFC 5482). It is rounded up to
	// milliseconds; more than 24 days is taken for that. With it keep-alive ends a connection at the first
	// unanswered probe after this time, whatever KeepAlive.Count says. Zero: the kernel tries again
	// net.ipv4.tcp_retries2 times, which takes about a quarter of an hour.
	UserTimeout time.Duration
	// ResetOnClose throws away what the kernel has not sent yet when the connection is closed, and resets
	// it (RST), unless both sides had ended it before: SO_LINGER with a time of 0. The peer's next call
	// fails with ECONNRESET, and no TIME_WAIT keeps the port. Other times of SO_LINGER can't be set:
	// they make close(2) block the loop; connection.StreamConfig.CloseTimeout is for that.
	ResetOnClose bool
	// SendBuffer and ReceiveBuffer are the sizes in bytes of the kernel's buffers for each connection,
	// which the kernel doubles and bounds (net.core.wmem_max, rmem_max). Zero: the kernel adapts them
	// (net.ipv4.tcp_wmem, tcp_rmem). A ReceiveBuffer that is smaller than a segment, 64 KiB on the
	// loopback interface, makes a transfer crawl from timer to timer.
	SendBuffer, ReceiveBuffer int
}

// KeepAlive says how the kernel asks a peer from which nothing comes whether it is still there. Without
// an answer the connection ends with ETIMEDOUT. Times are rounded up to seconds; beyond the kernel's
// limits Listen, or the dial, fails with EINVAL.
type KeepAlive struct {
	// Off switches it off: a connection on which nothing is sent lives on without its peer. The other
	// fields mean nothing then.
	Off bool
	// Idle is how long nothing comes before the first probe (TCP_KEEPIDLE), 32767 s at most. Zero:
	// DefaultKeepAliveIdle.
	Idle time.Duration
	// Interval is the time between two probes (TCP_KEEPINTVL), 32767 s at most. Zero:
	// DefaultKeepAliveInterval.
	Interval time.Duration
	// Count is how many probes stay without an answer before the connection ends (TCP_KEEPCNT), 127 at
	// most. Zero: DefaultKeepAliveCount.
	Count int
}

// network is Network with its default, or an error.
func (o *Options) network() (string, error) {
	switch o.Network {
	case "":
		return "tcp", nil
	case "tcp", "tcp4", "tcp6":
		return o.Network, nil
	}
	return o.Network, net.UnknownNetworkError(o.Network)
}

// setup sets the options of a socket.
func (o *Options) setup(fd int) error {
	var errs []error
	if !o.Delay {
		errs = append(errs, sys.SetOption(fd, sys.NoDelay, 1))
	}
	if o.UserTimeout > 0 {
		errs = append(errs, sys.SetDuration(fd, sys.UserTimeout, o.UserTimeout, time.Millisecond))
	}
	if o.ResetOnClose {
		errs = append(errs, sys.ResetOnClose(fd))
	}
	if o.SendBuffer > 0 {
		errs = append(errs, sys.SetOption(fd, sys.SendBuffer, min(o.SendBuffer, math.MaxInt32)))
	}
	if o.ReceiveBuffer > 0 {
		errs = append(errs, sys.SetOption(fd, sys.ReceiveBuffer, min(o.ReceiveBuffer, math.MaxInt32)))
	}
	return errors.Join(append(errs, o.KeepAlive.setup(fd))...)
}

func (k KeepAlive) setup(fd int) error {
	if k.Off {
		return nil // as every socket is made
	}
	if k.Idle <= 0 {
		k.Idle = DefaultKeepAliveIdle
	}
	if k.Interval <= 0 {
		k.Interval = DefaultKeepAliveInterval
	}
	if k.Count <= 0 {
		k.Count = DefaultKeepAliveCount
	}
	return errors.Join(
		sys.SetOption(fd, sys.KeepAlive, 1),
		sys.SetDuration(fd, sys.KeepIdle, k.Idle, time.Second),
		sys.SetDuration(fd, sys.KeepInterval, k.Interval, time.Second),
		sys.SetOption(fd, sys.KeepCount, min(k.Count, math.MaxInt32)),
	)
}
