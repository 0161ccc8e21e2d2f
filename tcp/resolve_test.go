//go:build linux

package tcp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// resolving is a resolver for which every name has these addresses.
func resolving(addrs ...string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return &nameServer{addrs: addrs}, nil
	}}
}

// nameServer is a connection to a server of names that answers at once: RFC 1035, in as much as the resolver of
// package net asks for it. It is no net.PacketConn, so each message has its length in front.
type nameServer struct {
	net.Conn
	addrs []string
	mu    sync.Mutex
	reply []byte
}

func (n *nameServer) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	query := p[2:]
	end := 12 // of the question
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	kind := binary.BigEndian.Uint16(query[end+1:])
	end += 5
	message := append([]byte{}, query[:end]...)
	message[2], message[3] = 0x84, 0x80 // an answer, of who knows
	answers := uint16(0)
	for _, text := range n.addrs {
		addr := netip.MustParseAddr(text)
		if addr.Is4() != (kind == 1) || addr.Is6() != (kind == 28) {
			continue
		}
		answers++
		message = append(message, 0xc0, 12) // the name asked for
		message = binary.BigEndian.AppendUint16(message, kind)
		message = append(message, 0, 1, 0, 0, 0, 60)
		message = binary.BigEndian.AppendUint16(message, uint16(addr.BitLen()/8))
		message = append(message, addr.AsSlice()...)
	}
	binary.BigEndian.PutUint16(message[6:], answers)
	clear(message[8:12])
	n.reply = append(binary.BigEndian.AppendUint16(n.reply, uint16(len(message))), message...)
	return len(p), nil
}

func (n *nameServer) Read(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := copy(p, n.reply)
	n.reply = n.reply[k:]
	return k, nil
}

func (n *nameServer) Close() error                { return nil }
func (n *nameServer) SetDeadline(time.Time) error { return nil }

// TestDialAddressesOfAName: all are tried, and the families take turns.
func TestDialAddressesOfAName(t *testing.T) {
	requireIPv6(t)
	fdtest.Check(t)
	_, port, _ := net.SplitHostPort(nowhere(t).(tcp.Dialer).Address)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	c := greeted(t, loop, tcp.Dialer{
		Address:      "several.test.:" + port,
		Resolver:     resolving("127.0.0.2", "::1", "127.0.0.1", "127.0.0.3", "::"),
		AttemptDelay: time.Hour,
	})
	looptest.Run(t, loop)
	addrs := dialled(c.cause)
	if len(addrs) != 5 || !errors.Is(c.cause, syscall.ECONNREFUSED) {
		t.Fatalf("dialled %v: %v", addrs, c.cause)
	}
	for i, addr := range addrs[:4] {
		if addr.Addr().Is4() != (addrs[i%2].Addr().Is4()) || addrs[0].Addr().Is4() == addrs[1].Addr().Is4() {
			t.Errorf("dialled %v, want the families in turns", addrs)
			break
		}
	}
	if !addrs[4].Addr().Is4() {
		t.Errorf("dialled %v, want the one that is left at the end", addrs)
	}
}

// TestDialPastABlackHole: an address of a name that doesn't answer costs AttemptDelay, no more.
func TestDialPastABlackHole(t *testing.T) {
	silent := stuck(t, 0).(tcp.Dialer).Address // on 127.0.0.1
	_, port, _ := net.SplitHostPort(silent)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	var l *connection.Listener
	l, err := tcp.Listen(loop, "127.0.0.2:"+port, greet(&l), tcp.ListenConfig{})
	if errors.Is(err, syscall.EADDRINUSE) {
		t.Skip("somebody else has the port")
	}
	if err != nil {
		t.Fatal(err)
	}
	const delay = 20 * time.Millisecond
	began := time.Now()
	c := greeted(t, loop, tcp.Dialer{Address: "several.test.:" + port, Resolver: resolving("127.0.0.1", "127.0.0.2"), AttemptDelay: delay})
	var took time.Duration
	c.open = func(s *connection.Stream) {
		took = time.Since(began)
		if want := "127.0.0.2:" + port; s.RemoteAddr().String() != want {
			t.Errorf("connected to %v, want %s", s.RemoteAddr(), want)
		}
	}
	looptest.Run(t, loop)
	// The resolver may have put the one that answers first.
	if c.got != "welcome" || took >= connection.DefaultDialTimeout/2 {
		t.Errorf("got %q after %v, ended with %v", c.got, took, c.cause)
	}
}

// TestDialDeafResolver: a look-up that doesn't heed its end neither holds up the loop nor the dial.
func TestDialDeafResolver(t *testing.T) {
	fdtest.Check(t)
	release, asked := make(chan struct{}), make(chan bool, 100)
	deaf := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		asked <- true
		<-release
		return nil, errors.New("an error of the test")
	}}
	for name, end := range map[string]func(*connection.Stream){"time limit": nil, "cancel": (*connection.Stream).Close} {
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		c := &client{}
		timeout := 30 * time.Millisecond
		if end != nil {
			timeout = time.Hour
		}
		s, err := connection.DialStream(loop, tcp.Dialer{Address: name[:4] + ".test.:1", Resolver: deaf, Timeout: timeout}, c, connection.StreamConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if end != nil {
			go func() {
				<-asked
				_ = loop.Post(func() { end(s) })
			}()
		}
		looptest.Run(t, loop)
		if c.closed != 1 || c.opened || end == nil != errors.Is(c.cause, connection.ErrDialTimeout) {
			t.Errorf("%s: ended %d times with %v", name, c.closed, c.cause)
		}
		for len(asked) > 0 {
			<-asked
		}
	}
	close(release) // the look-ups end now, and TestMain looks whether they do
}
