//go:build linux

package conntest

import (
	"io"
	"runtime"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

var loopCases = []testCase{
	{"Ends", testLoopEnds},
	{"EndsWithOutput", testLoopEndsWithOutput},
	{"RunEndsByItself", testRunEndsByItself},
	{"Listing", testListing},
	{"Priority", testPriority},
	{"ServeError", testServeError},
	{"CloseListener", testCloseListener},
	{"EchoAllocatesNothing", testEchoAllocatesNothing},
	{"IdleOwnsNoBuffer", testIdleOwnsNoBuffer},
}

func testLoopEnds(t *testing.T, env Env) {
	for _, cause := range []error{nil, errTest} {
		p := newProbe(t)
		r := serveStream(t, env, p, connection.StreamConfig{})
		peers := []*peer{r.peer(), r.peer(), r.peer()}
		for range peers {
			p.stream()
		}
		closing := r.peer()
		s := p.stream()
		r.do(s.Close)
		closing.expectEOF()
		_ = r.stop(cause)
		if cause == nil {
			cause = communicator.ErrClosed
		}
		for _, peer := range append(peers, closing) {
			p.endsWith(cause)
			peer.expectEnd()
		}
	}
}

// testLoopEndsWithOutput: what the kernel takes without waiting is not lost.
func testLoopEndsWithOutput(t *testing.T, env Env) {
	p := newProbe(t)
	p.data = func(s *connection.Stream, data []byte) (int, error) {
		_, err := s.Write([]byte("goodbye"))
		s.Loop().Stop(nil)
		return len(data), err
	}
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	peer.send("end")
	peer.expect("goodbye")
	peer.expectEOF()
	p.endsWith(communicator.ErrClosed)
}

// testRunEndsByItself: when the listener and the last stream have gone nothing is left.
func testRunEndsByItself(t *testing.T, env Env) {
	p := newProbe(t)
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	p.stream()
	r.do(r.Listener.Close)
	peer.send("the connection lives on")
	peer.endWriting()
	peer.expectEOF()
	p.endsWith(nil)
	looptest.Await(t, r.done, "the end of Run")
	if r.err != nil {
		t.Errorf("Run: %v", r.err)
	}
}

func testListing(t *testing.T, env Env) {
	p := newProbe(t)
	p.open = func(s *connection.Stream) error {
		write(t, s, make([]byte, 1<<20))
		return nil
	}
	r := serveSmall(t, env, p, connection.StreamConfig{Name: "a peer", Priority: 3})
	r.peer()
	s := p.stream()
	r.do(func() {
		list := r.loop.Sources()
		if len(list) != env.sources(1) {
			t.Errorf("%d sources, want the listener and those of a stream: %v", len(list), list)
			return
		}
		if want := "listener " + r.Listener.Addr().Network() + " " + r.Listener.Addr().String(); list[0].Name != want {
			t.Errorf("the listener is called %q, want %q", list[0].Name, want)
		}
		i, last := list[1+env.Background], list[len(list)-1]
		if i.Name != "a peer" || i.Priority != 3 || i.Queued != s.QueuedBytes() || i.Queued == 0 || last.Want&(communicator.Write|communicator.EdgeTriggered) == 0 {
			t.Errorf("the stream is listed as %v, with %d bytes queued", i, s.QueuedBytes())
		}
	})
}

// testPriority: of two streams with data the more important one is served first.
func testPriority(t *testing.T, env Env) {
	for _, urgent := range []int{1, -1} {
		p := newProbe(t)
		order := make(chan int, 2)
		p.data = func(s *connection.Stream, data []byte) (int, error) {
			order <- s.Handle().Priority()
			return len(data), nil
		}
		r := serveStream(t, env, p, connection.StreamConfig{Priority: 2})
		first := r.peer()
		p.stream()
		second := r.peer()
		s := p.stream()
		r.do(func() {
			s.Handle().SetPriority(urgent)
			for _, peer := range []*peer{first, second} {
				if _, err := peer.Write([]byte("data")); err != nil {
					t.Error(err)
				}
			}
		})
		if a, b := looptest.Await(t, order, "data"), looptest.Await(t, order, "data"); a != urgent || b != 2 {
			t.Errorf("served priority %d, then %d", a, b)
		}
	}
}

func testServeError(t *testing.T, env Env) {
	p := newProbe(t)
	fail := true
	serve := func(loop connection.Loop, transport connection.Transport) error {
		if fail {
			fail = false
			_ = transport.Close()
			return errTest
		}
		_, err := connection.NewStream(loop, transport, p, connection.StreamConfig{})
		return err
	}
	r := newRig(t, env, serve, false)
	r.peer().expectEnd()
	r.peer().endWriting()
	p.endsWith(nil)
	if found := r.logs.Containing(errTest.Error()); len(found) != 1 {
		t.Errorf("logged %q, want the error once", found)
	}
}

// testCloseListener closes the listener from within serve: no other connection is taken.
func testCloseListener(t *testing.T, env Env) {
	p := newProbe(t)
	var r *rig
	r = newRig(t, env, func(loop connection.Loop, transport connection.Transport) error {
		r.Listener.Close()
		_, err := connection.NewStream(loop, transport, p, connection.StreamConfig{})
		return err
	}, false)
	ready := make(chan bool)
	if err := r.loop.Post(func() { ready <- true; <-ready }); err != nil { // so that both wait to be accepted
		t.Fatal(err)
	}
	<-ready
	peers := make([]*peer, 2)
	for i := range peers {
		peers[i], _ = r.earlyPeer()
	}
	ready <- true
	s := p.stream()
	r.do(func() {
		if r.Listener.Accepted() != 1 {
			t.Errorf("%d connections accepted, want 1", r.Listener.Accepted())
		}
		if n := r.loop.Stats().Live; n != env.sources(1)-1 {
			t.Errorf("%d sources left in the loop, want those of the stream", n)
		}
		s.Close()
	})
	peers[0].expectEOF()
	peers[1].expectEnd()
}

// testEchoAllocatesNothing counts what the loop and the peer allocate.
func testEchoAllocatesNothing(t *testing.T, env Env) {
	r := serveStream(t, env, connection.DataFunc(echo), connection.StreamConfig{})
	peer := r.peer()
	text, got := []byte("a small text, and back"), make([]byte, 64)
	round := func() {
		if _, err := peer.Write(text); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(peer, got[:len(text)]); err != nil {
			t.Fatal(err)
		}
	}
	round()
	if n := testing.AllocsPerRun(500, round); n > env.Allocations {
		t.Errorf("%v allocations for each echo, want no more than %v", n, env.Allocations)
	}
}

// testIdleOwnsNoBuffer: streams that had much to keep keep no memory when they are idle, also if that was handed
// over again after a pause.
func testIdleOwnsNoBuffer(t *testing.T, env Env) {
	const n, size = 50, 200_000
	p := newProbe(t)
	done := make(chan *connection.Stream, n)
	pausing := false
	p.data = func(s *connection.Stream, data []byte) (int, error) {
		switch {
		case len(data) < size:
			return 0, nil
		case pausing:
			pausing = false
			s.Pause()
			done <- s
			return 0, nil
		}
		return s.Write(data)
	}
	r := serveStream(t, env, p, connection.StreamConfig{})
	text := string(make([]byte, size))
	peers := make([]*peer, n)
	for i := range peers {
		peers[i] = r.peer()
		p.stream()
	}
	before := heap()
	for _, peer := range peers {
		peer.send(text)
		peer.expect(text)
		r.do(func() { pausing = true })
		peer.send(text)
		s := looptest.Await(t, done, "all of it")
		r.do(s.Resume)
		peer.expect(text)
	}
	r.turns()
	if grown := heap() - before; grown > n*(size/10+env.IdleBytes) {
		t.Errorf("%d idle streams keep %d bytes", n, grown)
	}
}

// heap is the memory in use.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools kept
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
