//go:build linux

package netnstest_test

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/netnstest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

func TestWire(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	here, there := netnstest.Wire(t, 1400)
	for _, to := range []netip.Addr{there.IPv4.Addr(), there.IPv6.Addr()} {
		var server net.PacketConn
		var err error
		there.Do(func() { server, err = net.ListenPacket("udp", netip.AddrPortFrom(to, 0).String()) })
		if err != nil {
			t.Fatal(err)
		}
		client, err := net.Dial("udp", server.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Write([]byte("hello")); err != nil {
			t.Error(err)
		}
		_ = server.SetDeadline(time.Now().Add(20 * time.Second))
		buf := make([]byte, 10)
		n, from, err := server.ReadFrom(buf)
		if string(buf[:n]) != "hello" || err != nil || from.String() != client.LocalAddr().String() {
			t.Errorf("got %q from %v, %v", buf[:n], from, err)
		}
		_ = client.Close()
		_ = server.Close()
	}
	i, err := net.InterfaceByName(here.Interface)
	if err != nil || i.MTU != 1400 {
		t.Errorf("the interface is %v, %v", i, err)
	}
}

// TestSubtests have a network each.
func TestSubtests(t *testing.T) {
	for _, name := range []string{"a", "b c"} {
		t.Run(name, func(t *testing.T) {
			if !netnstest.Inside(t) {
				return
			}
			netnstest.Interface(t, "extra", 1300, netip.MustParsePrefix("198.51.100.1/24"))
			all, err := net.Interfaces()
			if err != nil || len(all) != 3 || os.Getenv("NETNSTEST") != t.Name() {
				t.Errorf("%d interfaces, %v", len(all), err)
			}
		})
	}
}
