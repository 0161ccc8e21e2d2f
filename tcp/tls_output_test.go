//go:build linux

package tcp_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// pourer is a handler that writes as a test wants it, and notes what waits.
type pourer struct {
	tb      testing.TB
	open    func(*connection.Stream) error
	got     bytes.Buffer
	drained chan int // what is queued when HandleDrain is called
	ended   chan error
	stream  chan *connection.Stream
}

func newPourer(tb testing.TB, open func(*connection.Stream) error) *pourer {
	return &pourer{tb: tb, open: open, drained: make(chan int, 1000), ended: make(chan error, 1), stream: make(chan *connection.Stream, 1)}
}

func (p *pourer) HandleOpen(s *connection.Stream) error {
	err := p.open(s)
	p.stream <- s
	return err
}

func (p *pourer) HandleData(_ *connection.Stream, data []byte) (int, error) { return p.got.Write(data) }

func (p *pourer) HandleEOF(s *connection.Stream, _ []byte) error {
	s.Close()
	return nil
}

func (p *pourer) HandleDrain(s *connection.Stream) error {
	p.drained <- s.QueuedBytes()
	return nil
}

func (p *pourer) HandleClose(_ *connection.Stream, cause error) { p.ended <- cause }

// smallPeer is a client with small buffers in the kernel.
func smallPeer(tb testing.TB, r *served) *tls.Conn {
	tb.Helper()
	raw := plain(tb, r.address)
	_ = raw.(*net.TCPConn).SetReadBuffer(80 << 10)
	conn := tls.Client(raw, r.client())
	if err := conn.Handshake(); err != nil {
		tb.Fatal(err)
	}
	return conn
}

// small is the config of a server with small buffers in the kernel.
func small(version uint16, p *pourer, config connection.StreamConfig) service {
	return service{
		config:  ofVersion(&tls.Config{}, version),
		options: tcp.Options{SendBuffer: 80 << 10, ReceiveBuffer: 80 << 10},
		serve:   into(p, config),
	}
}

// readSlowly reads that text in small pieces, and lets the loop turn in between.
func readSlowly(r *served, conn io.Reader, want []byte) {
	r.tb.Helper()
	buf := make([]byte, 50_000)
	for i := 0; len(want) > 0; i++ {
		n, err := conn.Read(buf[:1+(i*7919)%len(buf)])
		if n == len(want) && errors.Is(err, io.EOF) { // which crypto/tls may tell with the last bytes
			err = nil
		}
		if err != nil || !bytes.HasPrefix(want, buf[:n]) {
			r.tb.Fatalf("read %d bytes, %v, with %d to come", n, err, len(want))
		}
		want = want[n:]
		if i%8 == 0 {
			r.do(func() {})
		}
	}
}

// TestOutputWaits: what a slow peer doesn't read waits, is counted and told of, and goes in its order,
// with the end behind it; the other direction stays open.
func TestOutputWaits(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		text := noise(rand.New(rand.NewPCG(1, 2)), 2<<20)
		p := newPourer(t, func(s *connection.Stream) error {
			for rest := text; len(rest) > 0; {
				n := min(len(rest), 300_000)
				if _, err := s.Write(rest[:n]); err != nil {
					return err
				}
				rest = rest[n:]
			}
			s.CloseWrite()
			if _, err := s.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a Write behind CloseWrite: %v", err)
			}
			return nil
		})
		r := serveTLS(t, small(version, p, connection.StreamConfig{}))
		conn := smallPeer(t, r)
		s := looptest.Await(t, p.stream, "the stream")
		r.do(func() {
			if queued := s.QueuedBytes(); queued < 1<<20 || queued > len(text)+100_000 {
				t.Errorf("%d bytes are queued", queued)
			}
			if s.Written() != uint64(len(text)) || s.Sent() >= s.Written() {
				t.Errorf("%d bytes written and %d sent of %d", s.Written(), s.Sent(), len(text))
			}
			if s.Reading() {
				t.Error("the stream reads above its high-water mark")
			}
		})
		readSlowly(r, conn, text)
		if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("behind the text: %d, %v, want the end", n, err)
		}
		if queued := looptest.Await(t, p.drained, "HandleDrain"); queued != 0 {
			t.Errorf("HandleDrain with %d bytes queued", queued)
		}
		if _, err := io.WriteString(conn, "thanks"); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if err := looptest.Await(t, p.ended, "the end"); err != nil {
			t.Errorf("ended with %v", err)
		}
		if p.got.String() != "thanks" {
			t.Errorf("got %q behind the end of writing", p.got.String())
		}
	})
}

// TestCloseDelivers: Close delivers what waits, and ends with a close_notify.
func TestCloseDelivers(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		text := noise(rand.New(rand.NewPCG(3, 4)), 1<<20)
		p := newPourer(t, func(s *connection.Stream) error {
			_, err := s.Write(text)
			s.Close()
			return err
		})
		r := serveTLS(t, small(version, p, connection.StreamConfig{}))
		conn := smallPeer(t, r)
		readSlowly(r, conn, text)
		if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("behind the text: %d, %v, want the end", n, err)
		}
		_ = conn.Close()
		if err := looptest.Await(t, p.ended, "the end"); err != nil {
			t.Errorf("ended with %v", err)
		}
	})
}

// TestEchoUnderPressure: an echo whose peer writes without reading stops reading, and goes on with it, in
// both directions at once, with the least that may wait.
func TestEchoUnderPressure(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		text := noise(rand.New(rand.NewPCG(5, 6)), 3<<20)
		r := serveTLS(t, service{
			config:  ofVersion(&tls.Config{}, version),
			options: tcp.Options{SendBuffer: 80 << 10, ReceiveBuffer: 80 << 10},
			serve:   into(connection.DataFunc(echoBack), connection.StreamConfig{HighWater: 1, MaxOutput: 200_000}),
		})
		conn := smallPeer(t, r)
		var writer sync.WaitGroup
		defer writer.Wait()
		writer.Go(func() {
			if _, err := conn.Write(text); err != nil {
				t.Error(err)
			}
		})
		readSlowly(r, conn, text)
	})
}

// TestOutputLimit: what waits is bounded.
func TestOutputLimit(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		p := newPourer(t, func(s *connection.Stream) error {
			var err error
			for err == nil {
				_, err = s.Write(make([]byte, 10_000))
			}
			return err
		})
		r := serveTLS(t, small(version, p, connection.StreamConfig{MaxOutput: 500_000}))
		_ = smallPeer(t, r)
		if err := looptest.Await(t, p.ended, "the end"); !errors.Is(err, connection.ErrOutputLimit) {
			t.Errorf("ended with %v", err)
		}
	})
}

// TestWritesOfAllSizes: what is written arrives, at the borders of records and of what one Write takes, and at a rate.
func TestWritesOfAllSizes(t *testing.T) {
	sizes := []int{0, 1, 1 << 14, 1<<14 + 1, 48<<10 - 1, 48 << 10, 48<<10 + 1, 64 << 10, 200_001}
	eachVersion(t, func(t *testing.T, version uint16) {
		for name, c := range map[string]struct {
			most   int
			config connection.StreamConfig
		}{"at once": {1 << 20, connection.StreamConfig{}}, "at a rate": {60_000, connection.StreamConfig{WriteRate: 400_000}}} {
			text := noise(rand.New(rand.NewPCG(7, 8)), 600_000)
			total := 0
			p := newPourer(t, func(s *connection.Stream) error {
				for _, n := range sizes {
					n = min(n, c.most-total)
					if _, err := s.Write(text[total : total+n]); err != nil {
						return err
					}
					total += n
				}
				return nil
			})
			r := serveTLS(t, service{config: ofVersion(&tls.Config{}, version), serve: into(p, c.config)})
			conn := peerOf(t, r.address, r.client())
			looptest.Await(t, p.stream, "the stream")
			got := make([]byte, total)
			if n, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, text[:total]) {
				t.Errorf("%s: %d bytes of %d, %v", name, n, total, err)
			}
			_ = r.stop()
		}
	})
}
