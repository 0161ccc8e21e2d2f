//go:build linux

package tcp_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/conntest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// TestTLSConnections runs the suite of all stream transports over each version of TLS.
func TestTLSConnections(t *testing.T) {
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			authority := tlstest.NewAuthority(t)
			server := &tls.Config{Certificates: []tls.Certificate{authority.Issue(t, "127.0.0.1")}, MinVersion: version, MaxVersion: version}
			client := &tls.Config{RootCAs: authority.Pool(), MinVersion: version, MaxVersion: version}
			conntest.Run(t, conntest.Env{
				Listen: func(tb testing.TB, loop connection.Loop, serve connection.Serve, small bool) conntest.Endpoint {
					return listenTLS(tb, loop, serve, small, server, client)
				},
				Nowhere: func(tb testing.TB) connection.Dialer {
					d := nowhere(tb).(tcp.Dialer)
					d.TLS = client
					return d
				},
				Stuck: func(tb testing.TB, timeout time.Duration) connection.Dialer {
					d := stuck(tb, timeout).(tcp.Dialer)
					d.TLS = client
					return d
				},
				Late:        "the handshake comes first",
				Allocations: 10,      // crypto/tls's, on both sides
				IdleBytes:   200_000, // crypto/tls keeps the memory of the largest record, on both sides
			})
		})
	}
}

func listenTLS(tb testing.TB, loop connection.Loop, serve connection.Serve, small bool, server, client *tls.Config) conntest.Endpoint {
	tb.Helper()
	config, dialer := tcp.ListenConfig{TLS: server}, tcp.Dialer{TLS: client}
	if small {
		config.SendBuffer, config.ReceiveBuffer = smallBuffer, smallBuffer
		dialer.SendBuffer, dialer.ReceiveBuffer = smallBuffer, smallBuffer
	}
	l, err := tcp.Listen(loop, "127.0.0.1:0", serve, config)
	if err != nil {
		tb.Fatal(err)
	}
	dialer.Address = l.Addr().String()
	return conntest.Endpoint{Listener: l, Dialer: dialer, Peer: func() (net.Conn, error) {
		raw, err := net.Dial("tcp", dialer.Address)
		if err != nil {
			return nil, err
		}
		if small {
			_ = raw.(*net.TCPConn).SetReadBuffer(smallBuffer)
			_ = raw.(*net.TCPConn).SetWriteBuffer(smallBuffer)
		}
		config := client.Clone()
		config.ServerName = "127.0.0.1"
		return &tlsPeer{Conn: tls.Client(raw, config), raw: raw.(*net.TCPConn)}, nil
	}}
}

// tlsPeer is a blocking peer.
type tlsPeer struct {
	*tls.Conn
	raw    *net.TCPConn
	resets bool
}

// SetLinger lets the end of the connection be a reset.
func (p *tlsPeer) SetLinger(sec int) error {
	p.resets = true
	return p.raw.SetLinger(sec)
}

// Close of a connection that is reset sends no close_notify.
func (p *tlsPeer) Close() error {
	if p.resets {
		return p.raw.Close()
	}
	return p.Conn.Close()
}
