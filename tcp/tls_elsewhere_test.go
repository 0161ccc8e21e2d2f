//go:build linux

package tcp_test

import (
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// TestServeTLS: listeners that package net has made, and those of Unix sockets, serve TLS too.
func TestServeTLS(t *testing.T) {
	listen := func(network string) func(*testing.T, connection.Loop, connection.Serve) (net.Addr, error) {
		return func(t *testing.T, loop connection.Loop, serve connection.Serve) (net.Addr, error) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "socket")
			}
			l, err := net.Listen(network, address)
			if err != nil {
				return nil, err
			}
			_, err = connection.ListenOn(loop, l, serve, connection.ListenConfig{})
			return l.Addr(), err
		}
	}
	for name, listen := range map[string]func(*testing.T, connection.Loop, connection.Serve) (net.Addr, error){
		"net, tcp":  listen("tcp"),
		"net, unix": listen("unix"),
		"unixsock": func(t *testing.T, loop connection.Loop, serve connection.Serve) (net.Addr, error) {
			l, err := unixsock.Listen(loop, filepath.Join(t.TempDir(), "socket"), serve, unixsock.ListenConfig{})
			if err != nil {
				return nil, err
			}
			return l.Addr(), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := turn(t, communicator.Config{})
			authority := tlstest.NewAuthority(t)
			failures := make(chan error, 1)
			shakes := tcp.NewHandshakes(tcp.HandshakeConfig{Failed: func(_ net.Addr, err error) { failures <- err }})
			streams := make(chan *connection.Stream, 1)
			config := &tls.Config{Certificates: []tls.Certificate{authority.Issue(t, "here")}}
			serve := tcp.ServeTLS(config, func(loop connection.Loop, tr connection.Transport) error {
				s, err := connection.NewStream(loop, tr, connection.DataFunc(echoBack), connection.StreamConfig{})
				streams <- s
				return err
			}, shakes)
			var address net.Addr
			r.do(func() {
				var err error
				if address, err = listen(t, r.loop, serve); err != nil {
					t.Error(err)
				}
			})
			if t.Failed() {
				t.FailNow()
			}
			connect := func(config *tls.Config) (*tls.Conn, error) {
				raw, err := net.Dial(address.Network(), address.String())
				if err != nil {
					return nil, err
				}
				t.Cleanup(func() { _ = raw.Close() })
				_ = raw.SetDeadline(time.Now().Add(looptest.Patience))
				conn := tls.Client(raw, config)
				return conn, conn.Handshake()
			}
			conn, err := connect(&tls.Config{RootCAs: authority.Pool(), ServerName: "here"})
			if err != nil {
				t.Fatal(err)
			}
			echoes(t, conn)
			s := looptest.Await(t, streams, "the stream")
			r.do(func() {
				c := s.Transport().(*tcp.TLSConn)
				state := c.ConnectionState()
				if !state.HandshakeComplete || state.ServerName != "here" || state.CipherSuite == 0 {
					t.Errorf("the state is %+v", state)
				}
				peer := conn.LocalAddr().String()
				if address.Network() == "unix" {
					peer = "" // it has no name
				}
				if c.FD() < 0 || s.LocalAddr().String() != address.String() || s.RemoteAddr().String() != peer {
					t.Errorf("descriptor %d, addresses %v and %v", c.FD(), s.LocalAddr(), s.RemoteAddr())
				}
			})

			if _, err := connect(&tls.Config{ServerName: "here"}); err == nil {
				t.Error("not verified")
			}
			failure := looptest.Await(t, failures, "the failure")
			if want := "handshake " + address.Network() + " "; !strings.HasPrefix(failure.Error(), want) || strings.Contains(failure.Error(), "<nil>") {
				t.Errorf("the failure is %v, want %q before it", failure, want)
			}
			r.do(func() {
				if shakes.Done() != 1 || shakes.Failed() != 1 {
					t.Errorf("%d done and %d failed, want 1 and 1", shakes.Done(), shakes.Failed())
				}
			})
		})
	}
}

var errTurnedDown = errors.New("turned down")

// TestServeFails: what serve turns down is closed by serve, and logged; a nil Serve is a mistake that is found at once.
func TestServeFails(t *testing.T) {
	r := serveTLS(t, service{serve: func(_ connection.Loop, tr connection.Transport) error {
		_ = tr.Close()
		return errTurnedDown
	}})
	conn, err := tryPeer(t, r.address, r.client())
	if err != nil {
		t.Fatal(err)
	}
	isOver(t, conn)
	r.do(func() {
		if found := r.log.Containing("a connection was not served"); len(found) != 1 || !strings.Contains(found[0], errTurnedDown.Error()) {
			t.Errorf("logged %q", r.log.Records())
		}
	})
	defer func() {
		if recover() == nil {
			t.Error("ServeTLS takes a nil Serve")
		}
	}()
	tcp.ServeTLS(&tls.Config{}, nil, nil)
}

// TestNoCertificate: a listener without a certificate would refuse everybody; a server whose function has
// none tells of it at each connection.
func TestNoCertificate(t *testing.T) {
	loop, _ := looptest.New(t)
	_, err := tcp.Listen(loop, "127.0.0.1:0", into(connection.DataFunc(echoBack), connection.StreamConfig{}), tcp.ListenConfig{TLS: &tls.Config{}})
	var opError *net.OpError
	if !errors.Is(err, tcp.ErrNoCertificate) || !errors.As(err, &opError) {
		t.Errorf("Listen: %v", err)
	}
	r := serveTLS(t, service{config: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }}})
	if _, err := tryPeer(t, r.address, r.client()); err == nil {
		t.Error("connected")
	}
	if err := r.failure(); !strings.Contains(err.Error(), "certificate") {
		t.Errorf("the failure is %v", err)
	}
}

// TestMaxConnectionsWithTLS: a connection counts while it is being secured, and until it is closed.
func TestMaxConnectionsWithTLS(t *testing.T) {
	r := turn(t, communicator.Config{})
	authority := tlstest.NewAuthority(t)
	var l *connection.Listener
	r.do(func() {
		var err error
		l, err = tcp.Listen(r.loop, "127.0.0.1:0", into(connection.DataFunc(echoBack), connection.StreamConfig{}), tcp.ListenConfig{
			TLS:        &tls.Config{Certificates: []tls.Certificate{authority.Issue(t, "here")}},
			Listener:   connection.ListenConfig{MaxConnections: 2},
			Handshakes: tcp.NewHandshakes(tcp.HandshakeConfig{Failed: func(net.Addr, error) {}}),
		})
		if err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	config := &tls.Config{RootCAs: authority.Pool(), ServerName: "here"}
	address := l.Addr().String()
	silent := plain(t, address)
	good := peerOf(t, address, config)
	r.until("both", func() bool { return l.Open() == 2 })
	waits := plain(t, address)
	conn := tls.Client(waits, config)
	shaken := make(chan error, 1)
	go func() { shaken <- conn.Handshake() }()
	r.until("the limit", func() bool { return l.Waits() > 0 })
	_ = silent.Close()
	if err := looptest.Await(t, shaken, "the one that waited"); err != nil {
		t.Error(err)
	}
	echoes(t, conn)
	echoes(t, good)
	_, _ = conn.Close(), good.Close()
	r.until("the end of all", func() bool { return l.Open() == 0 })
}
