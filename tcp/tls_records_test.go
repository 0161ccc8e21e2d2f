//go:build linux

package tcp_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
)

// sink is the handler of one stream, which takes what comes in some way of its own, and tells when it has
// seen a text to its end.
type sink struct {
	tb     testing.TB
	random *rand.Rand
	take   func(k *sink, s *connection.Stream, data []byte) int // how much it consumes; nil: all
	want   []byte
	gone   int // consumed
	calls  int
	seen   chan struct{}
	ended  chan error
}

func newSink(tb testing.TB, want []byte, seed uint64) *sink {
	return &sink{tb: tb, want: want, random: rand.New(rand.NewPCG(seed, 0)), seen: make(chan struct{}), ended: make(chan error, 1)}
}

func (k *sink) HandleData(s *connection.Stream, data []byte) (int, error) {
	k.calls++
	if !bytes.HasPrefix(k.want[k.gone:], data) {
		k.tb.Errorf("%d bytes at %d are not what was sent", len(data), k.gone)
	}
	if k.gone+len(data) == len(k.want) && k.seen != nil {
		close(k.seen)
		k.seen = nil
	}
	n := len(data)
	if k.take != nil {
		n = k.take(k, s, data)
	}
	k.gone += n
	return n, nil
}

func (k *sink) HandleClose(_ *connection.Stream, cause error) { k.ended <- cause }

// later goes on with something in a later turn of the loop.
func (k *sink) later(s *connection.Stream, f func()) {
	if err := s.Loop().Post(f); err != nil {
		k.tb.Error(err)
	}
}

// into is a Serve that gives a connection that handler.
func into(h connection.StreamHandler, config connection.StreamConfig) connection.Serve {
	return connection.Streams(h, config)
}

// heldPeer is a client whose records the test sends itself, from the end of the handshake on.
func heldPeer(tb testing.TB, r *served, config *tls.Config) (*tls.Conn, *tlstest.Held) {
	tb.Helper()
	held := &tlstest.Held{Conn: plain(tb, r.address)}
	conn := tls.Client(held, config)
	if err := conn.Handshake(); err != nil {
		tb.Fatal(err)
	}
	held.Hold()
	return conn, held
}

// sendPieces sends bytes in pieces; between some of them the loop makes a turn.
func sendPieces(r *served, conn net.Conn, records []byte, random *rand.Rand) {
	r.tb.Helper()
	for len(records) > 0 {
		n := 1 + random.IntN(len(records))
		switch random.IntN(3) {
		case 0:
			n = min(n, 1+random.IntN(10))
		case 1:
			n = min(n, 1+random.IntN(20_000))
		}
		if _, err := conn.Write(records[:n]); err != nil {
			r.tb.Fatal(err)
		}
		records = records[n:]
		if random.IntN(2) == 0 {
			r.do(func() {})
		}
	}
}

// noise is a text that repeats nowhere.
func noise(random *rand.Rand, n int) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = byte(random.Uint32())
	}
	return text
}

// randomSize is one of a Write of a peer: often small, at times about that of a record or of several.
func randomSize(random *rand.Rand) int {
	return []int{1, 1 + random.IntN(10), 1 + random.IntN(1000), 1<<14 - 1 + random.IntN(3), 1 + random.IntN(80_000)}[random.IntN(5)]
}

// ways are those in which a handler takes what comes.
var ways = []struct {
	name   string
	most   int // bytes of text; 0: what comes
	config connection.StreamConfig
	take   func(k *sink, s *connection.Stream, data []byte) int
}{
	{name: "all"},
	{name: "a part", take: func(k *sink, _ *connection.Stream, data []byte) int { return k.random.IntN(len(data) + 1) }},
	{name: "nothing", take: func(*sink, *connection.Stream, []byte) int { return 0 }},
	{name: "paused", take: func(k *sink, s *connection.Stream, data []byte) int {
		if k.random.IntN(2) == 0 {
			s.Pause()
			k.later(s, s.Resume)
		}
		return len(data)
	}},
	{name: "a part, paused", take: func(k *sink, s *connection.Stream, data []byte) int {
		s.Pause()
		k.later(s, s.Resume)
		return k.random.IntN(len(data) + 1)
	}},
	{name: "a part, disabled", take: func(k *sink, s *connection.Stream, data []byte) int {
		s.Handle().SetEnabled(false)
		k.later(s, func() { s.Handle().SetEnabled(true) })
		return k.random.IntN(len(data) + 1)
	}},
	{name: "at a rate", most: 60_000, config: connection.StreamConfig{ReadRate: 400_000}},
	{name: "at a rate, a part", most: 60_000, config: connection.StreamConfig{ReadRate: 400_000}, take: func(k *sink, _ *connection.Stream, data []byte) int {
		return k.random.IntN(len(data) + 1)
	}},
	{name: "slowly", most: 250, config: connection.StreamConfig{ReadRate: 2000}},
}

// TestNothingIsLeftBehind: whatever the peer's records are cut into and whatever the handler does
// meanwhile, every byte is handed over though the peer says nothing more.
func TestNothingIsLeftBehind(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, way := range ways {
			t.Run(way.name, func(t *testing.T) {
				for seed := range uint64(2) {
					random := rand.New(rand.NewPCG(seed, uint64(version)))
					var sizes []int
					total := 0
					for range 1 + random.IntN(20) {
						n := randomSize(random)
						if way.most > 0 {
							n = min(n, way.most-total)
						}
						sizes = append(sizes, n)
						total += n
					}
					k := newSink(t, noise(random, total), seed)
					k.take = way.take
					seen := k.seen
					config := way.config
					config.MaxInput = max(1, total) // what is left unconsumed just fits
					r := serveTLS(t, service{config: ofVersion(&tls.Config{}, version), serve: into(k, config)})
					conn, held := heldPeer(t, r, r.client())
					text := k.want
					for _, n := range sizes {
						if _, err := conn.Write(text[:n]); err != nil {
							t.Fatal(err)
						}
						text = text[n:]
					}
					sendPieces(r, held.Conn, held.Take(), random)
					looptest.Await(t, seen, fmt.Sprintf("the last of %d bytes, seed %d", total, seed))
					if err := r.stop(); err != nil {
						t.Error(err)
					}
				}
			})
		}
	})
}

// TestRecordsTogether: the records that one read brings are handed over in one go, also very small ones.
func TestRecordsTogether(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		const records = 1500
		k := newSink(t, bytes.Repeat([]byte("x"), records), 0)
		seen := k.seen
		r := serveTLS(t, service{config: ofVersion(&tls.Config{}, version), serve: into(k, connection.StreamConfig{})})
		conn, held := heldPeer(t, r, r.client())
		for range records {
			if _, err := conn.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := held.Conn.Write(held.Take()); err != nil {
			t.Fatal(err)
		}
		looptest.Await(t, seen, "the last of them")
		r.do(func() {
			if k.calls > 3 {
				t.Errorf("%d records of one read were handed over in %d calls", records, k.calls)
			}
		})
	})
}

// TestTruncation: an end in the middle of a record is io.ErrUnexpectedEOF; one between records, with or
// without close_notify, is an orderly end. What came before is handed over.
func TestTruncation(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for name, c := range map[string]struct {
			cut    int  // bytes that are missing at the end, or, below 0, that are there beside it
			notify bool // close_notify is sent
			open   bool // the socket stays open
			want   error
		}{
			"in the header":                   {cut: -3, want: io.ErrUnexpectedEOF},
			"behind the header":               {cut: -5, want: io.ErrUnexpectedEOF},
			"before the last byte":            {cut: 1, want: io.ErrUnexpectedEOF},
			"between records":                 {},
			"with close_notify":               {notify: true},
			"close_notify, the socket stays":  {notify: true, open: true},
			"in the middle of a close_notify": {notify: true, cut: 1, want: io.ErrUnexpectedEOF},
		} {
			whole := "hello"
			if c.cut == 1 && !c.notify {
				whole = ""
			}
			var got bytes.Buffer
			ended := make(chan error, 1)
			r := serveTLS(t, service{config: ofVersion(&tls.Config{}, version), serve: into(collect{&got, ended}, connection.StreamConfig{})})
			conn, held := heldPeer(t, r, r.client())
			_, _ = io.WriteString(conn, "hello")
			if c.notify {
				_ = conn.CloseWrite()
			}
			records := held.Take()
			if c.cut < 0 {
				_, _ = io.WriteString(conn, "lost")
				records = append(records, held.Take()[:-c.cut]...)
				c.cut = 0
			}
			_, _ = held.Conn.Write(records[:len(records)-c.cut])
			if !c.open {
				_ = held.Conn.(*net.TCPConn).CloseWrite()
			}
			cause := looptest.Await(t, ended, "the end of the stream, "+name)
			if !errors.Is(cause, c.want) {
				t.Errorf("%s: ended with %v, want %v", name, cause, c.want)
			}
			var opError *net.OpError
			if c.want != nil && (!errors.As(cause, &opError) || opError.Op != "read" || opError.Addr == nil) {
				t.Errorf("%s: %T is no *net.OpError of a read", name, cause)
			}
			if got.String() != whole {
				t.Errorf("%s: got %q, want %q", name, got.String(), whole)
			}
			_ = r.stop()
		}
	})
}

// collect is a handler that keeps what comes.
type collect struct {
	got   *bytes.Buffer
	ended chan error
}

func (c collect) HandleData(_ *connection.Stream, data []byte) (int, error) { return c.got.Write(data) }
func (c collect) HandleClose(_ *connection.Stream, cause error)             { c.ended <- cause }

// TestBadRecord: a record that was tampered with ends the connection, and the peer is told why.
func TestBadRecord(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		var got bytes.Buffer
		ended := make(chan error, 1)
		r := serveTLS(t, service{config: ofVersion(&tls.Config{}, version), serve: into(collect{&got, ended}, connection.StreamConfig{})})
		conn, held := heldPeer(t, r, r.client())
		_, _ = io.WriteString(conn, "good")
		good := held.Take()
		_, _ = io.WriteString(conn, "bad")
		bad := held.Take()
		bad[len(bad)-1] ^= 1
		_, _ = held.Conn.Write(append(good, bad...))
		cause := looptest.Await(t, ended, "the end of the stream")
		var opError *net.OpError
		if !errors.As(cause, &opError) || opError.Op != "read" || !strings.Contains(cause.Error(), "bad record MAC") {
			t.Errorf("ended with %v", cause)
		}
		if got.String() != "good" {
			t.Errorf("got %q", got.String())
		}
		if _, err := io.Copy(io.Discard, conn); err == nil || !strings.Contains(err.Error(), "remote error: tls: bad record MAC") {
			t.Errorf("the peer's error is %v", err)
		}
	})
}

// TestReset: a reset of the peer is the error that it is without TLS.
func TestReset(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		k := newSink(t, []byte("hello"), 0)
		seen := k.seen
		r := serveTLS(t, service{config: ofVersion(&tls.Config{}, version), serve: into(k, connection.StreamConfig{})})
		conn, held := heldPeer(t, r, r.client())
		_, _ = io.WriteString(conn, "hello")
		_, _ = held.Conn.Write(held.Take())
		looptest.Await(t, seen, "the text")
		die(held.Conn, 1)
		if cause := looptest.Await(t, k.ended, "the end of the stream"); !errors.Is(cause, syscall.ECONNRESET) {
			t.Errorf("ended with %v", cause)
		}
	})
}
