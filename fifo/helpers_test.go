//go:build linux

package fifo_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/fifo"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

// running is a loop on a goroutine of its own until the test ends.
type running struct {
	tb   testing.TB
	loop connection.Loop
	log  *looptest.Log
	done chan error
}

func newRunning(tb testing.TB) *running {
	tb.Helper()
	loop, log := looptest.New(tb)
	return &running{tb: tb, loop: loop, log: log, done: make(chan error, 1)}
}

// run runs the loop. It comes after the first source, or the loop would end at once.
func (r *running) run() {
	r.tb.Helper()
	go func() { r.done <- r.loop.Run(context.Background()) }()
	r.tb.Cleanup(r.stop)
}

func (r *running) stop() {
	r.tb.Helper()
	r.loop.Stop(nil)
	if err := looptest.Await(r.tb, r.done, "the end of Run"); err != nil {
		r.tb.Errorf("Run: %v", err)
	}
	r.done <- nil
}

func (r *running) do(f func()) {
	r.tb.Helper()
	looptest.Do(r.tb, r.loop, f)
}

// turns lets the loop make a few turns.
func (r *running) turns() {
	r.tb.Helper()
	for range 5 {
		r.do(func() {})
	}
}

// stats is how many callbacks the loop has made.
func (r *running) callbacks() (n uint64) {
	r.tb.Helper()
	r.do(func() { n = r.loop.Stats().Callbacks })
	return n
}

// session is what one connection of a FIFO has brought.
type session struct {
	text  string
	cause error
}

// sessions is a handler that collects the text of each connection.
type sessions struct {
	ended   chan session
	begun   chan *connection.Stream
	text    map[*connection.Stream]string
	data    func(s *connection.Stream, data []byte) // nil: nothing more is done
	partial bool                                    // what is no whole line is left unconsumed
}

func newSessions() *sessions {
	return &sessions{
		ended: make(chan session, 10_000), begun: make(chan *connection.Stream, 10_000),
		text: map[*connection.Stream]string{},
	}
}

func (h *sessions) HandleOpen(s *connection.Stream) error {
	h.begun <- s
	return nil
}

func (h *sessions) HandleData(s *connection.Stream, data []byte) (int, error) {
	if h.partial && data[len(data)-1] != '\n' {
		return 0, nil
	}
	h.text[s] += string(data)
	if h.data != nil {
		h.data(s, data)
	}
	return len(data), nil
}

func (h *sessions) HandleClose(s *connection.Stream, cause error) {
	h.ended <- session{h.text[s], cause}
	delete(h.text, s)
}

// expect waits for the end of a connection that has brought that.
func (h *sessions) expect(tb testing.TB, text string, cause error) {
	tb.Helper()
	got := looptest.Await(tb, h.ended, "the end of a connection")
	if got.text != text || !errors.Is(got.cause, cause) {
		tb.Errorf("a connection brought %.100q and ended with %v, want %.100q and %v", got.text, got.cause, text, cause)
	}
}

// listening is a running loop that listens on a FIFO.
func listening(tb testing.TB, h connection.StreamHandler, config fifo.ListenConfig) (r *running, path string, l *connection.Listener) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "fifo")
	r = newRunning(tb)
	l, err := fifo.Listen(r.loop, path, connection.Streams(h, connection.StreamConfig{}), config)
	if err != nil {
		tb.Fatal(err)
	}
	r.run()
	return r, path, l
}

// openWriter opens a FIFO as a shell does for >.
func openWriter(tb testing.TB, path string) *os.File {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// put writes as echo does: open, write, close.
func put(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
