//go:build linux

package shmconn_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

const (
	// killVariable says in the environment what the process does that is going to be killed; see TestKilled.
	killVariable = "SHMCONN_TEST_KILLED"
	// killCapacity is that of the rings of these tests: small, so that both sides often wait for room.
	killCapacity = 16 << 10
	// killBetween parts what is done from the path.
	killBetween = " at "
	// killListens is what a process says when it listens.
	killListens = "killListens"
)

var killConfig = shmconn.Config{Capacity: killCapacity}

// killCase is who is killed.
type killCase struct {
	stream bool // else records
	echoes bool // else it sends, and receives nothing
	listen bool // it listens; else it dials
}

func (k killCase) String() string {
	var words []string
	for _, w := range []struct {
		is      bool
		yes, no string
	}{{k.stream, "stream", "records"}, {k.echoes, "echoes", "sends"}, {k.listen, "listens", "dials"}} {
		if words = append(words, w.no); w.is {
			words[len(words)-1] = w.yes
		}
	}
	return strings.Join(words, " ")
}

// Of every process that is killed its peer hears once, and gets all that was committed. These tests kill 200 in all.

func TestKillSenderOfRecords(t *testing.T) { killPeers(t, killCase{}) }
func TestKillEchoOfRecords(t *testing.T)   { killPeers(t, killCase{echoes: true}) }
func TestKillSenderOfStream(t *testing.T)  { killPeers(t, killCase{stream: true}) }
func TestKillEchoOfStream(t *testing.T)    { killPeers(t, killCase{stream: true, echoes: true}) }

// What a listener that was killed leaves behind is replaced by the next.

func TestKillListenerOfRecords(t *testing.T) { killPeers(t, killCase{echoes: true, listen: true}) }
func TestKillListenerOfStream(t *testing.T) {
	killPeers(t, killCase{stream: true, echoes: true, listen: true})
}

// killSession is one connection of the side that lives on, up to its end.
type killSession struct {
	loop      *communicator.Communicator
	process   *otherProcess
	killAfter uint64        // so many records have come; 0: as soon as the connection stands
	killIn    time.Duration // instead of that: so long after it stands
	pauses    bool          // and reads on when the peer has gone
	conn      interface {
		Pause()
		Resume()
	}

	paused   bool
	received uint64 // records
	bytes    uint64 // of a stream
	closes   int
	cause    error
	done     chan struct{}
}

func (s *killSession) begin(conn interface {
	Pause()
	Resume()
}) {
	s.conn = conn
	switch {
	case s.killIn > 0:
		s.after(s.killIn, s.strike)
	case s.killAfter == 0:
		s.strike()
	}
}

func (s *killSession) came() {
	if s.received++; s.received == s.killAfter && s.killIn == 0 {
		s.strike()
	}
}

// strike kills the peer.
func (s *killSession) strike() {
	s.process.kill()
	if s.pauses {
		s.paused = true
		s.conn.Pause()
		s.after(2*time.Millisecond, func() {
			s.paused = false
			s.conn.Resume()
		})
	}
}

func (s *killSession) after(d time.Duration, f func()) {
	_, err := timer.After(s.loop, d, func(*timer.Timer) error { f(); return nil }, communicator.Options{})
	if err != nil {
		panic(err)
	}
}

func (s *killSession) closed(cause error) {
	if s.closes++; s.closes == 1 {
		s.cause = cause
		close(s.done)
	}
}

// expects tells whether the connection has ended as it has to: with what reading says. But a stream that has something to
// write while it is paused learns it by writing, as one on a socket does.
func (s *killSession) expects(k killCase) bool {
	if k.stream && k.echoes && s.pauses && errors.Is(s.cause, syscall.EPIPE) {
		return true
	}
	return errors.Is(s.cause, shmconn.ErrPeerDied) && errors.Is(s.cause, syscall.ECONNRESET)
}

// handlers are those of the side that lives on, for both faces.
func (s *killSession) handlers(k killCase) (*recordSurvivor, *streamSurvivor) {
	records, stream := &recordSurvivor{killSession: s}, &streamSurvivor{killSession: s}
	if k.echoes {
		records.sender = &recordSender{count: func(uint64) {}}
		stream.sender = &streamSender{count: func(uint64) {}}
	}
	return records, stream
}

func (s *killSession) serve(k killCase, loop connection.Loop, t connection.Transport) (err error) {
	records, stream := s.handlers(k)
	if k.stream {
		_, err = connection.NewStream(loop, t, stream, connection.StreamConfig{})
	} else {
		_, err = shmconn.NewRecordConn(loop, t, records, shmconn.RecordConfig{})
	}
	return err
}

func (s *killSession) dial(k killCase, path string) (err error) {
	records, stream := s.handlers(k)
	d := shmconn.Dialer{Path: path, Ring: killConfig}
	if k.stream {
		_, err = connection.DialStream(s.loop, d, stream, connection.StreamConfig{})
	} else {
		_, err = shmconn.DialRecords(s.loop, d, records, shmconn.RecordConfig{})
	}
	return err
}

// killPeers kills one process after the other, and looks after each what the side that lives on has got.
func killPeers(t *testing.T, k killCase) {
	fdtest.Check(t)
	rounds := killRounds
	if testing.Short() {
		rounds = min(rounds, 5)
	}
	loop, _ := looptest.New(t)
	path := filepath.Join(t.TempDir(), "ring")
	var session *killSession
	if !k.listen {
		serve := func(loop connection.Loop, t connection.Transport) error { return session.serve(k, loop, t) }
		if _, err := shmconn.Listen(loop, path, serve, shmconn.ListenConfig{Ring: killConfig}); err != nil {
			t.Fatal(err)
		}
	}
	release, err := loop.Hold()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	runLoopBeside(t, loop)
	tally := newTally(t)
	before := ringHoldings(t)
	start := func() *otherProcess {
		return startOther(t, "TestKilled", killVariable+"="+strings.Join([]string{k.String(), path}, killBetween), tally)
	}
	process := start()
	for round := range rounds {
		s := &killSession{
			loop: loop, process: process, pauses: round%4 == 3, killAfter: uint64(rand.IntN(300)), done: make(chan struct{}),
		}
		if round%3 == 2 {
			s.killIn = time.Duration(1 + rand.IntN(int(3*time.Millisecond)))
		}
		tally.Store(0)
		looptest.Do(t, loop, func() { session = s })
		process.letGo()
		if k.listen {
			process.says(killListens)
			looptest.Do(t, loop, func() { err = s.dial(k, path) })
			if err != nil {
				t.Fatal(err)
			}
		}
		looptest.Await(t, s.done, "the end of the connection")
		process.wasKilled()
		if round+1 < rounds {
			process = start() // while this one is looked at
		}
		looptest.Do(t, loop, func() {}) // a second end would have come
		got, want := s.received, tally.Load()
		if k.stream {
			got = s.bytes
		}
		if got < want {
			t.Errorf("%d have come, of %d that were committed", got, want)
		}
		if s.closes != 1 || !s.expects(k) {
			t.Errorf("ended %d times, with %v", s.closes, s.cause)
		}
		if now := ringHoldings(t); now != before {
			t.Errorf("before there were %s; now there are %s", before, now)
		}
		if t.Failed() {
			t.Fatalf("in round %d: killed after %d or %v, pauses: %v", round, s.killAfter, s.killIn, s.pauses)
		}
	}
}

// TestKilled is what the process does that is going to be killed.
func TestKilled(t *testing.T) {
	what, path, is := strings.Cut(os.Getenv(killVariable), killBetween)
	if !is {
		return // it runs as an ordinary test
	}
	tally := mapTally(t, inherited)
	if !otherLetGo() {
		return
	}
	has := func(word string) bool { return strings.Contains(what, word) }
	count := func(n uint64) { tally.Store(n) }
	loop, _ := looptest.New(t)
	records := &recordPeer{echoes: has("echoes"), pauses: has("pauses"), sender: recordSender{count: count}}
	stream := &streamPeer{echoes: has("echoes"), pauses: has("pauses"), sender: streamSender{count: count}}
	d := shmconn.Dialer{Path: path, Ring: killConfig}
	var err error
	switch {
	case has("listens"):
		serve := shmconn.Records(records, shmconn.RecordConfig{})
		if has("stream") {
			serve = connection.Streams(stream, connection.StreamConfig{})
		}
		if _, err = shmconn.Listen(loop, path, serve, shmconn.ListenConfig{Ring: killConfig}); err == nil {
			fmt.Println(killListens)
		}
	case has("stream"):
		_, err = connection.DialStream(loop, d, stream, connection.StreamConfig{})
	default:
		_, err = shmconn.DialRecords(loop, d, records, shmconn.RecordConfig{})
	}
	if err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
}
