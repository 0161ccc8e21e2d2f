//go:build linux

package tcp_test

import (
	"errors"
	"log/slog"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// TestListenWithoutHostInUse: where another has the port for IPv6, listening on all addresses fails,
// rather than listening on those of IPv4 alone, unseen by anybody.
func TestListenWithoutHostInUse(t *testing.T) {
	requireIPv6(t)
	fdtest.Check(t)
	for name, host := range map[string]string{"all": "[::]:0", "loopback": "[::1]:0"} {
		taken, err := net.Listen("tcp6", host) // it leaves IPv4 alone
		if err != nil {
			t.Skipf("%s: %v", name, err)
		}
		_, port, _ := net.SplitHostPort(taken.Addr().String())
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		l, err := tcp.Listen(loop, ":"+port, refuse, tcp.ListenConfig{})
		if err == nil {
			t.Errorf("%s: listens at %v beside another", name, l.Addr())
			_ = taken.Close()
			continue
		}
		var opError *net.OpError
		if !errors.Is(err, syscall.EADDRINUSE) || !errors.As(err, &opError) || opError.Op != "listen" || opError.Addr.String() != ":"+port {
			t.Errorf("%s: %v, want a *net.OpError of listen with EADDRINUSE and :%s", name, err, port)
		}
		_ = taken.Close()
	}
}

// TestAcceptedNoDelay: small writes are not held back, unless that is asked for, on whichever
// addresses the listener listens.
func TestAcceptedNoDelay(t *testing.T) {
	fdtest.Check(t)
	for _, address := range []string{":0", "127.0.0.1:0"} {
		for _, delay := range []bool{false, true} {
			loop := looptest.NewLogging(t, slog.DiscardHandler)
			noDelay := -1
			var l *connection.Listener
			l, err := tcp.Listen(loop, address, func(_ connection.Loop, transport connection.Transport) (err error) {
				l.Close()
				noDelay, err = unix.GetsockoptInt(transport.FD(), unix.IPPROTO_TCP, unix.TCP_NODELAY)
				return errors.Join(err, transport.Close())
			}, tcp.ListenConfig{Options: tcp.Options{Delay: delay}})
			if err != nil {
				t.Fatal(err)
			}
			_, port, _ := net.SplitHostPort(l.Addr().String())
			greeted(t, loop, tcp.Dialer{Address: "127.0.0.1:" + port})
			looptest.Run(t, loop)
			if on := noDelay != 0; noDelay < 0 || on == delay {
				t.Errorf("%s, Delay %v: TCP_NODELAY is %d", address, delay, noDelay)
			}
		}
	}
}
