//go:build linux

package tcp_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// clientHello is the ClientHello of a client of the server.
func clientHello(tb testing.TB, r *served) []byte {
	tb.Helper()
	config := r.client()
	config.CurvePreferences = []tls.CurveID{tls.X25519}
	flights, hello := clientFlights(tb, r, config)
	return flights[:hello]
}

// isOver makes sure that the other side has ended a connection, in whatever way.
func isOver(tb testing.TB, conn net.Conn) {
	tb.Helper()
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		tb.Errorf("the connection from %v stays open", conn.LocalAddr())
	}
}

// TestThousandAbandoned: handshakes that come to nothing end by the limit of time and leave nothing,
// however far they were.
func TestThousandAbandoned(t *testing.T) {
	r := serveTLS(t, service{shakes: tcp.HandshakeConfig{Timeout: 400 * time.Millisecond, Max: 300}})
	hello := clientHello(t, r)
	conns := make([]net.Conn, 1000)
	for i := range conns {
		conns[i] = plain(t, r.address)
		switch i % 3 {
		case 1:
			_, _ = conns[i].Write(hello[:1])
		case 2:
			_, _ = conns[i].Write(hello)
		}
	}
	for range conns {
		failure := r.failure()
		if !errors.Is(failure, tcp.ErrHandshakeTimeout) || !errors.Is(failure, os.ErrDeadlineExceeded) {
			t.Fatalf("a handshake ended with %v", failure)
		}
		isHandshakeError(t, failure)
	}
	for _, conn := range conns {
		isOver(t, conn)
	}
	if done, failed := r.counts(); done != 1 || failed != 1000 {
		t.Errorf("%d handshakes done and %d failed, want 1 and 1000", done, failed)
	}
	r.goesOn()
}

// atEachStage leaves handshakes at every stage: silent, under way, computing and waiting for their turn. A
// function computes until release is called.
func atEachStage(t *testing.T) (r *served, release func()) {
	t.Helper()
	gate, computing := make(chan struct{}), make(chan struct{}, 10)
	r = serveTLS(t, service{
		shakes: tcp.HandshakeConfig{Max: 2, Processors: 2},
		config: &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			computing <- struct{}{}
			<-gate
			return nil, nil
		}},
	})
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	plain(t, r.address) // silent
	hello := helloOf(t)
	conn := plain(t, r.address)
	if _, err := conn.Write(hello); err != nil {
		t.Fatal(err)
	}
	looptest.Await(t, computing, "a handshake that computes")
	conn = plain(t, r.address)
	if _, err := conn.Write(hello[:10]); err != nil { // under way
		t.Fatal(err)
	}
	r.until("the second", func() bool { _, begun := r.handshaking(); return begun == 2 })
	conn = plain(t, r.address)
	if _, err := conn.Write(hello); err != nil { // waits
		t.Fatal(err)
	}
	r.until("all of them", func() bool { all, begun := r.handshaking(); return all == 4 && begun == 3 })
	return r, release
}

// helloOf is a ClientHello.
func helloOf(tb testing.TB) []byte {
	tb.Helper()
	a, b := memories()
	a.empty = io.EOF
	_ = tls.Client(a, &tls.Config{ServerName: "127.0.0.1"}).Handshake()
	hello := b.take()
	if len(hello) == 0 {
		tb.Fatal("no ClientHello")
	}
	return hello
}

// TestLoopEndsWithHandshakes: the end of the loop doesn't wait for handshakes, and nothing is left of
// them, also of one that computes on.
func TestLoopEndsWithHandshakes(t *testing.T) {
	for name, released := range map[string]bool{"while one computes": false, "while one ends": true} {
		t.Run(name, func(t *testing.T) {
			r, release := atEachStage(t)
			if released {
				release()
			}
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			if n := r.failed.Load(); n != 0 && !released {
				t.Errorf("%d failures were told of at the end of the loop", n)
			}
		})
	}
}

// TestShutdownWithHandshakes: accepted connections that are not secured yet are dropped.
func TestShutdownWithHandshakes(t *testing.T) {
	r, _ := atEachStage(t)
	r.do(func() { r.loop.Shutdown(looptest.Patience) })
	if err := r.end(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if n := r.failed.Load(); n != 0 {
		t.Errorf("%d failures were told of at a shutdown", n)
	}
}

// TestTimeoutWhileComputing: what computes when its time is up is closed when it is done, and its place is free then.
func TestTimeoutWhileComputing(t *testing.T) {
	gate, computing := make(chan struct{}), make(chan struct{}, 10)
	r := serveTLS(t, service{
		shakes: tcp.HandshakeConfig{Max: 1, Timeout: 100 * time.Millisecond},
		config: &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			computing <- struct{}{}
			<-gate
			return nil, hello.Context().Err()
		}},
	})
	conn := plain(t, r.address)
	if _, err := conn.Write(helloOf(t)); err != nil {
		t.Fatal(err)
	}
	looptest.Await(t, computing, "a handshake that computes")
	if err := r.failure(); !errors.Is(err, tcp.ErrHandshakeTimeout) {
		t.Errorf("the failure is %v", err)
	}
	close(gate)
	isOver(t, conn)
	r.goesOn()
	if done, failed := r.counts(); done != 1 || failed != 1 {
		t.Errorf("%d handshakes done and %d failed, want 1 and 1", done, failed)
	}
}

// TestTimeoutAndEndInOneTurn: a handshake whose time is up in the turn in which its goroutine ends is closed once.
func TestTimeoutAndEndInOneTurn(t *testing.T) {
	const limit = 50 * time.Millisecond
	gate, computing := make(chan struct{}), make(chan struct{}, 10)
	failure := errors.New("an error of the test")
	r := serveTLS(t, service{
		shakes: tcp.HandshakeConfig{Timeout: limit},
		loop:   communicator.Config{SlowCallback: -1},
		config: &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (_ *tls.Config, err error) {
			computing <- struct{}{}
			<-gate
			err, failure = failure, nil
			return nil, err
		}},
	})
	conn := plain(t, r.address)
	if _, err := conn.Write(helloOf(t)); err != nil {
		t.Fatal(err)
	}
	looptest.Await(t, computing, "a handshake that computes")
	r.do(func() { // both come while the loop is busy
		close(gate)
		_, _ = conn.Read(make([]byte, 100)) // the alert, behind which the goroutine ends
		<-time.After(limit)
	})
	isOver(t, conn)
	if err := r.failure(); !errors.Is(err, tcp.ErrHandshakeTimeout) {
		t.Errorf("the failure is %v", err)
	}
	if lines := r.log.Containing("closing a source failed"); len(lines) > 0 {
		t.Errorf("closed twice: %q", lines)
	}
	r.goesOn()
}

// TestFullQueue: a handshake goes on when the loop's queue was full for a while.
func TestFullQueue(t *testing.T) {
	busy, goOn := make(chan struct{}), make(chan struct{})
	gate, computing := make(chan struct{}), make(chan struct{}, 1)
	r := serveTLS(t, service{
		loop: communicator.Config{MaxPosted: 1, SlowCallback: -1},
		config: &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			computing <- struct{}{}
			<-gate
			return nil, nil
		}},
	})
	conn := tls.Client(plain(t, r.address), r.client())
	shaken := make(chan error, 1)
	go func() { shaken <- conn.Handshake() }()
	looptest.Await(t, computing, "a handshake that computes")
	if err := r.loop.Post(func() { close(busy); <-goOn }); err != nil {
		t.Fatal(err)
	}
	<-busy
	if err := r.loop.Post(func() {}); err != nil {
		t.Fatal(err)
	}
	close(gate)
	if err := looptest.Await(t, shaken, "the handshake"); err != nil { // the server's goroutine wants to tell the loop
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	<-time.After(20 * time.Millisecond) // so that it has tried
	close(goOn)
	expect(t, conn, "hello")
}

// TestDialTimeouts: the time of a dial, and that of its handshake, bound what a server that says nothing can take.
func TestDialTimeouts(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r := turn(t, communicator.Config{})
	for name, d := range map[string]tcp.Dialer{
		"of the dial":      {Timeout: 50 * time.Millisecond},
		"of the handshake": {Handshakes: tcp.NewHandshakes(tcp.HandshakeConfig{Timeout: 50 * time.Millisecond})},
	} {
		d.Address, d.TLS = silent.Addr().String(), &tls.Config{}
		begun := time.Now()
		err := r.call(d).outcome()
		isHandshakeError(t, err)
		if took := time.Since(begun); !errors.Is(err, tcp.ErrHandshakeTimeout) || !errors.Is(err, os.ErrDeadlineExceeded) || took < 50*time.Millisecond {
			t.Errorf("%s: %v after %v", name, err, took)
		}
	}
}

// TestDialCancelled: a stream that is closed or aborted while it is dialled leaves nothing, at each stage.
func TestDialCancelled(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	looking := make(chan struct{}, 10)
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		looking <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	gone := errors.New("gone")
	r := turn(t, communicator.Config{})
	for stage, d := range map[string]tcp.Dialer{
		"look-up":   {Address: "example.org:443", Resolver: resolver},
		"connect":   {Address: silent.Addr().String()},
		"handshake": {Address: silent.Addr().String()},
		"queue":     {Address: silent.Addr().String(), Handshakes: tcp.NewHandshakes(tcp.HandshakeConfig{Max: 1})},
	} {
		d.TLS = &tls.Config{}
		for how, end := range map[string]func(*connection.Stream){
			"Close": (*connection.Stream).Close,
			"Abort": func(s *connection.Stream) { s.Abort(gone) },
		} {
			var first *caller
			if stage == "queue" {
				first = r.call(d)
				r.until("the first", func() bool { all, _ := r.handshaking(); return all == 1 })
			}
			if stage != "connect" {
				c := r.call(d)
				switch stage {
				case "look-up":
					looptest.Await(t, looking, "the look-up")
				case "handshake":
					r.until("the handshake", func() bool { all, _ := r.handshaking(); return all == 1 })
				case "queue":
					r.until("the second", func() bool { all, _ := r.handshaking(); return all == 2 })
				}
				r.do(func() { end(c.stream) })
				cancelled(t, stage+", "+how, c, gone)
			} else {
				c := newCaller(t)
				r.do(func() {
					if c.stream, err = connection.DialStream(r.loop, d, c, connection.StreamConfig{}); err != nil {
						t.Error(err)
						return
					}
					end(c.stream)
				})
				cancelled(t, stage+", "+how, c, gone)
			}
			if first != nil {
				r.do(func() { first.stream.Close() })
				cancelled(t, "the first", first, gone)
			}
			r.until("the end of the handshakes", func() bool { all, _ := r.handshaking(); return all == 0 })
		}
	}
}

func cancelled(t *testing.T, name string, c *caller, gone error) {
	t.Helper()
	if err := c.end(); err != nil && !errors.Is(err, gone) {
		t.Errorf("%s: ended with %v", name, err)
	}
	if len(c.opened) > 0 {
		t.Errorf("%s: opened", name)
	}
}

// TestShutdownWhileDialling: a dial under way at a shutdown ends with it; one that has something to
// deliver delivers it first.
func TestShutdownWhileDialling(t *testing.T) {
	r := serveTLS(t, service{})
	other := turn(t, communicator.Config{})
	d := tcp.Dialer{Address: r.address, TLS: r.client()}
	empty, full := other.call(d), newCaller(t)
	other.do(func() {
		var err error
		if full.stream, err = connection.DialStream(other.loop, d, full, connection.StreamConfig{}); err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(full.stream, "hello")
		other.loop.Shutdown(looptest.Patience)
	})
	if err := other.end(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := empty.end(); err != nil {
		t.Errorf("the empty one ended with %v", err)
	}
	if err := full.end(); err != nil {
		t.Errorf("the full one ended with %v", err)
	}
	r.until("the delivery", func() bool { return r.shakes.Done() >= 1 })
}
