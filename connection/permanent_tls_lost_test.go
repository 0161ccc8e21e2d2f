//go:build linux

package connection_test

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// TestPermanentTLSLost: a message that TLS can't write, because the peer has reset, goes to the next connection.
func TestPermanentTLSLost(t *testing.T) {
	loop, _ := looptest.New(t)
	reset := make(chan bool)
	dialer, got := tlsServer(t, 2, func(n int, conn net.Conn) string {
		if n == 1 {
			return readAll(conn)
		}
		ready := make([]byte, len("READY\n"))
		_, _ = io.ReadFull(conn, ready)
		_, _ = io.WriteString(conn, "GO\n")
		raw := conn.(*tls.Conn).NetConn().(*net.TCPConn)
		_ = raw.SetLinger(0)
		_ = raw.Close()
		close(reset)
		return string(ready)
	})
	var l *life
	l = live(t, loop, dialer, message.HandlerFunc(func(message.Sender, *message.Message) error {
		looptest.Await(t, reset, "the reset")
		ended := []unix.PollFd{{Fd: int32(l.p.Conn().Stream().Transport().FD()), Events: unix.POLLRDHUP}}
		if n, err := unix.Poll(ended, 1000); n != 1 || err != nil {
			t.Errorf("the reset has not come: %d, %v", n, err)
		}
		say(t, l.p, "IMPORTANT")
		return nil
	}), connection.PermanentConfig{Backoff: again, OnUp: func(p *connection.Permanent) error {
		if p.Connections() == 1 {
			say(t, p, "READY")
		} else {
			p.Close()
		}
		return nil
	}})
	run(t, loop)
	if texts := looptest.Await(t, got, "the server"); !slices.Equal(texts, []string{"READY\n", "IMPORTANT\n"}) {
		t.Errorf("the server got %q", texts)
	}
	l.expect(t, "up", "down reset", "up", "down <nil>", "closed <nil>")
}

// TestPermanentTLSAborted: Abort while a rate holds output back. What TLS takes of it at the very end, and the socket doesn't, is
// reported.
func TestPermanentTLSAborted(t *testing.T) {
	const count = 20
	loop, _ := looptest.New(t)
	aborted := make(chan bool)
	dialer, got := tlsServer(t, 1, func(_ int, conn net.Conn) string {
		_ = conn.(*tls.Conn).NetConn().(*net.TCPConn).SetReadBuffer(4096)
		_ = conn.(*tls.Conn).Handshake()
		<-aborted
		return readAll(conn)
	})
	dialer.Options = tcp.Options{SendBuffer: 16 << 10}
	config := connection.PermanentConfig{OnUp: func(p *connection.Permanent) error {
		p.Abort(nil)
		close(aborted)
		return nil
	}}
	config.Message.Stream.WriteRate = 100_000
	var lost []string
	config.Undelivered = func(_ *connection.Permanent, m *message.Message, _ error) { lost = append(lost, m.Get("i")) }
	l := live(t, loop, dialer, nil, config)
	for i := range count {
		// Two of them make one write: 10 kB of it go at once, and the rest is no more than TLS takes at the end.
		if err := l.p.Send(large("N", 28_000).SetInt("i", int64(i))); err != nil {
			t.Fatal(err)
		}
	}
	run(t, loop)
	delivered := strings.Count(looptest.Await(t, got, "the server")[0], "\n")
	if delivered+len(lost) < count || len(lost) == 0 {
		t.Errorf("%d of %d delivered, reported %q", delivered, count, lost)
	}
}

// forgetters is a Dialer of transports that, as TLS, keep nothing when they are closed.
type forgetters struct{ keepers }

type forgetting struct{ *keeping }

func (d *forgetters) Dial(loop connection.Loop, done func(connection.Transport, error)) (func(), error) {
	return d.keepers.Dial(loop, func(t connection.Transport, err error) { done(forgetting{t.(*keeping)}, err) })
}

func (f forgetting) Close() error {
	f.unsent = nil
	return f.keeping.Close()
}

// TestPermanentAbortedSlowly is that for any number of bytes that the kernel takes at the end: of a transport that keeps none each
// message is either delivered or reported, and of one that keeps some none is neither.
func TestPermanentAbortedSlowly(t *testing.T) {
	const count, line = 40, len("N i=10\n")
	for _, keeps := range []bool{false, true} {
		for room := range 120 + 3*line {
			loop, _ := looptest.New(t)
			var sent func() string
			var d connection.Dialer
			if keeps {
				k := &forgetters{keepers{tb: t, list: []int{room}}}
				d, sent = k, func() string { return k.dials[0].out.String() }
			} else {
				c := &cutters{tb: t, list: []int{room}}
				d, sent = c, func() string { return c.dials[0].out.String() }
			}
			lost := 0
			config := connection.PermanentConfig{
				OnUp:        func(p *connection.Permanent) error { p.Abort(nil); return nil },
				Undelivered: func(*connection.Permanent, *message.Message, error) { lost++ },
			}
			config.Message.Stream.WriteRate = 1000 // 100 bytes at once
			l := live(t, loop, d, nil, config)
			say(t, l.p, numbered(10, count)...)
			run(t, loop)
			whole := strings.Count(sent(), "\n")
			if whole+lost < count || !keeps && whole+lost > count {
				t.Fatalf("keeps %v, room for %d bytes: %d whole lines of %d sent, %d reported", keeps, room, whole, count, lost)
			}
		}
	}
}
