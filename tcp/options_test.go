//go:build linux

package tcp_test

import (
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// option is what getsockopt has to say.
type option struct {
	level, name, want int
}

// look compares options of a socket.
func look(tb testing.TB, side string, fd int, options []option) {
	tb.Helper()
	for _, o := range options {
		var n int
		var err error
		if o.level == unix.SOL_SOCKET && o.name == unix.SO_LINGER {
			n, err = linger(fd)
		} else {
			n, err = unix.GetsockoptInt(fd, o.level, o.name)
		}
		if o.want == on && n != 0 {
			n = on // the kernel tells a switch as any number
		}
		if n != o.want || err != nil {
			tb.Errorf("%s: option %d of level %d is %d, %v, want %d", side, o.name, o.level, n, err, o.want)
		}
	}
}

const (
	on  = 1
	off = 0
)

// linger is 1 if close resets the connection, 0 if the kernel goes on sending, -1 for anything else.
func linger(fd int) (int, error) {
	l, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER)
	switch {
	case err != nil || l.Onoff != 0 && l.Linger != 0:
		return -1, err
	case l.Onoff != 0:
		return on, nil
	}
	return off, nil
}

// pair connects within one loop and looks at both sides.
func pair(tb testing.TB, options tcp.Options, check func(side string, fd int)) {
	tb.Helper()
	loop := looptest.NewLogging(tb, slog.DiscardHandler)
	var l *connection.Listener
	l, err := tcp.Listen(loop, "127.0.0.1:0", func(loop connection.Loop, transport connection.Transport) error {
		l.Close()
		check("accepted", transport.FD())
		_, err := connection.NewStream(loop, transport, &client{}, connection.StreamConfig{})
		return err
	}, tcp.ListenConfig{Options: options})
	if err != nil {
		tb.Fatal(err)
	}
	check("listening", loop.Sources()[0].FD)
	c := &client{open: func(s *connection.Stream) {
		check("dialled", s.Transport().FD())
		s.Close()
	}}
	if _, err := connection.DialStream(loop, tcp.Dialer{Address: l.Addr().String(), Options: options}, c, connection.StreamConfig{}); err != nil {
		tb.Fatal(err)
	}
	looptest.Run(tb, loop)
	if !c.opened || l.Accepted() != 1 {
		tb.Errorf("connected %v, accepted %d: %v", c.opened, l.Accepted(), c.cause)
	}
}

// TestOptions: what the kernel was told, on the listening socket, on the accepted one that inherits from it, and on
// the dialled one.
func TestOptions(t *testing.T) {
	const size = 50_000
	keepAlive := func(idle, interval, count int) []option {
		return []option{
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, on}, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, idle},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, interval}, {unix.IPPROTO_TCP, unix.TCP_KEEPCNT, count},
		}
	}
	for name, tt := range map[string]struct {
		options tcp.Options
		want    []option
	}{
		"defaults": {tcp.Options{}, append(keepAlive(15, 15, 9),
			option{unix.IPPROTO_TCP, unix.TCP_NODELAY, on}, option{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0}, option{unix.SOL_SOCKET, unix.SO_LINGER, off})},
		"delay":             {tcp.Options{Delay: true}, []option{{unix.IPPROTO_TCP, unix.TCP_NODELAY, off}}},
		"keep-alive":        {tcp.Options{KeepAlive: tcp.KeepAlive{Idle: time.Hour, Interval: time.Minute, Count: 3}}, keepAlive(3600, 60, 3)},
		"keep-alive partly": {tcp.Options{KeepAlive: tcp.KeepAlive{Interval: time.Nanosecond}}, keepAlive(15, 1, 9)},
		"keep-alive most":   {tcp.Options{KeepAlive: tcp.KeepAlive{Idle: 32767 * time.Second, Interval: 32766*time.Second + 1, Count: 127}}, keepAlive(32767, 32767, 127)},
		"keep-alive off":    {tcp.Options{KeepAlive: tcp.KeepAlive{Off: true, Idle: time.Second}}, []option{{unix.SOL_SOCKET, unix.SO_KEEPALIVE, off}}},
		"user timeout":      {tcp.Options{UserTimeout: 1200 * time.Microsecond}, []option{{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 2}}},
		"user timeout most": {tcp.Options{UserTimeout: math.MaxInt64}, []option{{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, math.MaxInt32}}},
		"reset":             {tcp.Options{ResetOnClose: true}, []option{{unix.SOL_SOCKET, unix.SO_LINGER, on}}},
		"buffers": {tcp.Options{SendBuffer: size, ReceiveBuffer: size}, []option{
			{unix.SOL_SOCKET, unix.SO_SNDBUF, 2 * size}, {unix.SOL_SOCKET, unix.SO_RCVBUF, 2 * size},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			fdtest.Check(t)
			pair(t, tt.options, func(side string, fd int) { look(t, side, fd, tt.want) })
		})
	}
}

// TestBuffersMost: what is beyond the kernel's limits is cut by it, never to something small.
func TestBuffersMost(t *testing.T) {
	pair(t, tcp.Options{SendBuffer: math.MaxInt64, ReceiveBuffer: 1 << 32}, func(side string, fd int) {
		for _, name := range []int{unix.SO_SNDBUF, unix.SO_RCVBUF} {
			if n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, name); n < 100_000 || err != nil {
				t.Errorf("%s: buffer %d has %d bytes, %v", side, name, n, err)
			}
		}
	})
}

// TestOptionsRefused: what the kernel doesn't take is an error, not another value.
func TestOptionsRefused(t *testing.T) {
	fdtest.Check(t)
	for _, options := range []tcp.Options{
		{KeepAlive: tcp.KeepAlive{Idle: 32768 * time.Second}},
		{KeepAlive: tcp.KeepAlive{Interval: math.MaxInt64}},
		{KeepAlive: tcp.KeepAlive{Count: 128}},
		{KeepAlive: tcp.KeepAlive{Count: 1 << 32}},
	} {
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		_, err := tcp.Listen(loop, "127.0.0.1:0", refuse, tcp.ListenConfig{Options: options})
		var opError *net.OpError
		if !errors.Is(err, syscall.EINVAL) || !errors.As(err, &opError) || opError.Op != "listen" {
			t.Errorf("%+v: Listen: %v, want a *net.OpError with EINVAL", options, err)
		}
		d := nowhere(t).(tcp.Dialer)
		d.Options = options
		c := greeted(t, loop, d)
		looptest.Run(t, loop)
		if !errors.Is(c.cause, syscall.EINVAL) || !strings.Contains(c.cause.Error(), d.Address) {
			t.Errorf("%+v: dial: %v, want EINVAL with the address", options, c.cause)
		}
	}
}

// TestResetOnClose: the peer learns of the end by a reset.
func TestResetOnClose(t *testing.T) {
	fdtest.Check(t)
	for _, reset := range []bool{false, true} {
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		var l *connection.Listener
		l, err := tcp.Listen(loop, "127.0.0.1:0", func(_ connection.Loop, transport connection.Transport) error {
			l.Close()
			return transport.Close()
		}, tcp.ListenConfig{Options: tcp.Options{ResetOnClose: reset}})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		looptest.Run(t, loop)
		_ = conn.SetDeadline(time.Now().Add(looptest.Patience))
		want := io.EOF
		if reset {
			want = syscall.ECONNRESET
		}
		if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, want) {
			t.Errorf("ResetOnClose %v: read %d, %v, want %v", reset, n, err, want)
		}
		_ = conn.Close()
	}
}

func TestUnknownNetwork(t *testing.T) {
	for _, network := range []string{"udp", "tcp5", "TCP", "ip"} {
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		options := tcp.Options{Network: network}
		_, listenErr := tcp.Listen(loop, "127.0.0.1:0", refuse, tcp.ListenConfig{Options: options})
		_, dialErr := connection.DialStream(loop, tcp.Dialer{Address: "127.0.0.1:1", Options: options}, &client{}, connection.StreamConfig{})
		for op, err := range map[string]error{"listen": listenErr, "dial": dialErr} {
			var opError *net.OpError
			var unknown net.UnknownNetworkError
			if !errors.As(err, &opError) || opError.Op != op || !errors.As(err, &unknown) || string(unknown) != network {
				t.Errorf("%s %q: %v", op, network, err)
			}
		}
	}
}
