//go:build linux

package udp_test

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/udp"
)

// unreachable is a packet of ICMP, or ICMPv6, about a datagram that was sent from one address to another.
func unreachable(code byte, from, to netip.AddrPort) []byte {
	ports := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, from.Port()), to.Port())
	header := append(ports, 0, 8, 0, 0)
	if from.Addr().Is6() {
		inner := append([]byte{0x60, 0, 0, 0, 0, 8, unix.IPPROTO_UDP, 64}, from.Addr().AsSlice()...)
		inner = append(append(inner, to.Addr().AsSlice()...), header...)
		return append([]byte{1, code, 0, 0, 0, 0, 0, 0}, inner...) // the kernel adds the checksum
	}
	inner := append([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0}, from.Addr().AsSlice()...)
	inner = append(append(inner, to.Addr().AsSlice()...), header...)
	packet := append([]byte{3, code, 0, 0, 0, 0, 0, 0}, inner...)
	var sum uint32
	for i := 0; i < len(packet); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(packet[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(packet[2:], ^uint16(sum))
	return packet
}

// TestForgedICMP: what anybody can say of a peer doesn't close the socket that is connected to it.
func TestForgedICMP(t *testing.T) {
	for _, tt := range []struct {
		address, network string
		reports          []report
	}{
		{"127.0.0.1", "ip4:icmp", []report{{2, syscall.ENOPROTOOPT}, {3, syscall.ECONNREFUSED}, {8, syscall.ENONET}}},
		{"::1", "ip6:ipv6-icmp", []report{{1, syscall.EACCES}, {4, syscall.ECONNREFUSED}, {5, syscall.EACCES}}},
	} {
		t.Run(tt.address, func(t *testing.T) {
			fdtest.Check(t)
			raw, err := net.Dial(tt.network, tt.address)
			if err != nil {
				t.Skip("no raw sockets:", err)
			}
			defer raw.Close()
			loop := looptest.NewLogging(t, slog.DiscardHandler)
			other, err := net.ListenPacket("udp", net.JoinHostPort(tt.address, "0"))
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			to := other.LocalAddr().(*net.UDPAddr).AddrPort()
			var from netip.AddrPort
			send := func(code byte) {
				if _, err := raw.Write(unreachable(code, from, to)); err != nil {
					t.Fatal(err)
				}
			}
			told := 0
			d, err := udp.Connect(loop, to.String(), connection.DatagramFunc(nil), udp.ConnectConfig{Datagram: connection.DatagramConfig{
				Failed: func(d *connection.Datagram, err error) {
					if want := tt.reports[told].want; !errors.Is(err, want) {
						t.Errorf("told of %v, want %v", err, want)
					}
					if told++; told < len(tt.reports) {
						send(tt.reports[told].code)
					} else {
						d.Close()
					}
				},
				Closed: func(_ *connection.Datagram, cause error) {
					if cause != nil {
						t.Errorf("closed with %v", cause)
					}
				},
			}})
			if err != nil {
				t.Fatal(err)
			}
			from = d.Addr().(*net.UDPAddr).AddrPort()
			send(tt.reports[0].code)
			looptest.Run(t, loop)
			if told != len(tt.reports) || d.Failed() != uint64(told) {
				t.Errorf("told of %d, %d counted", told, d.Failed())
			}
		})
	}
}

// report is a code of ICMP and what the kernel makes of it.
type report struct {
	code byte
	want error
}

// TestWrongZone: a zone that names no interface is an error of its own.
func TestWrongZone(t *testing.T) {
	fdtest.Check(t)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	_, listen := udp.Listen(loop, "[fe80::1%nowhere]:0", once, udp.ListenConfig{})
	_, connect := udp.Connect(loop, "[fe80::1%nowhere]:99", once, udp.ConnectConfig{})
	_, local := udp.Connect(loop, "[::1]:99", once, udp.ConnectConfig{Local: netip.MustParseAddrPort("[fe80::1%nowhere]:0")})
	_, mtu := udp.PathMTU(netip.MustParseAddrPort("[fe80::1%nowhere]:99"))
	for name, err := range map[string]error{"Listen": listen, "Connect": connect, "Local": local, "PathMTU": mtu} {
		var addrError *net.AddrError
		var opError *net.OpError
		if !errors.As(err, &addrError) || addrError.Addr != "nowhere" || !errors.As(err, &opError) {
			t.Errorf("%s: %v, want a *net.AddrError", name, err)
		}
	}
}
