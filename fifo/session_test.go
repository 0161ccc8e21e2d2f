//go:build linux

package fifo_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/fifo"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// TestMessages: a line that is no message ends neither the connection nor the service, and neither do
// answers that nobody reads.
func TestMessages(t *testing.T) {
	fdtest.Check(t)
	path := filepath.Join(t.TempDir(), "fifo")
	r := newRunning(t)
	commands := make(chan string, 100)
	dropped := make(chan uint64, 100)
	h := message.HandlerFunc(func(from message.Sender, m *message.Message) error {
		commands <- m.Command()
		return from.Send(message.New("DONE"))
	})
	_, err := fifo.Listen(r.loop, path, connection.Messages(h, connection.MessageConfig{
		Closed: func(c *connection.MessageConn, cause error) {
			if cause != nil {
				t.Errorf("ended with %v", cause)
			}
			dropped <- c.Stream().Transport().(*fifo.Reader).Dropped()
		},
	}), fifo.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	r.run()
	for range 3 {
		if err := put(path, "nonsense\n\nSTART\nno message\nSTOP\n"); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"START", "STOP"} {
			if got := looptest.Await(t, commands, want); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if n := looptest.Await(t, dropped, "the end of a connection"); n < uint64(2*len("DONE\n")) {
			t.Errorf("%d bytes were dropped", n)
		}
	}
}

// TestCutOff: when the service ends a connection, what its writer still writes is thrown away, and
// the next one begins anew.
func TestCutOff(t *testing.T) {
	fdtest.Check(t)
	for name, end := range map[string]func(*connection.Stream){
		"close": (*connection.Stream).Close,
		"abort": func(s *connection.Stream) { s.Abort(nil) },
	} {
		h := newSessions()
		cut := true
		h.data = func(s *connection.Stream, _ []byte) {
			if cut {
				cut = false
				end(s)
			}
		}
		r, path, l := listening(t, h, fifo.ListenConfig{})
		w := openWriter(t, path)
		fmt.Fprintln(w, "enough")
		h.expect(t, "enough\n", nil)
		if _, err := io.WriteString(w, strings.Repeat("too much ", 50_000)); err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		r.turns() // so that its end has been seen
		if err := put(path, "again\n"); err != nil {
			t.Fatal(err)
		}
		h.expect(t, "again\n", nil)
		r.do(func() {
			if l.Accepted() != 2 {
				t.Errorf("%s: %d connections, want 2", name, l.Accepted())
			}
		})
	}
}

// TestCutOffForAWhile: a writer that never goes away is heard again after DiscardTime.
func TestCutOffForAWhile(t *testing.T) {
	fdtest.Check(t)
	h := newSessions()
	h.data = func(s *connection.Stream, data []byte) {
		if string(data) == "enough\n" {
			s.Abort(nil)
		}
	}
	_, path, _ := listening(t, h, fifo.ListenConfig{})
	w := openWriter(t, path)
	fmt.Fprintln(w, "enough")
	looptest.Await(t, h.begun, "the first connection")
	h.expect(t, "enough\n", nil)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	start := time.Now()
	for heard := false; !heard; {
		fmt.Fprintln(w, "again")
		select {
		case <-h.begun:
			heard = true
		case <-ticker.C:
			if time.Since(start) > looptest.Patience {
				t.Fatal("it is never heard again")
			}
		}
	}
	if took := time.Since(start); took < fifo.DiscardTime*9/10 {
		t.Errorf("heard again after %v", took)
	}
	_ = w.Close()
	if got := looptest.Await(t, h.ended, "the end"); !strings.HasPrefix(got.text, "again\n") {
		t.Errorf("the second connection brought %q", got.text)
	}
}

// TestCloseListener: the connection lives on, the file doesn't.
func TestCloseListener(t *testing.T) {
	fdtest.Check(t)
	h := newSessions()
	r, path, l := listening(t, h, fifo.ListenConfig{})
	w := openWriter(t, path)
	fmt.Fprintln(w, "one")
	looptest.Await(t, h.begun, "the connection")
	r.do(l.Close)
	r.turns()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the end: %v", err)
	}
	fmt.Fprintln(w, "two")
	_ = w.Close()
	h.expect(t, "one\ntwo\n", nil)
	if err := looptest.Await(t, r.done, "the end of Run"); err != nil {
		t.Errorf("Run: %v", err)
	}
	r.done <- nil
}

// TestFailedServe: a connection that isn't served costs no other.
func TestFailedServe(t *testing.T) {
	fdtest.Check(t)
	path := filepath.Join(t.TempDir(), "fifo")
	r := newRunning(t)
	h, calls := newSessions(), make(chan int, 10)
	serve := connection.Streams(h, connection.StreamConfig{})
	n := 0
	_, err := fifo.Listen(r.loop, path, func(loop connection.Loop, transport connection.Transport) error {
		n++
		calls <- n
		if n == 1 {
			return errors.Join(errors.New("not now"), transport.Close())
		}
		return serve(loop, transport)
	}, fifo.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	r.run()
	if err := put(path, "one\n"); err != nil {
		t.Fatal(err)
	}
	looptest.Await(t, calls, "the first connection")
	r.turns()
	if err := put(path, "two\n"); err != nil {
		t.Fatal(err)
	}
	h.expect(t, "two\n", nil)
}

// TestNoDescriptors: a service that can't open its FIFO again for a while loses nothing.
func TestNoDescriptors(t *testing.T) {
	fdtest.Check(t)
	h := newSessions()
	r, path, l := listening(t, h, fifo.ListenConfig{})
	first, second := openWriter(t, path), openWriter(t, path)
	fmt.Fprintln(first, "one")
	_ = second.Close()
	looptest.Await(t, h.begun, "the connection")
	var before, limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	limit = before
	limit.Cur = 3 // what is open stays open
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	got := looptest.Await(t, h.ended, "the end of a connection")
	r.turns()
	calls := r.callbacks()
	for range 50 {
		r.turns()
	}
	calls = r.callbacks() - calls
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if got.text != "one\n" || got.cause != nil {
		t.Errorf("the connection brought %q and ended with %v", got.text, got.cause)
	}
	if calls > 10 {
		t.Errorf("%d callbacks without a descriptor", calls)
	}
	if err := put(path, "two\n"); err != nil {
		t.Fatal(err)
	}
	h.expect(t, "two\n", nil)
	r.do(func() {
		if !l.Handle().Active() || l.Refused() != 0 {
			t.Errorf("the listener lives: %v, %d refused", l.Handle().Active(), l.Refused())
		}
	})
}

// TestReply: answers go to a second FIFO, for whoever reads it.
func TestReply(t *testing.T) {
	fdtest.Check(t)
	reply := filepath.Join(t.TempDir(), "reply")
	h := newSessions()
	h.data = func(s *connection.Stream, data []byte) {
		if _, err := s.Write([]byte("re " + string(data))); err != nil {
			t.Error(err)
		}
	}
	r, path, _ := listening(t, h, fifo.ListenConfig{Reply: reply})

	// Nobody reads: that is dropped, and commands go on.
	if err := put(path, "unheard\n"); err != nil {
		t.Fatal(err)
	}
	h.expect(t, "unheard\n", nil)

	in, err := os.OpenFile(reply, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := openWriter(t, path)
	fmt.Fprintln(w, "one")
	lines := bufio.NewReader(in)
	_ = in.SetReadDeadline(time.Now().Add(looptest.Patience))
	if line, err := untilData(lines); line != "re one\n" || err != nil {
		t.Errorf("answered %q, %v", line, err)
	}
	fmt.Fprintln(w, "two")
	_ = w.Close()
	if rest, err := io.ReadAll(lines); string(rest) != "re two\n" || err != nil {
		t.Errorf("answered %q, %v", rest, err)
	}
	h.expect(t, "one\ntwo\n", nil)

	// Somebody who goes away in between.
	w = openWriter(t, path)
	fmt.Fprintln(w, "three")
	if line, err := untilData(lines); line != "re three\n" || err != nil {
		t.Errorf("answered %q, %v", line, err)
	}
	_ = in.Close()
	for range 20 {
		fmt.Fprintln(w, "four")
		r.turns()
	}
	_ = w.Close()
	h.expect(t, "three\n"+strings.Repeat("four\n", 20), nil)
	if err := errors.Join(os.Remove(reply), put(path, "five\n")); err != nil {
		t.Fatal(err)
	}
	h.expect(t, "five\n", nil)
	if found := r.log.Containing("answers are dropped"); len(found) != 1 {
		t.Errorf("logged %q, want once that there is no FIFO for answers", found)
	}
}

// untilData reads a line; a FIFO without a writer reads as an end.
func untilData(r *bufio.Reader) (string, error) {
	start := time.Now()
	for {
		line, err := r.ReadString('\n')
		if err == nil || line != "" || time.Since(start) > looptest.Patience {
			return line, err
		}
	}
}
