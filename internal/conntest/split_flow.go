//go:build linux

package conntest

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// one takes a frame and pauses.
func one(seen chan<- string) func(*connection.Stream, []byte) error {
	return func(s *connection.Stream, frame []byte) error {
		s.Pause()
		seen <- string(frame)
		return nil
	}
}

func testSplitPause(t *testing.T, env Env) {
	seen := make(chan string, 10)
	f := frames{newProbe(t), one(seen)}
	r := serveStream(t, env, connection.Split(bufio.ScanLines, f), connection.StreamConfig{})
	peer := r.peer()
	s := f.stream()
	peer.send("1\n2\n3\n4")
	for _, want := range []string{"1", "2", "3"} {
		if got := looptest.Await(t, seen, "a frame"); got != want {
			t.Fatalf("handed over %q, want %q", got, want)
		}
		r.turns()
		if len(seen) > 0 {
			t.Fatalf("handed over %q while paused", <-seen)
		}
		r.do(s.Resume)
	}
	peer.send("\n")
	if got := looptest.Await(t, seen, "a frame"); got != "4" {
		t.Fatalf("handed over %q, want %q", got, "4")
	}
}

// testSplitPauseThenEOF: a peer that sends all its frames and ends its side gets each of them handled,
// also by a handler that pauses after each.
func testSplitPauseThenEOF(t *testing.T, env Env) {
	for _, last := range []string{"", "4"} {
		seen := make(chan string, 10)
		f := frames{newProbe(t), one(seen)}
		r := serveStream(t, env, connection.Split(bufio.ScanLines, f), connection.StreamConfig{})
		peer := r.peer()
		s := f.stream()
		peer.send("1\n2\n3\n" + last)
		peer.endWriting()
		for _, want := range append([]string{"1", "2", "3"}, strings.Fields(last)...) {
			select {
			case got := <-seen:
				if got != want {
					t.Fatalf("handed over %q, want %q", got, want)
				}
			case cause := <-f.endings:
				// The last frame and the end come in this order, but may both be there by now.
				if len(seen) == 0 || want != last {
					t.Fatalf("ended with %v before frame %s", cause, want)
				}
				if got := <-seen; got != want {
					t.Fatalf("handed over %q, want %q", got, want)
				}
				f.endings <- cause
			}
			r.do(s.Resume)
		}
		peer.expectEOF()
		f.endsWith(nil)
	}
}

// testSplitHeldAtEOF is the same for a handler whose answers rise above the high-water mark.
func testSplitHeldAtEOF(t *testing.T, env Env) {
	const n, size = 50, 50_000
	answer := noise(size, 1)
	f := frames{probe: newProbe(t)}
	asked := 0
	f.frame = func(s *connection.Stream, _ []byte) error {
		asked++
		_, err := s.Write(answer)
		return err
	}
	r := serveSmall(t, env, connection.Split(bufio.ScanLines, f), connection.StreamConfig{HighWater: size / 2})
	peer := r.peer()
	peer.send(strings.Repeat("question\n", n))
	peer.endWriting()
	got, err := io.ReadAll(peer)
	if err != nil || len(got) != n*size {
		t.Errorf("the peer got %d of %d answers, %v", len(got)/size, n, err)
	}
	f.endsWith(nil)
	if asked != n {
		t.Errorf("%d of %d questions were handed over", asked, n)
	}
}

// counted is a transport that counts the writes. What else a transport can do it hands on.
type counted struct {
	connection.Transport
	writes *int
}

func (c counted) Write(p []byte) (int, error) {
	*c.writes++
	return c.Transport.Write(p)
}

func (c counted) CloseWrite() error {
	return c.Transport.(interface{ CloseWrite() error }).CloseWrite()
}

// keeper is a transport that keeps bytes itself.
type keeper interface {
	Readable() bool
	Unsent() int
	Flush() error
}

// countedKeeper is a counted one.
type countedKeeper struct {
	counted
	keeper
}

type writeDescriptor interface{ WriteFD() int }

// countedPair is a counted one with two descriptors.
type countedPair struct {
	countedKeeper
	writeDescriptor
}

type announcer interface {
	Announce(again func())
	Gone() bool
	Rest()
}

// countedAnnouncer is a counted one whose descriptor only announces.
type countedAnnouncer struct {
	countedKeeper
	announcer
}

// count counts the writes of a transport.
func count(t connection.Transport, writes *int) connection.Transport {
	c := counted{t, writes}
	k, keeps := t.(keeper)
	if !keeps {
		return c
	}
	if a, ok := t.(announcer); ok {
		return countedAnnouncer{countedKeeper{c, k}, a}
	}
	if w, ok := t.(writeDescriptor); ok {
		return countedPair{countedKeeper{c, k}, w}
	}
	return countedKeeper{c, k}
}

// corked is a rig whose transports count their writes.
func corked(t *testing.T, env Env, f connection.FrameHandler) (r *rig, writes *int) {
	t.Helper()
	writes = new(int)
	h := connection.Split(bufio.ScanLines, f)
	return newRig(t, env, func(loop connection.Loop, transport connection.Transport) error {
		_, err := connection.NewStream(loop, count(transport, writes), h, connection.StreamConfig{})
		return err
	}, false), writes
}

// testSplitCorked: the answers to the frames of one read go out in one write, in order.
func testSplitCorked(t *testing.T, env Env) {
	const n = 1000
	f := frames{newProbe(t), func(s *connection.Stream, frame []byte) error {
		_, err := fmt.Fprintf(s, "re %s\n", frame)
		return err
	}}
	r, writes := corked(t, env, f)
	peer := r.peer()
	var send, want strings.Builder
	for i := range n {
		fmt.Fprintf(&send, "%d\n", i)
		fmt.Fprintf(&want, "re %d\n", i)
	}
	peer.send(send.String())
	peer.expect(want.String())
	r.do(func() {
		if *writes > 5 {
			t.Errorf("%d writes for %d small answers to one write", *writes, n)
		}
	})
}

// testSplitCorkedLarge: what has no room in the loop's buffer is neither lost nor reordered, and other streams
// can be written to meanwhile.
func testSplitCorkedLarge(t *testing.T, env Env) {
	const b = communicator.BufferSize
	sizes := []int{1, 10, b - 12, 1, 1, b, 3, b + 1, 5, 3 * b, 0, 7}
	f := frames{probe: newProbe(t)}
	var other *connection.Stream
	i := 0
	f.frame = func(s *connection.Stream, frame []byte) error {
		if string(frame) == "other" {
			other = s
			return nil
		}
		write(t, s, noise(sizes[i], uint32(i)))
		write(t, other, []byte{byte('a' + i)})
		i++
		return nil
	}
	r, _ := corked(t, env, f)
	otherPeer := r.peer()
	otherPeer.send("other\n")
	f.stream()
	r.turns()
	for set := false; !set; {
		r.do(func() { set = other != nil })
	}
	peer := r.peer()
	peer.send(strings.Repeat("go\n", len(sizes)))
	var want []byte
	for i, size := range sizes {
		want = append(want, noise(size, uint32(i))...)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(peer, got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Error("the answers differ from what was written")
	}
	otherPeer.expect("abcdefghijkl")
}
