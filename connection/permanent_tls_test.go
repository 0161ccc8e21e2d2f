//go:build linux

package connection_test

import (
	"bufio"
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// tlsServer serves so many connections one after the other, and returns a dialer for it and what each has got.
func tlsServer(t *testing.T, count int, serve func(n int, conn net.Conn) string) (tcp.Dialer, <-chan []string) {
	t.Helper()
	l := listenTCP(t)
	t.Cleanup(func() { _ = l.Close() })
	authority := tlstest.NewAuthority(t)
	secured := tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{authority.Issue(t, "127.0.0.1")}})
	got := make(chan []string, 1)
	go func() {
		var all []string
		defer func() { got <- all }()
		for n := range count {
			conn, err := secured.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(looptest.Patience))
			all = append(all, serve(n, conn))
			_ = conn.Close()
		}
	}()
	return tcp.Dialer{Address: l.Addr().String(), TLS: &tls.Config{RootCAs: authority.Pool()}}, got
}

// readAll reads until the end.
func readAll(conn net.Conn) string {
	var all strings.Builder
	_, _ = bufio.NewReader(conn).WriteTo(&all)
	return all.String()
}

// TestPermanentTLS: a long queue goes out in order over a transport that keeps bytes itself, and Close
// delivers all of it.
func TestPermanentTLS(t *testing.T) {
	loop, _ := looptest.New(t)
	dialer, got := tlsServer(t, 1, func(_ int, conn net.Conn) string { return readAll(conn) })
	l := live(t, loop, dialer, nil, connection.PermanentConfig{MaxQueued: 2001})
	want := numbered(0, 2000)
	say(t, l.p, want...)
	l.p.Close()
	run(t, loop)
	if all := looptest.Await(t, got, "the server")[0]; all != strings.Join(want, "\n")+"\n" {
		t.Errorf("the server got %d bytes, which end in %q", len(all), all[max(0, len(all)-20):])
	}
	l.expect(t, "up", "down <nil>", "closed <nil>")
}

// TestPermanentTLSCut: a server that resets while it is sent to. No line comes twice; what was behind
// those that are lost or in doubt comes in order.
func TestPermanentTLSCut(t *testing.T) {
	const count = 3
	loop, _ := looptest.New(t)
	dialer, got := tlsServer(t, count, func(n int, conn net.Conn) string {
		if n == count-1 {
			return readAll(conn)
		}
		start := make([]byte, 20_000)
		size, _ := conn.Read(start)
		_ = conn.(*tls.Conn).NetConn().(*net.TCPConn).SetLinger(0)
		_ = conn.(*tls.Conn).NetConn().Close()
		return string(start[:size])
	})
	l := live(t, loop, dialer, nil, connection.PermanentConfig{
		MaxQueued: 4000, MaxQueuedBytes: 16 << 20, Backoff: again,
		OnUp: func(p *connection.Permanent) error {
			if p.Connections() == count {
				p.Close()
			}
			return nil
		},
	})
	for i := range 4000 {
		if err := l.p.Send(large("N", 2000).SetInt("i", int64(i))); err != nil {
			t.Fatal(err)
		}
	}
	run(t, loop)
	var seen []string
	for _, text := range looptest.Await(t, got, "the server") {
		lines := strings.Split(text, "\n")
		for _, line := range lines[:len(lines)-1] {
			number, _, _ := strings.Cut(strings.TrimPrefix(line, "N i="), ";")
			seen = append(seen, number)
		}
	}
	unique := slices.Compact(slices.Sorted(slices.Values(seen)))
	if len(unique) != len(seen) || seen[len(seen)-1] != "3999" {
		t.Errorf("%d lines, %d of them different; the last one is %s", len(seen), len(unique), seen[len(seen)-1])
	}
	for _, e := range l.events {
		if strings.HasPrefix(e, "lost") && e != "lost N doubt" {
			t.Errorf("told %q", e)
		}
	}
}
