//go:build linux

package conntest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

var messageCases = []testCase{
	{"BothWays", testMessagesBothWays},
	{"Opened", testMessagesOpened},
	{"LineEnds", testMessagesLineEnds},
	{"BadInput", testMessagesBadInput},
	{"Quiet", testMessagesQuiet},
	{"OverLongLine", testMessagesOverLongLine},
	{"UnendedLine", testMessagesUnendedLine},
	{"HandlerError", testMessagesHandlerError},
	{"CloseInHandler", testMessagesCloseInHandler},
	{"PauseInHandler", testMessagesPauseInHandler},
	{"CantBeSent", testMessagesCantBeSent},
	{"AfterClose", testMessagesAfterClose},
	{"FailureIsLogged", testMessagesFailureIsLogged},
}

// recorder is a MessageConfig that records the life of connections.
type recorder struct {
	tb      testing.TB
	opened  chan *connection.MessageConn
	endings chan error
	config  connection.MessageConfig
}

func newRecorder(tb testing.TB) *recorder {
	rec := &recorder{tb: tb, opened: make(chan *connection.MessageConn, 100), endings: make(chan error, 100)}
	rec.config.Opened = func(c *connection.MessageConn) error {
		rec.opened <- c
		return nil
	}
	rec.config.Closed = func(c *connection.MessageConn, cause error) {
		if c.Stream().Handle().Active() {
			tb.Error("Closed of a connection that is in the loop")
		}
		rec.endings <- cause
	}
	return rec
}

func (rec *recorder) conn() *connection.MessageConn {
	rec.tb.Helper()
	return looptest.Await(rec.tb, rec.opened, "an open connection")
}

func (rec *recorder) endsWith(want error) {
	rec.tb.Helper()
	if cause := looptest.Await(rec.tb, rec.endings, "the end of a connection"); !errors.Is(cause, want) {
		rec.tb.Errorf("ended with %v, want %v", cause, want)
	}
}

// serve is a rig with message connections.
func (rec *recorder) serve(env Env, h message.HandlerFunc) *rig {
	rec.tb.Helper()
	return newRig(rec.tb, env, connection.Messages(h, rec.config), false)
}

// pong answers each message with PONG and its parameters.
func pong(from message.Sender, m *message.Message) error {
	reply := m.Reply("PONG")
	for name, value := range m.Parameters() {
		reply.Set(name, value)
	}
	return from.Send(reply)
}

// text is the text of a message.
func text(tb testing.TB, m *message.Message) string {
	b, err := m.MarshalText()
	if err != nil {
		tb.Error(err)
	}
	return string(b)
}

// testMessagesBothWays has a client and a server of one loop send each other many messages.
func testMessagesBothWays(t *testing.T, env Env) {
	const n = 2000
	server := newRecorder(t)
	r := server.serve(env, pong)
	client := newRecorder(t)
	next, done := 0, make(chan bool, 1)
	h := message.HandlerFunc(func(from message.Sender, m *message.Message) error {
		if got := text(t, m); got != fmt.Sprintf("PONG i=%d;text=%q", next, "a b;c") {
			return fmt.Errorf("reply %d is %s", next, got)
		}
		if next++; next == n {
			from.(*connection.MessageConn).Close()
			done <- true
		}
		return nil
	})
	var c *connection.MessageConn
	r.do(func() {
		var err error
		if c, err = connection.DialMessages(r.loop, r.Dialer, h, client.config); err != nil {
			t.Error(err)
			return
		}
		m := message.New("PING")
		for i := range n {
			if err := c.Send(m.Set("i", strconv.Itoa(i)).Set("text", "a b;c")); err != nil {
				t.Error(err)
			}
		}
	})
	client.endsWith(nil)
	server.endsWith(nil)
	r.do(func() {
		if c.Sent() != n || c.Received() != n || c.Skipped() != 0 {
			t.Errorf("the client counted %d, %d, %d", c.Sent(), c.Received(), c.Skipped())
		}
		if s := <-server.opened; s.Sent() != n || s.Received() != n || s.Skipped() != 0 {
			t.Errorf("the server counted %d, %d, %d", s.Sent(), s.Received(), s.Skipped())
		}
	})
}

func testMessagesOpened(t *testing.T, env Env) {
	rec := newRecorder(t)
	rec.config.Opened = func(c *connection.MessageConn) error { return c.Send(message.New("WELCOME")) }
	r := rec.serve(env, pong)
	r.peer().expect("WELCOME\n")

	rec = newRecorder(t)
	rec.config.Opened = func(*connection.MessageConn) error { return errTest }
	r = rec.serve(env, pong)
	r.peer().expectEnd()
	rec.endsWith(errTest)
}

func testMessagesLineEnds(t *testing.T, env Env) {
	rec := newRecorder(t)
	r := rec.serve(env, pong)
	peer := r.peer()
	peer.send("\n\r\n   \nPING\n\nPING a=1\r\n \t PING b=2 \nPI")
	peer.expect("PONG\nPONG a=1\nPONG b=2\n")
	peer.send("NG c=3\n")
	peer.expect("PONG c=3\n")
	c := rec.conn()
	r.do(func() {
		if c.Received() != 4 || c.Sent() != 4 || c.Skipped() != 0 {
			t.Errorf("counted %d, %d, %d", c.Received(), c.Sent(), c.Skipped())
		}
	})
}

// badLines are lines that are no message.
var badLines = []string{
	"ping",
	"PING a=1;b",
	"PI\x00NG",
	"<a PING",
	"a b c",
	"1PING",
	"Ünfug",
	"PING \x80=1",
	string([]byte{0, 1, 2, 0xff, 0xfe, '\r', 0x7f}),
	strings.Repeat("x", 100_000),
	strings.ReplaceAll(string(noise(5000, 1)), "\n", ""),
}

// testMessagesBadInput: what is no message is answered and counted, and logged once; the connection goes on.
func testMessagesBadInput(t *testing.T, env Env) {
	rec := newRecorder(t)
	rec.config.Stream.Name = "the noisy one"
	var handled []string
	r := rec.serve(env, func(from message.Sender, m *message.Message) error {
		handled = append(handled, text(t, m))
		return pong(from, m)
	})
	peer := r.peer()
	c := rec.conn()
	for i, bad := range badLines {
		peer.send(bad + "\nPING\n")
		reply, err := readLine(peer)
		if err != nil {
			t.Fatal(err)
		}
		m, err := message.Parse(reply)
		if err != nil || m.Command() != message.CommandInvalid || m.Get(message.ParameterMessage) == "" {
			t.Errorf("%.100q was answered with %.200q, %v", bad, reply, err)
		}
		peer.expect("PONG\n")
		r.do(func() {
			if c.Skipped() != uint64(i+1) {
				t.Errorf("%d lines counted, want %d", c.Skipped(), i+1)
			}
		})
	}
	r.do(func() {
		if len(handled) != len(badLines) || c.Received() != uint64(len(badLines)) {
			t.Errorf("handled %.500q, counted %d", handled, c.Received())
		}
	})
	if found := r.logs.Containing("the noisy one"); len(found) != 1 || !strings.HasPrefix(found[0], "WARN") {
		t.Errorf("logged %q, want one warning", found)
	}
}

// readLine reads byte by byte, so that nothing behind the line is read.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := [1]byte{}; ; {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return string(line), err
		}
		line = append(line, b[0])
		if b[0] == '\n' {
			return string(line), nil
		}
	}
}

func testMessagesQuiet(t *testing.T, env Env) {
	rec := newRecorder(t)
	rec.config.Quiet = true
	r := rec.serve(env, pong)
	peer := r.peer()
	for _, bad := range badLines {
		peer.send(bad + "\nPING\n")
		peer.expect("PONG\n")
	}
	c := rec.conn()
	r.do(func() {
		if c.Skipped() != uint64(len(badLines)) {
			t.Errorf("%d lines counted, want %d", c.Skipped(), len(badLines))
		}
	})
}

func testMessagesOverLongLine(t *testing.T, env Env) {
	for _, limit := range []int{0, 200_000} {
		rec := newRecorder(t)
		rec.config.Stream.MaxInput = limit
		r := rec.serve(env, pong)
		peer := r.peer()
		peer.send("PING\n")
		peer.expect("PONG\n")
		_, _ = peer.Write([]byte("PING a=" + strings.Repeat("x", max(limit, connection.DefaultMaxInput)) + "\n")) // it may be cut off
		rec.endsWith(connection.ErrInputLimit)
		peer.expectEnd()
	}
}

// testMessagesUnendedLine: what is cut off could be half a message, and is none.
func testMessagesUnendedLine(t *testing.T, env Env) {
	rec := newRecorder(t)
	r := rec.serve(env, pong)
	peer := r.peer()
	peer.send("PING a=1\nPING a=12345")
	peer.endWriting()
	if got, err := io.ReadAll(peer); string(got) != "PONG a=1\n" || err != nil {
		t.Errorf("answered %q, %v", got, err)
	}
	rec.endsWith(io.ErrUnexpectedEOF)
}

func testMessagesHandlerError(t *testing.T, env Env) {
	rec := newRecorder(t)
	calls := 0
	r := rec.serve(env, func(message.Sender, *message.Message) error {
		calls++
		return errTest
	})
	peer := r.peer()
	peer.send("ONE\nTWO\n")
	peer.expectEnd()
	rec.endsWith(errTest)
	if calls != 1 {
		t.Errorf("%d messages handled, want 1", calls)
	}
}

func testMessagesCloseInHandler(t *testing.T, env Env) {
	rec := newRecorder(t)
	calls := 0
	r := rec.serve(env, func(from message.Sender, _ *message.Message) error {
		calls++
		if err := from.Send(message.New("BYE")); err != nil {
			t.Error(err)
		}
		from.(*connection.MessageConn).Close()
		return nil
	})
	peer := r.peer()
	peer.send("ONE\nTWO\nnonsense\n")
	peer.expect("BYE\n")
	peer.expectEOF()
	peer.close()
	rec.endsWith(nil)
	if calls != 1 {
		t.Errorf("%d messages handled, want 1", calls)
	}
}

// testMessagesPauseInHandler: a service that handles one message at a time, and a client that has ended its side.
func testMessagesPauseInHandler(t *testing.T, env Env) {
	rec := newRecorder(t)
	commands := make(chan string, 10)
	r := rec.serve(env, func(from message.Sender, m *message.Message) error {
		from.(*connection.MessageConn).Stream().Pause()
		commands <- m.Command()
		return nil
	})
	peer := r.peer()
	peer.send("ONE\nTWO\nTHREE\n")
	peer.endWriting()
	c := rec.conn()
	for _, want := range []string{"ONE", "TWO", "THREE"} {
		select {
		case got := <-commands:
			if got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		case cause := <-rec.endings:
			t.Fatalf("ended with %v before %s", cause, want)
		}
		r.turns()
		r.do(func() {
			if err := c.Send(message.New("DONE").Set("what", want)); err != nil {
				t.Error(err)
			}
			c.Stream().Resume()
		})
	}
	peer.expect("DONE what=ONE\nDONE what=TWO\nDONE what=THREE\n")
	peer.expectEOF()
	rec.endsWith(nil)
}

func testMessagesCantBeSent(t *testing.T, env Env) {
	rec := newRecorder(t)
	r := rec.serve(env, pong)
	peer := r.peer()
	c := rec.conn()
	r.do(func() {
		for want, m := range map[error]*message.Message{
			message.ErrName:       message.New("no command"),
			message.ErrUnsendable: message.New("PING").Set("a", `ends with ; and \`),
		} {
			if err := c.Send(m); !errors.Is(err, want) {
				t.Errorf("Send(%v): %v, want %v", m, err, want)
			}
		}
		if err := c.Send(message.New("GOOD")); err != nil || c.Sent() != 1 {
			t.Errorf("Send: %v, %d counted", err, c.Sent())
		}
	})
	peer.expect("GOOD\n")
}

func testMessagesAfterClose(t *testing.T, env Env) {
	rec := newRecorder(t)
	r := rec.serve(env, pong)
	peer := r.peer()
	c := rec.conn()
	r.do(func() {
		c.Close()
		if err := c.Send(message.New("LATE")); !errors.Is(err, net.ErrClosed) || c.Sent() != 0 {
			t.Errorf("Send after Close: %v, %d counted", err, c.Sent())
		}
	})
	peer.expectEOF()
}

// testMessagesFailureIsLogged: without Closed a failure is logged, and an orderly end isn't.
func testMessagesFailureIsLogged(t *testing.T, env Env) {
	rec := newRecorder(t)
	rec.config.Closed = nil
	rec.config.Stream.Name = "unwatched"
	r := rec.serve(env, func(_ message.Sender, m *message.Message) error {
		if m.Command() == "FAIL" {
			return errTest
		}
		return nil
	})
	orderly := r.peer()
	orderly.endWriting()
	orderly.expectEOF()
	if found := r.logs.Containing("unwatched"); len(found) != 0 {
		t.Errorf("logged %q", found)
	}
	failing := r.peer()
	failing.send("FAIL\n")
	failing.expectEnd()
	r.turns()
	if found := r.logs.Containing("unwatched"); len(found) != 1 || !strings.Contains(found[0], errTest.Error()) {
		t.Errorf("logged %q, want the failure once", found)
	}
}
