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
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// waits are the ways in which a handler lets what follows wait, and how that goes on.
var waits = []struct {
	name          string
	begin, goesOn func(*connection.Stream)
}{
	{"paused", (*connection.Stream).Pause, (*connection.Stream).Resume},
	{
		"disabled",
		func(s *connection.Stream) { s.Handle().SetEnabled(false) },
		func(s *connection.Stream) { s.Handle().SetEnabled(true) },
	},
}

// layers are those that cut what comes into pieces and hand over one after the other: each calls f
// with the stream and a word.
var layers = []struct {
	name  string
	serve func(f func(*connection.Stream, string), closed func(error), config connection.StreamConfig) connection.Serve
}{
	{"Split", func(f func(*connection.Stream, string), closed func(error), config connection.StreamConfig) connection.Serve {
		return connection.Streams(connection.Split(bufio.ScanLines, words{f, closed}), config)
	}},
	{"Messages", func(f func(*connection.Stream, string), closed func(error), config connection.StreamConfig) connection.Serve {
		return connection.Messages(message.HandlerFunc(func(from message.Sender, m *message.Message) error {
			f(from.(*connection.MessageConn).Stream(), m.Command())
			return nil
		}), connection.MessageConfig{Stream: config, Closed: func(_ *connection.MessageConn, cause error) { closed(cause) }})
	}},
	{"Stream", func(f func(*connection.Stream, string), closed func(error), config connection.StreamConfig) connection.Serve {
		return connection.Streams(oneLine{words{f, closed}}, config)
	}},
}

// words is a handler of frames.
type words struct {
	f      func(*connection.Stream, string)
	closed func(error)
}

func (w words) HandleFrame(s *connection.Stream, frame []byte) error {
	w.f(s, string(frame))
	return nil
}

func (w words) HandleClose(_ *connection.Stream, cause error) { w.closed(cause) }

// oneLine consumes one line at a time.
type oneLine struct{ words }

func (o oneLine) HandleData(s *connection.Stream, data []byte) (int, error) {
	word, _, found := strings.Cut(string(data), "\n")
	if !found {
		return 0, nil
	}
	o.f(s, word)
	return len(word) + 1, nil
}

// eachLayer runs a test for each layer and each way to wait.
func eachLayer(t *testing.T, test func(t *testing.T, layer, wait int)) {
	for l := range layers {
		for w := range waits {
			t.Run(layers[l].name+"_"+waits[w].name, func(t *testing.T) { test(t, l, w) })
		}
	}
}

// testHonestPeer: many small frames that come in one read are more than MaxInput together. No peer is
// cut off for that when the handler takes its time for each.
func testHonestPeer(t *testing.T, env Env) {
	const n = 300
	eachLayer(t, func(t *testing.T, l, w int) {
		var input strings.Builder
		var want []string
		for i := range n {
			want = append(want, fmt.Sprintf("W%d", i))
			fmt.Fprintln(&input, want[i])
		}
		var got []string
		endings := make(chan error, 1)
		r := newRig(t, env, layers[l].serve(func(s *connection.Stream, word string) {
			got = append(got, word)
			waits[w].begin(s)
			if err := s.Loop().Post(func() { waits[w].goesOn(s) }); err != nil {
				t.Error(err)
			}
		}, func(cause error) { endings <- cause }, connection.StreamConfig{MaxInput: 20}), false)
		peer := r.peer()
		peer.send(input.String())
		peer.endWriting()
		peer.expectEnd()
		if cause := looptest.Await(t, endings, "the end of the connection"); cause != nil {
			t.Errorf("ended with %v", cause)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d frames were handed over, want %d", len(got), n)
		}
	})
}

// testHonestPeerHeld is the same where the output is above the high-water mark.
func testHonestPeerHeld(t *testing.T, env Env) {
	const n, size = 40, 50_000
	answer := noise(size, 1)
	for _, layer := range layers[:2] {
		t.Run(layer.name, func(t *testing.T) {
			asked := 0
			endings := make(chan error, 1)
			r := newRig(t, env, layer.serve(func(s *connection.Stream, _ string) {
				asked++
				write(t, s, answer)
			}, func(cause error) { endings <- cause }, connection.StreamConfig{MaxInput: 20, HighWater: size / 2}), true)
			peer := r.peer()
			peer.send(strings.Repeat("QUESTION\n", n))
			peer.endWriting()
			got, err := io.ReadAll(peer)
			if cause := looptest.Await(t, endings, "the end of the connection"); cause != nil {
				t.Errorf("ended with %v", cause)
			}
			if err != nil || len(got) != n*size || asked != n {
				t.Errorf("the peer got %d of %d answers to %d questions, %v", len(got)/size, n, asked, err)
			}
		})
	}
}

// testOutputBelowHighWater: MaxOutput alone is set, below the default of HighWater. A peer that reads
// slowly is still not read from, rather than cut off.
func testOutputBelowHighWater(t *testing.T, env Env) {
	const limit = 200_000 // more than two reads, less than DefaultHighWater
	text := noise(4<<20, 7)
	p := newProbe(t)
	held := make(chan bool, 1)
	most := 0
	p.data = func(s *connection.Stream, data []byte) (int, error) {
		n, err := s.Write(data)
		most = max(most, s.QueuedBytes())
		if !s.Reading() {
			select {
			case held <- true:
			default:
			}
		}
		return n, err
	}
	r := serveSmall(t, env, p, connection.StreamConfig{MaxOutput: limit})
	peer := r.peer()
	wait := beside(t, func() error {
		_, err := peer.Write(text)
		return err
	})
	select {
	case <-held:
	case cause := <-p.endings:
		t.Fatalf("ended with %v before it was held", cause)
	}
	r.turns()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(peer, got); err != nil {
		t.Fatal(err)
	}
	wait()
	if sum(got) != sum(text) {
		t.Error("the echo differs from what was sent")
	}
	r.do(func() {
		if most <= limit/2 || most > limit/2+communicator.BufferSize {
			t.Errorf("up to %d bytes were queued; want more than %d, by one read at most", most, limit/2)
		}
	})
}

// testWaitAfterFirst: what follows is handed over when the handler lets it, without anything new from
// the peer, and not before.
func testWaitAfterFirst(t *testing.T, env Env) {
	eachLayer(t, func(t *testing.T, l, w int) {
		seen := make(chan string, 10)
		streams := make(chan *connection.Stream, 10)
		r := newRig(t, env, layers[l].serve(func(s *connection.Stream, word string) {
			waits[w].begin(s)
			seen <- word
			streams <- s
		}, func(error) {}, connection.StreamConfig{}), false)
		peer := r.peer()
		peer.send("ONE\nTWO\nTHREE\n")
		for _, want := range []string{"ONE", "TWO", "THREE"} {
			if got := looptest.Await(t, seen, want); got != want {
				t.Fatalf("handed over %q, want %q", got, want)
			}
			s := <-streams
			r.turns()
			if len(seen) > 0 {
				t.Fatalf("handed over %q while %s", <-seen, waits[w].name)
			}
			r.do(func() { waits[w].goesOn(s) })
		}
	})
}

// testCloseWhileWaiting: a stream that takes nothing can be closed, gracefully, all the same.
func testCloseWhileWaiting(t *testing.T, env Env) {
	eachLayer(t, func(t *testing.T, l, w int) {
		streams := make(chan *connection.Stream, 10)
		endings := make(chan error, 1)
		r := newRig(t, env, layers[l].serve(func(s *connection.Stream, word string) {
			if word != "ONE" {
				t.Errorf("handed over %q", word)
			}
			waits[w].begin(s)
			streams <- s
		}, func(cause error) { endings <- cause }, connection.StreamConfig{}), false)
		peer := r.peer()
		peer.send("ONE\nTWO\n")
		s := looptest.Await(t, streams, "the first word")
		r.turns()
		r.do(func() {
			write(t, s, []byte("goodbye"))
			s.Close()
		})
		peer.expect("goodbye")
		peer.expectEOF()
		peer.close()
		if cause := looptest.Await(t, endings, "the end of the connection"); cause != nil {
			t.Errorf("ended with %v", cause)
		}
	})
}
