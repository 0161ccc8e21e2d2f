//go:build linux

package shmconn_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// TestKillWhileWaiting: a side that waits for room when its peer is killed is closed, once, with ErrPeerDied: not with
// what writing would say, EPIPE.
func TestKillWhileWaiting(t *testing.T) {
	for name, test := range map[string]struct {
		peer  string
		serve func(s *killSession) connection.Serve
	}{
		"a stream with output": {
			"stream pauses", func(s *killSession) connection.Serve {
				return connection.Streams(&waitingStream{s}, connection.StreamConfig{})
			},
		},
		"records, for HandleRoom": {
			"records pauses", func(s *killSession) connection.Serve {
				return shmconn.Records(&waitingRecords{s}, shmconn.RecordConfig{})
			},
		},
		"records, without HandleRoom": {
			"records pauses", func(s *killSession) connection.Serve {
				return shmconn.Records(struct {
					shmconn.RecordHandler
					shmconn.RecordOpenHandler
					shmconn.RecordCloseHandler
				}{&waitingRecords{s}, &waitingRecords{s}, &waitingRecords{s}}, shmconn.RecordConfig{})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			fdtest.Check(t)
			loop, _ := looptest.New(t)
			path := filepath.Join(t.TempDir(), "ring")
			s := &killSession{loop: loop, done: make(chan struct{})}
			s.process = startOther(t, "TestKilled", killVariable+"="+test.peer+killBetween+path, newTally(t))
			if _, err := shmconn.Listen(loop, path, test.serve(s), shmconn.ListenConfig{Ring: killConfig}); err != nil {
				t.Fatal(err)
			}
			runLoopBeside(t, loop)
			s.process.letGo()
			looptest.Await(t, s.done, "the end of the connection")
			s.process.wasKilled()
			looptest.Do(t, loop, func() {})
			if s.closes != 1 || !errors.Is(s.cause, shmconn.ErrPeerDied) || errors.Is(s.cause, syscall.EPIPE) {
				t.Errorf("ended %d times, with %v", s.closes, s.cause)
			}
		})
	}
}

// waitingStream writes more than its peer has room for, and has it killed.
type waitingStream struct{ *killSession }

func (w *waitingStream) HandleOpen(c *connection.Stream) error {
	_, err := c.Write(make([]byte, 4*killCapacity))
	w.strike()
	return err
}

func (w *waitingStream) HandleData(*connection.Stream, []byte) (int, error) {
	return 0, errors.New("data of a peer that writes nothing")
}

func (w *waitingStream) HandleClose(_ *connection.Stream, cause error) { w.closed(cause) }

// waitingRecords is the same with records.
type waitingRecords struct{ *killSession }

func (w *waitingRecords) HandleOpen(c *shmconn.RecordConn) error {
	for {
		if err := c.Send(make([]byte, 100)); errors.Is(err, shmconn.ErrFull) {
			w.strike()
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (w *waitingRecords) HandleRoom(*shmconn.RecordConn) error {
	return errors.New("room made by a peer that reads nothing")
}

func (w *waitingRecords) HandleRecords(*shmconn.RecordConn) error {
	return errors.New("records of a peer that writes nothing")
}

func (w *waitingRecords) HandleClose(_ *shmconn.RecordConn, cause error) { w.closed(cause) }
