//go:build linux

package connection_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// TestLinesCutAnywhere lets lines come in random pieces, to handlers that let what follows wait in
// random ways: each message arrives once, whole and in order.
func TestLinesCutAnywhere(t *testing.T) {
	fdtest.Check(t)
	for seed := range uint64(25) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var input strings.Builder
		var want []string
		for i := range 1 + rng.IntN(40) {
			size := rng.IntN(20)
			if rng.IntN(30) == 0 {
				size = rng.IntN(100_000) // longer than what is copied in front of the next read, and than a read
			}
			want = append(want, fmt.Sprintf("M%d a=%s", i, strings.Repeat("x", size)))
			input.WriteString(want[i] + []string{"\n", "\r\n", "\n\n"}[rng.IntN(3)])
		}
		got, cause := handledLines(t, rng, pieced(rng, input.String())...)
		if cause != nil || !slices.Equal(got, want) {
			t.Errorf("seed %d: %d messages of %d came, ended with %v", seed, len(got), len(want), cause)
		}
	}
}

// pieced cuts a text at random.
func pieced(rng *rand.Rand, text string) (parts []string) {
	most := max([]int{3, 100, 5000, 100_000}[rng.IntN(4)], len(text)/500) // no more than a thousand or so
	for text != "" {
		n := min(len(text), 1+rng.IntN(most))
		parts, text = append(parts, text[:n]), text[n:]
	}
	return parts
}

// handledLines puts a message connection on the pieces. Its handler now and then pauses it, disables
// it, or sends so much that it is held above its high-water mark, and goes on a turn later.
func handledLines(t *testing.T, rng *rand.Rand, in ...string) (lines []string, cause error) {
	t.Helper()
	loop, _ := looptest.New(t)
	p := newPieces(t, in...)
	p.room = 0
	later := func(f func()) {
		if err := loop.Post(f); err != nil {
			t.Error(err)
		}
	}
	waiting := ""
	h := message.HandlerFunc(func(from message.Sender, m *message.Message) error {
		if waiting != "" {
			t.Errorf("%v was handed over while the stream is %s", m, waiting)
		}
		text, err := m.MarshalText()
		if err != nil {
			return err
		}
		lines = append(lines, string(text))
		s := from.(*connection.MessageConn).Stream()
		switch rng.IntN(6) {
		case 0:
			waiting = "paused"
			s.Pause()
			later(func() { waiting = ""; s.Resume() })
		case 1:
			waiting = "disabled"
			s.Handle().SetEnabled(false)
			later(func() { waiting = ""; s.Handle().SetEnabled(true) })
		case 2: // more than the high-water mark; and more than is collected for one write, so that it counts at once
			later(func() { p.room = 1 << 30 })
			p.room = 0
			if _, err := io.WriteString(s, strings.Repeat("y", 70_000)); err != nil {
				return err
			}
			if s.Reading() {
				t.Error("reading above the high-water mark")
			}
		}
		return nil
	})
	_, err := connection.NewMessageConn(loop, p, h, connection.MessageConfig{
		Stream:  connection.StreamConfig{HighWater: 10},
		Drained: func(c *connection.MessageConn) error { return nil },
		Closed:  func(_ *connection.MessageConn, err error) { cause = err },
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, loop)
	return lines, cause
}

// TestLongLineInSmallPieces: a line of the longest length comes a few bytes at a time, twice, so that
// what was searched of the first one must not count for the second.
func TestLongLineInSmallPieces(t *testing.T) {
	const limit = 40_000
	long := "LONG a=" + strings.Repeat("x", limit-len("LONG a="))
	rng := rand.New(rand.NewPCG(1, 2))
	var parts []string
	for _, line := range []string{long, "S", long, "S"} {
		for line += "\n"; line != ""; {
			n := min(len(line), 1+rng.IntN(60))
			parts, line = append(parts, line[:n]), line[n:]
		}
	}
	var got []string
	loop, _ := looptest.New(t)
	_, err := connection.NewMessageConn(loop, newPieces(t, parts...), message.HandlerFunc(func(_ message.Sender, m *message.Message) error {
		text, err := m.MarshalText()
		got = append(got, string(text))
		return err
	}), connection.MessageConfig{
		Stream: connection.StreamConfig{MaxInput: limit},
		Closed: func(_ *connection.MessageConn, cause error) {
			if cause != nil {
				t.Errorf("ended with %v", cause)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, loop)
	if !slices.Equal(got, []string{long, "S", long, "S"}) {
		t.Errorf("%d messages came", len(got))
	}
}

// TestUnfinishedInputIsNotCopiedAgainAndAgain: what a peer may leave unfinished for long costs memory
// once, not for each piece that comes.
func TestUnfinishedInputIsNotCopiedAgainAndAgain(t *testing.T) {
	const size, piece = 256 << 10, 64
	line := "LONG a=" + strings.Repeat("x", size) + "\n"
	var parts []string
	for ; len(line) > piece; line = line[piece:] {
		parts = append(parts, line[:piece])
	}
	received := 0
	loop, _ := looptest.New(t)
	handler := message.HandlerFunc(func(_ message.Sender, m *message.Message) error {
		received = len(m.Get("a"))
		return nil
	})
	if _, err := connection.NewMessageConn(loop, newPieces(t, append(parts, line)...), handler, connection.MessageConfig{}); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run(t, loop)
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; received != size || allocated > 16*size {
		t.Errorf("received %d bytes, allocated %d", received, allocated)
	}
}

// TestMessageConnDrained: Drained is called when what had to wait has gone, and not for what had not;
// its error ends the connection.
func TestMessageConnDrained(t *testing.T) {
	for _, want := range []error{nil, errTest} {
		fdtest.Check(t)
		loop, _ := looptest.New(t)
		p := newPieces(t)
		p.end = connection.ErrWouldBlock
		drains := 0
		var cause error
		c, err := connection.NewMessageConn(loop, p, message.HandlerFunc(nil), connection.MessageConfig{
			Drained: func(c *connection.MessageConn) error {
				if drains++; c.Stream().QueuedBytes() != 0 || p.out.String() != "AT_ONCE\nLATER\n" {
					t.Errorf("drained with %d bytes queued, %q written", c.Stream().QueuedBytes(), p.out.String())
				}
				if want == nil {
					c.Close()
				}
				return want
			},
			Closed: func(_ *connection.MessageConn, err error) { cause = err },
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Send(message.New("AT_ONCE")); err != nil {
			t.Fatal(err)
		}
		p.room = 0
		if err := c.Send(message.New("LATER")); err != nil {
			t.Fatal(err)
		}
		if err := loop.Post(func() {
			if drains != 0 {
				t.Error("drained while the peer takes nothing")
			}
			p.room = -1
		}); err != nil {
			t.Fatal(err)
		}
		run(t, loop)
		if drains != 1 || !errors.Is(cause, want) {
			t.Errorf("drained %d times, ended with %v, want %v", drains, cause, want)
		}
	}
}
