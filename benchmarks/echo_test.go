package benchmarks_test

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

type echoHandler struct{}

func (echoHandler) HandleData(s *connection.Stream, data []byte) (int, error) {
	_, err := s.Write(data)
	return len(data), err
}

// dialEcho starts an echo server on a loop in this process and returns a function
// that exchanges one message of 64 bytes with it. The client is a blocking
// net.Conn, which allocates nothing when it reads and writes: all allocations of
// the process are the server's.
func dialEcho(b testing.TB) func() {
	b.Helper()
	loop := newLoop(b)
	ln, err := tcp.Listen(loop, "127.0.0.1:0", connection.Streams(echoHandler{}, connection.StreamConfig{}), tcp.ListenConfig{})
	if err != nil {
		b.Fatal(err)
	}
	addr := ln.Addr().String()
	runLoop(b, loop)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	message, reply := bytes.Repeat([]byte("echo"), 16), make([]byte, 64)
	return func() {
		if _, err := c.Write(message); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, reply); err != nil {
			b.Fatal(err)
		}
		if !bytes.Equal(message, reply) {
			b.Fatalf("got %q", reply)
		}
	}
}

// BenchmarkEcho has the client in the same process, so its time is that of both
// and says little; its allocations are the server's.
func BenchmarkEcho(b *testing.B) {
	exchange := dialEcho(b)
	b.ReportAllocs()
	b.SetBytes(64)
	for b.Loop() {
		exchange()
	}
}

// TestEchoAllocatesNothing counts what testing's average per operation would
// round away.
func TestEchoAllocatesNothing(t *testing.T) {
	exchange := dialEcho(t)
	for range 100 {
		exchange()
	}
	const echoes = 20000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range echoes {
		exchange()
	}
	runtime.ReadMemStats(&after)
	// The runtime itself allocates now and then, for a thread or a timer.
	if n := after.Mallocs - before.Mallocs; n > 20 {
		t.Errorf("%d allocations in %d echoes", n, echoes)
	}
}
