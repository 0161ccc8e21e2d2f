//go:build linux

package conntest

import (
	"bytes"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

var dialCases = []testCase{
	{"WriteAtOnce", testDialWriteAtOnce},
	{"CloseAtOnce", testDialCloseAtOnce},
	{"CloseWriteAtOnce", testDialCloseWriteAtOnce},
	{"Refused", testDialRefused},
	{"Timeout", testDialTimeout},
	{"Cancel", testDialCancel},
	{"CancelWithOutput", testDialCancelWithOutput},
	{"LoopEnds", testDialLoopEnds},
	{"Listing", testDialListing},
	{"Many", testDialMany},
}

// dial begins a connection on the rig's loop; then, if not nil, is done with it at once.
func (r *rig) dial(d connection.Dialer, h connection.StreamHandler, config connection.StreamConfig, then func(*connection.Stream)) (s *connection.Stream) {
	r.tb.Helper()
	r.do(func() {
		var err error
		if s, err = connection.DialStream(r.loop, d, h, config); err != nil {
			r.tb.Errorf("DialStream: %v", err)
			return
		}
		if then != nil {
			then(s)
		}
	})
	if s == nil {
		r.tb.FailNow()
	}
	return s
}

func write(tb testing.TB, s *connection.Stream, text []byte) {
	tb.Helper()
	if n, err := s.Write(text); n != len(text) || err != nil {
		tb.Errorf("Write: %d, %v", n, err)
	}
}

// collector is a server that keeps what it gets until the peer's end.
func collector(tb testing.TB) (p *probe, received *bytes.Buffer) {
	p, received = newProbe(tb), new(bytes.Buffer)
	p.data = func(_ *connection.Stream, data []byte) (int, error) { return received.Write(data) }
	return p, received
}

func testDialWriteAtOnce(t *testing.T, env Env) {
	server := newProbe(t)
	server.data = echo
	client := newProbe(t)
	got := make(chan bool, 1)
	text, received := noise(100_000, 1), new(bytes.Buffer)
	client.data = func(_ *connection.Stream, data []byte) (int, error) {
		received.Write(data)
		if received.Len() == len(text) {
			got <- true
		}
		return len(data), nil
	}
	client.open = func(s *connection.Stream) error {
		write(t, s, text[len(text)/2:])
		return nil
	}
	r := serveStream(t, env, server, connection.StreamConfig{})
	s := r.dial(r.Dialer, client, connection.StreamConfig{}, func(s *connection.Stream) {
		if s.Transport() != nil || s.LocalAddr() != nil || s.RemoteAddr() != nil {
			t.Error("has a transport before the connection stands")
		}
		write(t, s, text[:1000])
		write(t, s, text[1000:len(text)/2])
		if s.QueuedBytes() != len(text)/2 {
			t.Errorf("%d bytes queued, want %d", s.QueuedBytes(), len(text)/2)
		}
	})
	looptest.Await(t, got, "the echo")
	r.do(func() {
		if !bytes.Equal(received.Bytes(), text) {
			t.Error("the echo differs from what was written")
		}
		if s.Transport() == nil || env.NoAddresses == "" && s.RemoteAddr().String() != r.Listener.Addr().String() {
			t.Errorf("the remote address is %v, want %v", s.RemoteAddr(), r.Listener.Addr())
		}
		if s.Sent() != uint64(len(text)) || s.Received() != uint64(len(text)) {
			t.Errorf("counted %d sent, %d received", s.Sent(), s.Received())
		}
		s.Close()
	})
	server.endsWith(nil)
	client.endsWith(nil)
}

// testDialCloseAtOnce: what was written is delivered, and HandleOpen isn't called any more.
func testDialCloseAtOnce(t *testing.T, env Env) {
	server, received := collector(t)
	client := newProbe(t)
	r := serveStream(t, env, server, connection.StreamConfig{})
	r.dial(r.Dialer, client, connection.StreamConfig{}, func(s *connection.Stream) {
		write(t, s, []byte("a last word"))
		s.Close()
		client.mute(s, "Close")
	})
	client.endsWith(nil)
	server.endsWith(nil)
	r.do(func() {
		if received.String() != "a last word" {
			t.Errorf("the server got %q", received)
		}
	})

	r.dial(r.Dialer, client, connection.StreamConfig{}, func(s *connection.Stream) {
		s.Close()
		client.mute(s, "Close")
	})
	client.endsWith(nil)
}

func testDialCloseWriteAtOnce(t *testing.T, env Env) {
	for _, text := range []string{"", "all I say"} {
		server := newProbe(t)
		server.eof = func(s *connection.Stream, _ []byte) error {
			write(t, s, []byte("the answer"))
			s.Close()
			return nil
		}
		client, received := collector(t)
		r := serveStream(t, env, eofProbe{server}, connection.StreamConfig{})
		r.dial(r.Dialer, client, connection.StreamConfig{}, func(s *connection.Stream) {
			write(t, s, []byte(text))
			s.CloseWrite()
			if _, err := s.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Write after CloseWrite: %v", err)
			}
		})
		client.stream()
		client.endsWith(nil)
		server.endsWith(nil)
		r.do(func() {
			if received.String() != "the answer" {
				t.Errorf("the client got %q", received)
			}
		})
	}
}

func testDialRefused(t *testing.T, env Env) {
	r := serveStream(t, env, newProbe(t), connection.StreamConfig{})
	client := newProbe(t)
	r.dial(env.Nowhere(t), client, connection.StreamConfig{}, func(s *connection.Stream) {
		write(t, s, []byte("never sent"))
		client.mute(s, "a refusal")
	})
	cause := client.ending()
	var opError *net.OpError
	if !errors.As(cause, &opError) || !errors.Is(cause, syscall.ECONNREFUSED) {
		t.Fatalf("ended with %v, want a *net.OpError with ECONNREFUSED", cause)
	}
	if opError.Op != "dial" || opError.Net != r.Listener.Addr().Network() || opError.Addr == nil || opError.Addr.String() == "" {
		t.Errorf("the error doesn't tell what was dialled: %v", opError)
	}
	r.turns()
	r.do(func() {
		if n := r.loop.Stats().Live; n != 1 {
			t.Errorf("%d sources left in the loop, want the listener", n)
		}
	})
}

func testDialTimeout(t *testing.T, env Env) {
	r := serveStream(t, env, newProbe(t), connection.StreamConfig{})
	client := newProbe(t)
	start := time.Now()
	r.dial(env.Stuck(t, 50*time.Millisecond), client, connection.StreamConfig{}, nil)
	cause := client.ending()
	if !errors.Is(cause, connection.ErrDialTimeout) || !errors.Is(cause, os.ErrDeadlineExceeded) {
		t.Errorf("ended with %v, want %v", cause, connection.ErrDialTimeout)
	}
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("gave up after %v", took)
	}
}

func testDialCancel(t *testing.T, env Env) {
	for name, cancel := range map[string]func(*connection.Stream){
		"close": (*connection.Stream).Close,
		"abort": func(s *connection.Stream) { s.Abort(nil) },
	} {
		r := serveStream(t, env, newProbe(t), connection.StreamConfig{})
		client := newProbe(t)
		s := r.dial(env.Stuck(t, time.Hour), client, connection.StreamConfig{}, nil)
		r.turns()
		r.do(func() {
			cancel(s)
			client.mute(s, name)
		})
		client.endsWith(nil)
		r.turns()
		r.do(func() {
			if n := r.loop.Stats().Live; n != 1 {
				t.Errorf("%s: %d sources left in the loop, want the listener", name, n)
			}
		})
	}
}

// testDialCancelWithOutput: a stream that has something to deliver is given CloseTimeout.
func testDialCancelWithOutput(t *testing.T, env Env) {
	r := serveStream(t, env, newProbe(t), connection.StreamConfig{})
	client := newProbe(t)
	r.dial(env.Stuck(t, time.Hour), client, connection.StreamConfig{CloseTimeout: 50 * time.Millisecond}, func(s *connection.Stream) {
		write(t, s, []byte("never sent"))
		s.Close()
		client.mute(s, "Close")
	})
	client.endsWith(connection.ErrCloseTimeout)
}

func testDialLoopEnds(t *testing.T, env Env) {
	for _, cause := range []error{nil, errTest} {
		r := serveStream(t, env, newProbe(t), connection.StreamConfig{})
		client := newProbe(t)
		r.dial(env.Stuck(t, time.Hour), client, connection.StreamConfig{}, nil)
		r.dial(r.Dialer, client, connection.StreamConfig{}, nil)
		if err := r.stop(cause); !errors.Is(err, cause) {
			t.Errorf("Run: %v", err)
		}
		if cause == nil {
			cause = communicator.ErrClosed
		}
		client.endsWith(cause)
		client.endsWith(cause)
	}
}

// testDialListing: the loop's listing says who is being dialled.
func testDialListing(t *testing.T, env Env) {
	r := serveStream(t, env, newProbe(t), connection.StreamConfig{})
	client := newProbe(t)
	r.dial(env.Stuck(t, time.Hour), client, connection.StreamConfig{Name: "my connection", Priority: 7}, func(s *connection.Stream) {
		write(t, s, make([]byte, 12345))
	})
	r.do(func() {
		for _, info := range r.loop.Sources() {
			if info.Name == "my connection" && info.Queued == 12345 && info.Priority == 7 && info.FD == communicator.NoFD {
				return
			}
		}
		t.Errorf("not in the listing: %v", r.loop.Sources())
	})
}

// testDialMany has many connections between two sides of one loop.
func testDialMany(t *testing.T, env Env) {
	const n = 100
	server := newProbe(t)
	server.data = echo
	client := newProbe(t)
	client.open = func(s *connection.Stream) error {
		write(t, s, []byte("ping"))
		return nil
	}
	client.data = func(s *connection.Stream, data []byte) (int, error) {
		if len(data) < 4 {
			return 0, nil
		}
		if string(data) != "ping" {
			t.Errorf("the echo is %q", data)
		}
		s.Close()
		client.mute(s, "Close")
		return len(data), nil
	}
	r := serveStream(t, env, server, connection.StreamConfig{})
	for range n {
		r.dial(r.Dialer, client, connection.StreamConfig{}, nil)
	}
	for range n {
		client.endsWith(nil)
		server.endsWith(nil)
	}
}
