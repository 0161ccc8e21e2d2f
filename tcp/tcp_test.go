//go:build linux

package tcp_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// greet serves one connection by a word, and closes the listener.
func greet(l **connection.Listener) connection.Serve {
	return connection.Streams(&greeter{l}, connection.StreamConfig{})
}

type greeter struct{ listener **connection.Listener }

func (g *greeter) HandleData(_ *connection.Stream, data []byte) (int, error) { return len(data), nil }

func (g *greeter) HandleOpen(s *connection.Stream) error {
	(*g.listener).Close()
	_, err := io.WriteString(s, "welcome")
	s.Close()
	return err
}

// greeted dials and returns the word and the cause of the end.
func greeted(tb testing.TB, loop *communicator.Communicator, d tcp.Dialer) (c *client) {
	tb.Helper()
	c = &client{}
	if _, err := connection.DialStream(loop, d, c, connection.StreamConfig{}); err != nil {
		tb.Fatal(err)
	}
	return c
}

type client struct {
	open   func(*connection.Stream)
	got    string
	cause  error
	opened bool
	closed int
}

func (c *client) HandleOpen(s *connection.Stream) error {
	c.opened = true
	if c.open != nil {
		c.open(s)
	}
	return nil
}

func (c *client) HandleData(_ *connection.Stream, data []byte) (int, error) {
	c.got += string(data)
	return len(data), nil
}

func (c *client) HandleClose(_ *connection.Stream, cause error) {
	c.cause = cause
	c.closed++
}

func requireIPv6(tb testing.TB) {
	tb.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		tb.Skipf("this machine has no IPv6: %v", err)
	}
	_ = l.Close()
}

func TestListenErrors(t *testing.T) {
	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	for _, tt := range []struct {
		address string
		want    error
	}{
		{used.Addr().String(), syscall.EADDRINUSE},
		{"203.0.113.7:0", syscall.EADDRNOTAVAIL}, // of the block for documentation
		{"127.0.0.1", nil},
		{"127.0.0.1:99999", nil},
		{"127.0.0.1:nonsense", nil},
	} {
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		_, err := tcp.Listen(loop, tt.address, refuse, tcp.ListenConfig{})
		var opError *net.OpError
		if !errors.As(err, &opError) || opError.Op != "listen" || opError.Net != "tcp" {
			t.Errorf("%q: %v, want a *net.OpError of listen tcp", tt.address, err)
			continue
		}
		if tt.want != nil && (!errors.Is(err, tt.want) || opError.Addr == nil || opError.Addr.String() != tt.address) {
			t.Errorf("%q: %v, want %v with the address", tt.address, err, tt.want)
		}
	}
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	_ = loop.Close()
	if _, err := tcp.Listen(loop, "127.0.0.1:0", refuse, tcp.ListenConfig{}); !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("a loop that has ended: %v", err)
	}
}

func TestListenAgainAtOnce(t *testing.T) {
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	var l *connection.Listener
	l, err := tcp.Listen(loop, "127.0.0.1:0", greet(&l), tcp.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	greeted(t, loop, tcp.Dialer{Address: address})
	looptest.Run(t, loop) // the server closed first, so its side of the port is in TIME_WAIT
	loop = looptest.NewLogging(t, slog.DiscardHandler)
	if l, err = tcp.Listen(loop, address, greet(&l), tcp.ListenConfig{}); err != nil {
		t.Fatal(err)
	}
	l.Close()
	looptest.Run(t, loop)
}

// TestAddresses listens in one way and dials in another.
func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		listen, dial string // the host
		ipv6         bool
	}{
		{"127.0.0.1", "127.0.0.1", false},
		{"127.0.0.1", "localhost", false},
		{"localhost", "localhost", false},
		{"127.0.0.1", "", false},
		{"", "127.0.0.1", false},
		{"", "", false},
		{"", "::1", true},
		{"::1", "::1", true},
		{"::", "127.0.0.1", true},
		{"::ffff:127.0.0.1", "127.0.0.1", false},
		{"127.0.0.1", "::ffff:127.0.0.1", false},
		{"0.0.0.0", "127.0.0.1", false},
	} {
		t.Run(tt.listen+"_"+tt.dial, func(t *testing.T) {
			if tt.ipv6 {
				requireIPv6(t)
			}
			loop := looptest.NewLogging(t, slog.DiscardHandler)
			var l *connection.Listener
			l, err := tcp.Listen(loop, net.JoinHostPort(tt.listen, "0"), greet(&l), tcp.ListenConfig{})
			if err != nil {
				t.Fatal(err)
			}
			_, port, _ := net.SplitHostPort(l.Addr().String())
			if port == "0" {
				t.Errorf("the listener's address is %v", l.Addr())
			}
			c := greeted(t, loop, tcp.Dialer{Address: net.JoinHostPort(tt.dial, port)})
			c.open = func(s *connection.Stream) {
				remote := s.RemoteAddr().(*net.TCPAddr).AddrPort()
				if remote.Addr().Is4In6() || !remote.Addr().IsLoopback() || s.LocalAddr().(*net.TCPAddr).Port == 0 {
					t.Errorf("connected from %v to %v", s.LocalAddr(), remote)
				}
			}
			looptest.Run(t, loop)
			if c.got != "welcome" || c.cause != nil || !c.opened {
				t.Errorf("got %q, ended with %v", c.got, c.cause)
			}
		})
	}
}

// TestIPv6Only: an IPv6 address is none for IPv4.
func TestIPv6Only(t *testing.T) {
	requireIPv6(t)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	l, err := tcp.Listen(loop, "[::1]:0", refuse, tcp.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	also, err := tcp.Listen(loop, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String(), refuse, tcp.ListenConfig{})
	if err != nil {
		t.Skipf("the port is in use: %v", err)
	}
	also.Close()
	l.Close()
	looptest.Run(t, loop)
}

func TestDialErrors(t *testing.T) {
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	for _, address := range []string{"", "127.0.0.1", "127.0.0.1:1:2", "[::1"} {
		_, err := connection.DialStream(loop, tcp.Dialer{Address: address}, &client{}, connection.StreamConfig{})
		var opError *net.OpError
		if !errors.As(err, &opError) || opError.Op != "dial" {
			t.Errorf("%q: %v, want a *net.OpError of dial", address, err)
		}
	}
	for _, address := range []string{"127.0.0.1:nonsense", "127.0.0.1:99999", "127.0.0.1:-1", "host.invalid:1"} {
		c := greeted(t, loop, tcp.Dialer{Address: address, Resolver: unresolving(nil)})
		defer func() {
			var opError *net.OpError
			if !errors.As(c.cause, &opError) || opError.Op != "dial" || c.closed != 1 || c.opened {
				t.Errorf("%q: ended with %v, want a *net.OpError of dial", address, c.cause)
			}
		}()
	}
	looptest.Run(t, loop)
}

// unresolving is a resolver that can't reach its server; asked, if not nil, is told, and then waits for the end of the
// look-up.
func unresolving(asked chan<- bool) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		if asked != nil {
			select {
			case asked <- true:
			default:
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, errors.New("an error of the test")
	}}
}

// TestDialSeveralAddresses: localhost has an IPv6 and an IPv4 address on most machines; whichever is not
// listened on is passed over.
func TestDialSeveralAddresses(t *testing.T) {
	ips, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip", "localhost")
	if err != nil || len(ips) < 2 {
		t.Skipf("localhost is %v, %v: the test wants two addresses", ips, err)
	}
	for _, ip := range ips {
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		var l *connection.Listener
		l, err := tcp.Listen(loop, netip.AddrPortFrom(ip.Unmap(), 0).String(), greet(&l), tcp.ListenConfig{})
		if err != nil {
			t.Skip(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		c := greeted(t, loop, tcp.Dialer{Address: "localhost:" + port})
		looptest.Run(t, loop)
		if c.got != "welcome" || c.cause != nil {
			t.Errorf("%v: got %q, ended with %v", ip, c.got, c.cause)
		}
	}
}

func TestDialRefusedByName(t *testing.T) {
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	d := nowhere(t).(tcp.Dialer)
	_, port, _ := net.SplitHostPort(d.Address)
	c := greeted(t, loop, tcp.Dialer{Address: "localhost:" + port})
	looptest.Run(t, loop)
	if !errors.Is(c.cause, syscall.ECONNREFUSED) || !strings.Contains(c.cause.Error(), d.Address) {
		t.Errorf("ended with %v", c.cause)
	}
}

// TestCancelLookup ends a look-up under way, in each way that there is.
func TestCancelLookup(t *testing.T) {
	for name, end := range map[string]func(*connection.Stream){
		"close": (*connection.Stream).Close,
		"abort": func(s *connection.Stream) { s.Abort(nil) },
		"loop":  func(s *connection.Stream) { s.Loop().Stop(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			loop := looptest.NewLogging(t, slog.DiscardHandler)
			asked := make(chan bool, 1)
			c := &client{}
			s, err := connection.DialStream(loop, tcp.Dialer{Address: "host.invalid:1", Resolver: unresolving(asked)}, c, connection.StreamConfig{})
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				<-asked
				_ = loop.Post(func() { end(s) })
			}()
			looptest.Run(t, loop)
			if c.closed != 1 || c.opened || (c.cause != nil) != (name == "loop") {
				t.Errorf("ended %d times with %v", c.closed, c.cause)
			}
		})
	}
}

func TestLookupTimeout(t *testing.T) {
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	began := time.Now()
	c := greeted(t, loop, tcp.Dialer{Address: "host.invalid:1", Resolver: unresolving(make(chan bool)), Timeout: 30 * time.Millisecond})
	looptest.Run(t, loop)
	if !errors.Is(c.cause, connection.ErrDialTimeout) {
		t.Errorf("ended with %v, want %v", c.cause, connection.ErrDialTimeout)
	}
	if took := time.Since(began); took < 30*time.Millisecond {
		t.Errorf("gave up after %v", took)
	}
}

func TestDialerString(t *testing.T) {
	if got := (tcp.Dialer{Address: "localhost:4040"}).String(); got != "tcp localhost:4040" {
		t.Errorf("got %q", got)
	}
}

// refuse is a Serve for listeners to which nobody is meant to connect.
func refuse(_ connection.Loop, t connection.Transport) error { return t.Close() }
