//go:build linux

package conntest

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

var errTest = errors.New("an error of the test")

// rig is a loop that listens, running on a goroutine of its own until the test ends.
type rig struct {
	tb   testing.TB
	loop connection.Loop
	logs *looptest.Log
	Endpoint

	done chan struct{}
	err  error // of Run
}

// newRig starts a loop with a listener.
func newRig(tb testing.TB, env Env, serve connection.Serve, small bool) *rig {
	tb.Helper()
	r := &rig{tb: tb, logs: &looptest.Log{}, done: make(chan struct{})}
	var err error
	if r.loop, err = communicator.New(communicator.Config{Logger: slog.New(r.logs)}); err != nil {
		tb.Fatal(err)
	}
	r.Endpoint = env.Listen(tb, r.loop, serve, small)
	go func() {
		defer close(r.done)
		r.err = r.loop.Run(context.Background())
	}()
	tb.Cleanup(func() { _ = r.stop(nil) })
	return r
}

// serveStream is a rig whose connections are streams of one handler.
func serveStream(tb testing.TB, env Env, h connection.StreamHandler, config connection.StreamConfig) *rig {
	tb.Helper()
	return newRig(tb, env, connection.Streams(h, config), false)
}

// serveSmall is the same with small buffers in the kernel.
func serveSmall(tb testing.TB, env Env, h connection.StreamHandler, config connection.StreamConfig) *rig {
	tb.Helper()
	return newRig(tb, env, connection.Streams(h, config), true)
}

// stop stops the loop and waits for its end.
func (r *rig) stop(cause error) error {
	r.tb.Helper()
	r.loop.Stop(cause)
	looptest.Await(r.tb, r.done, "the end of Run")
	return r.err
}

// do runs f on the loop.
func (r *rig) do(f func()) {
	r.tb.Helper()
	looptest.Do(r.tb, r.loop, f)
}

// turns lets the loop make a few turns, in which it would do what it must not.
func (r *rig) turns() {
	r.tb.Helper()
	for range 5 {
		r.do(func() {})
	}
}

// peer makes a blocking connection; it is closed at the end of the test.
func (r *rig) peer() *peer {
	r.tb.Helper()
	peer, secured := r.earlyPeer()
	if err := looptest.Await(r.tb, secured, "the peer's handshake"); err != nil {
		r.tb.Fatal(err)
	}
	return peer
}

// earlyPeer makes one that may still have to be secured, for a loop that is busy.
func (r *rig) earlyPeer() (_ *peer, secured <-chan error) {
	r.tb.Helper()
	conn, err := r.Peer()
	if err != nil {
		r.tb.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(looptest.Patience)); err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(func() { _ = conn.Close() })
	done := make(chan error, 1)
	if c, ok := conn.(interface{ Handshake() error }); ok {
		go func() { done <- c.Handshake() }()
	} else {
		done <- nil
	}
	return &peer{conn, r.tb}, done
}

// peer is the blocking other side of a connection.
type peer struct {
	net.Conn
	tb testing.TB
}

// send writes all of text.
func (p *peer) send(text string) {
	p.tb.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		p.tb.Fatal(err)
	}
}

// expect reads as much as there is in text, which has to be that.
func (p *peer) expect(text string) {
	p.tb.Helper()
	got := make([]byte, len(text))
	n, err := io.ReadFull(p, got)
	if err != nil || string(got) != text {
		p.tb.Fatalf("peer: read %.50q, %v; want %.50q", got[:n], err, text)
	}
}

// expectEOF reads the end of the other side, and nothing before.
func (p *peer) expectEOF() {
	p.tb.Helper()
	if rest, err := io.ReadAll(p); len(rest) > 0 || err != nil {
		p.tb.Fatalf("peer: read %.200q, %v; want the end", rest, err)
	}
}

// expectEnd reads the end of the other side or its reset.
func (p *peer) expectEnd() {
	p.tb.Helper()
	_, err := io.Copy(io.Discard, p)
	var netError net.Error
	if errors.As(err, &netError) && netError.Timeout() {
		p.tb.Fatalf("peer: %v; want the end", err)
	}
}

// endWriting ends the peer's side.
func (p *peer) endWriting() {
	p.tb.Helper()
	if err := p.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		p.tb.Fatal(err)
	}
}

// reset ends the connection in such a way that the other side learns of it by an error: something must have
// been written to this peer that it hasn't read.
func (p *peer) reset() {
	p.tb.Helper()
	if c, ok := p.Conn.(interface{ SetLinger(sec int) error }); ok {
		if err := c.SetLinger(0); err != nil {
			p.tb.Fatal(err)
		}
	}
	p.close()
}

func (p *peer) close() {
	p.tb.Helper()
	if err := p.Close(); err != nil {
		p.tb.Fatal(err)
	}
}

// beside runs f on a goroutine of its own; wait waits for its end and fails the test with its error.
func beside(tb testing.TB, f func() error) (wait func()) {
	tb.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	return func() {
		tb.Helper()
		if err := looptest.Await(tb, done, "what runs beside"); err != nil {
			tb.Fatal(err)
		}
	}
}

// noise returns n bytes that repeat nowhere near, the same for the same seed.
func noise(n int, seed uint32) []byte {
	b := make([]byte, n+8)
	x := uint64(seed)*0x9e3779b97f4a7c15 + 1
	for i := 0; i < n; i += 8 {
		x ^= x << 13 // Marsaglia's xorshift
		x ^= x >> 7
		x ^= x << 17
		binary.NativeEndian.PutUint64(b[i:], x)
	}
	return b[:n]
}

// sum is a checksum to compare long texts by.
func sum(b []byte) uint32 { return crc32.ChecksumIEEE(b) }
