//go:build linux

package tcp_test

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/netnstest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// TestDialUnreachable: a network to which there is no route is an error at once, a host that doesn't
// answer one when the time is over; the loop goes on meanwhile.
func TestDialUnreachable(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	here, _ := netnstest.Wire(t, 1500)
	nobody := here.IPv4.Addr() // in the same network, and not there
	for range 9 {
		nobody = nobody.Next()
	}
	loop, _ := looptest.New(t)
	began := time.Now()
	const limit = 100 * time.Millisecond
	away := greeted(t, loop, tcp.Dialer{Address: "203.0.113.1:1"})
	silent := greeted(t, loop, tcp.Dialer{Address: netip.AddrPortFrom(nobody, 1).String(), Timeout: limit})
	looptest.Run(t, loop)
	if !errors.Is(away.cause, syscall.ENETUNREACH) {
		t.Errorf("without a route: ended with %v", away.cause)
	}
	if !errors.Is(silent.cause, connection.ErrDialTimeout) || time.Since(began) < limit {
		t.Errorf("without an answer: ended with %v after %v", silent.cause, time.Since(began))
	}
}

// TestBetweenHosts: a connection to another host, over IPv4 and IPv6, with an address of our own choice.
func TestBetweenHosts(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	here, there := netnstest.Wire(t, 1500)
	for _, addrs := range [][2]netip.Addr{{here.IPv4.Addr(), there.IPv4.Addr()}, {here.IPv6.Addr(), there.IPv6.Addr()}} {
		loop, _ := looptest.New(t)
		var l *connection.Listener
		var err error
		there.Do(func() {
			l, err = tcp.Listen(loop, netip.AddrPortFrom(addrs[1], 0).String(), greet(&l), tcp.ListenConfig{})
		})
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		c := greeted(t, loop, tcp.Dialer{Address: address, Local: netip.AddrPortFrom(addrs[0], 0)})
		var local net.Addr
		c.open = func(s *connection.Stream) { local = s.LocalAddr() }
		looptest.Run(t, loop)
		if c.got != "welcome" || c.cause != nil {
			t.Errorf("%s: got %q, ended with %v", address, c.got, c.cause)
		}
		if host, _, _ := net.SplitHostPort(local.String()); host != addrs[0].String() {
			t.Errorf("%s: connected from %v", address, local)
		}
	}
}
