//go:build linux

package connection_test

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestClosingSleeps: a stream that closes, and whose peer reads some of its output and then no more, waits for the end of
// CloseTimeout asleep, whatever limits it had before.
func TestClosingSleeps(t *testing.T) {
	fdtest.Check(t)
	const limit = 60 * time.Millisecond
	for name, config := range map[string]connection.StreamConfig{
		"no limits": {},
		"idle":      {IdleTimeout: time.Millisecond},
		"all":       {IdleTimeout: time.Millisecond, ReadTimeout: time.Millisecond, ReadRate: 1 << 30, WriteRate: 1 << 30},
	} {
		loop, _ := looptest.New(t)
		fd, peer := pair(t, unix.SOCK_STREAM)
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1); err != nil {
			t.Fatal(err)
		}
		socket, err := connection.NewSocket(fd)
		if err != nil {
			t.Fatal(err)
		}
		var cause error
		var moved int
		config.CloseTimeout = limit
		s := newStream(t, loop, socket, &handler{close: func(s *connection.Stream, err error) {
			cause = err
			moved += int(s.Sent())
		}}, config)
		if _, err := s.Write(make([]byte, 200_000)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		s.Close()
		moved -= int(s.Sent())
		if n, err := unix.Read(peer, make([]byte, s.Sent())); n <= 0 || err != nil { // so there is room for some more
			t.Fatalf("the peer read %d, %v", n, err)
		}
		run(t, loop)
		if took := time.Since(began); !errors.Is(cause, connection.ErrCloseTimeout) || took < limit || moved <= 0 {
			t.Errorf("%s: ended with %v after %v and %d bytes more", name, cause, took, moved)
		}
		if turns := loop.Stats().Turns; turns > 20 {
			t.Errorf("%s: %d turns: the loop did not sleep", name, turns)
		}
		_ = unix.Close(peer)
	}
}
