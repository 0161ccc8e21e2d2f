//go:build linux

package conntest

import (
	"io"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
)

var rateCases = []testCase{
	{"Read", testReadRate},
	{"Write", testWriteRate},
	{"Both", testBothRates},
	{"WriteThenClose", testWriteRateThenClose},
	{"Few", testFewBytes},
}

const (
	testRate  = 1 << 20
	testBytes = 320 << 10
)

// atLeast is the least time that n bytes take: a tenth of the rate may come at once.
func atLeast(n, rate int) time.Duration {
	return time.Duration(float64(n-rate/10) / float64(rate) * float64(time.Second))
}

func tookAtLeast(tb testing.TB, start time.Time, n, rate int) {
	tb.Helper()
	if took, want := time.Since(start), atLeast(n, rate); took < want {
		tb.Errorf("%d bytes took %v, want %v at least", n, took, want)
	}
}

func testReadRate(t *testing.T, env Env) {
	p, received := collector(t)
	r := serveStream(t, env, p, connection.StreamConfig{ReadRate: testRate})
	text := noise(testBytes, 1)
	start := time.Now()
	peer := r.peer()
	peer.send(string(text))
	peer.endWriting()
	peer.expectEOF()
	tookAtLeast(t, start, testBytes, testRate)
	p.endsWith(nil)
	r.do(func() {
		if sum(received.Bytes()) != sum(text) {
			t.Errorf("got %d bytes that are not the %d sent", received.Len(), len(text))
		}
	})
}

func testWriteRate(t *testing.T, env Env) {
	p := newProbe(t)
	text := noise(testBytes, 2)
	p.open = func(s *connection.Stream) error {
		for rest := text; len(rest) > 0; rest = rest[min(10_000, len(rest)):] {
			write(t, s, rest[:min(10_000, len(rest))])
		}
		return nil
	}
	r := serveStream(t, env, p, connection.StreamConfig{WriteRate: testRate})
	start := time.Now()
	peer := r.peer()
	peer.expect(string(text))
	tookAtLeast(t, start, testBytes, testRate)
	peer.send("still there")
	peer.endWriting()
	peer.expectEOF()
	p.endsWith(nil)
}

// testBothRates has an echo with a high-water mark below what is sent, and pauses in between.
func testBothRates(t *testing.T, env Env) {
	p := newProbe(t)
	n := 0
	p.data = func(s *connection.Stream, data []byte) (int, error) {
		if n++; n%3 == 0 {
			s.Pause()
			if err := s.Loop().Post(s.Resume); err != nil {
				t.Error(err)
			}
		}
		return s.Write(data)
	}
	r := serveSmall(t, env, p, connection.StreamConfig{ReadRate: 2 * testRate, WriteRate: testRate, HighWater: 50_000})
	text := noise(testBytes, 3)
	start := time.Now()
	peer := r.peer()
	wait := beside(t, func() error {
		_, err := peer.Write(text)
		return err
	})
	peer.expect(string(text))
	wait()
	tookAtLeast(t, start, testBytes, testRate)
	peer.close()
	p.endsWith(nil)
}

// testWriteRateThenClose: a stream that closes delivers what waits for its rate.
func testWriteRateThenClose(t *testing.T, env Env) {
	p := newProbe(t)
	text := noise(testBytes, 4)
	p.open = func(s *connection.Stream) error {
		write(t, s, text)
		s.Close()
		p.mute(s, "Close")
		return nil
	}
	r := serveStream(t, env, p, connection.StreamConfig{WriteRate: testRate})
	start := time.Now()
	peer := r.peer()
	got, err := io.ReadAll(peer)
	if err != nil || sum(got) != sum(text) {
		t.Errorf("the peer got %d of %d bytes, %v", len(got), len(text), err)
	}
	tookAtLeast(t, start, testBytes, testRate)
	peer.close()
	p.endsWith(nil)
}

// testFewBytes: a rate of a few bytes a second is one, too.
func testFewBytes(t *testing.T, env Env) {
	const rate = 20
	p := newProbe(t)
	p.data = echo
	r := serveStream(t, env, p, connection.StreamConfig{ReadRate: rate, WriteRate: rate})
	start := time.Now()
	peer := r.peer()
	peer.send("12345678")
	peer.expect("12345678")
	tookAtLeast(t, start, 8, rate)
}
