//go:build linux

package logrotate_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/logrotate"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// addresses are one of each kind.
func addresses(tb testing.TB) map[string]string {
	tb.Helper()
	return map[string]string{
		"UDP": "127.0.0.1:0", "path": filepath.Join(tb.TempDir(), "s"), "abstract": abstractName(tb),
	}
}

// abstractName is a name that no other test has.
func abstractName(tb testing.TB) string { return fmt.Sprintf("@%s-%d", tb.Name(), os.Getpid()) }

// conversation is a loop that runs on another goroutine, and a socket that sends to it.
type conversation struct {
	tb     testing.TB
	loop   *communicator.Communicator
	log    *looptest.Log
	socket *connection.Datagram
	conn   net.Conn
	end    func() // lets the loop end, and waits for it
}

func begin(tb testing.TB, address string, reopen func() error, config logrotate.Config) *conversation {
	tb.Helper()
	c := &conversation{tb: tb}
	c.loop, c.log = looptest.New(tb)
	var err error
	if c.socket, err = logrotate.Listen(c.loop, address, reopen, config); err != nil {
		tb.Fatal(err)
	}
	release, err := c.loop.Hold()
	if err != nil {
		tb.Fatal(err)
	}
	c.conn = dial(tb, c.socket.Addr())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		looptest.Run(tb, c.loop)
	}()
	c.end = func() {
		tb.Helper()
		release()
		looptest.Await(tb, ended, "the end of the loop")
	}
	return c
}

// dial connects a socket that can be answered.
func dial(tb testing.TB, to net.Addr) net.Conn {
	tb.Helper()
	var conn net.Conn
	var err error
	if path, ok := to.(*net.UnixAddr); ok {
		own := &net.UnixAddr{Net: "unixgram", Name: filepath.Join(tb.TempDir(), "c")}
		conn, err = net.DialUnix("unixgram", own, path)
	} else {
		conn, err = net.Dial(to.Network(), to.String())
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(looptest.Patience))
	return conn
}

func (c *conversation) send(text string) {
	c.tb.Helper()
	if _, err := c.conn.Write([]byte(text)); err != nil {
		c.tb.Fatal(err)
	}
}

// ask sends a message and returns the next answer.
func (c *conversation) ask(text string) *message.Message {
	c.tb.Helper()
	c.send(text)
	buf := make([]byte, 64<<10)
	n, err := c.conn.Read(buf)
	if err != nil {
		c.tb.Fatalf("%q: %v", text, err)
	}
	m, err := message.Parse(string(buf[:n]))
	if err != nil {
		c.tb.Fatalf("%q was answered with %q: %v", text, buf[:n], err)
	}
	return m
}

// done waits until the loop has seen all that was sent: datagrams on one machine keep their order.
func (c *conversation) done() {
	c.tb.Helper()
	if m := c.ask("ALIVE serial=7"); m.Command() != message.CommandAbsolutely || m.Get("serial") != "7" {
		c.tb.Errorf("ALIVE was answered with %v", m)
	}
}

// TestRotate renames a file and has it opened again, over each kind of address.
func TestRotate(t *testing.T) {
	for name, address := range addresses(t) {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			c := begin(t, address, f.Reopen, logrotate.Config{})
			for i := range 3 {
				write(t, f, fmt.Sprintln("before", i))
				rename(t, f.Name(), f.Name()+strconv.Itoa(i))
				write(t, f, fmt.Sprintln("between", i))
				c.send("LOG_ROTATE")
				c.done()
				write(t, f, fmt.Sprintln("after", i))
			}
			c.end()
			holds(t, f.Name()+"0", "before 0\nbetween 0\n")
			holds(t, f.Name()+"1", "after 0\nbefore 1\nbetween 1\n")
			holds(t, f.Name()+"2", "after 1\nbefore 2\nbetween 2\n")
			holds(t, f.Name(), "after 2\n")
			if records := c.log.Records(); len(records) > 0 {
				t.Errorf("logged %q", records)
			}
		})
	}
}

// TestCommands: nothing but LOG_ROTATE does anything, nothing stops the loop, and what all services answer is answered.
func TestCommands(t *testing.T) {
	for name, address := range addresses(t) {
		t.Run(name, func(t *testing.T) {
			calls := 0
			c := begin(t, address, func() error { calls++; return nil }, logrotate.Config{})
			for ask, want := range map[string]string{
				"DANCE":           "UNKNOWN command=DANCE",
				"<a:b demo/DANCE": "a:b/UNKNOWN command=DANCE",
				"LOG_ROTATES":     "UNKNOWN command=LOG_ROTATES",
				"HELP": "COMMANDS list=ALIVE,HELP,INVALID,LEAK,LOG_ROTATE,QUITTING,READY,RESTART," +
					"SERVICE_UNAVAILABLE,STOP,UNKNOWN",
			} {
				if m := c.ask(ask); m.String() != want {
					t.Errorf("%s was answered with %v, want %s", ask, m, want)
				}
			}
			for _, quiet := range []string{
				"STOP", "QUITTING", "RESTART", "LEAK", "READY", "UNKNOWN command=X", "INVALID", "noise: no message", "",
				"LOG_ROTATE a=" + strings.Repeat("x", connection.DefaultMaxMessage),
			} {
				c.send(quiet)
				c.done()
			}
			looptest.Do(t, c.loop, func() {
				if calls > 0 {
					t.Errorf("called %d times without LOG_ROTATE", calls)
				}
				if c.socket.Truncated() != 1 {
					t.Errorf("%d datagrams were too long", c.socket.Truncated())
				}
			})
			for _, text := range []string{"LOG_ROTATE", "<web:ed_signal demo/LOG_ROTATE", `{"command":"LOG_ROTATE"}`, "LOG_ROTATE\n"} {
				c.send(text)
			}
			c.done()
			c.end()
			if calls != 4 {
				t.Errorf("called %d times", calls)
			}
			if found := c.log.Containing("WARN told to stop"); len(found) != 1 {
				t.Errorf("logged of STOP: %q in %q", found, c.log.Records())
			}
		})
	}
}

// TestReopenError: an error is logged, to the logger of the Config if there is one, and the next message is taken.
func TestReopenError(t *testing.T) {
	own := &looptest.Log{}
	for name, logger := range map[string]*slog.Logger{"the loop's logger": nil, "its own": slog.New(own)} {
		t.Run(name, func(t *testing.T) {
			var failures []error
			reopen := func() error {
				failures = append(failures, errors.New("no room"))
				return failures[0]
			}
			c := begin(t, "127.0.0.1:0", reopen, logrotate.Config{Logger: logger})
			for range 3 {
				c.send("LOG_ROTATE")
				c.done()
			}
			c.end()
			if len(failures) != 3 {
				t.Errorf("called %d times", len(failures))
			}
			log := c.log
			if logger != nil {
				log = own
				if records := c.log.Records(); len(records) > 0 {
					t.Errorf("the loop has logged %q", records)
				}
			}
			// Once a second at most.
			if found := log.Containing("ERROR logs not reopened error=no room"); len(found) == 0 || len(found) > 3 {
				t.Errorf("logged %q", log.Records())
			}
		})
	}
}

// TestSecret: who doesn't know it is neither obeyed nor answered.
func TestSecret(t *testing.T) {
	for name, address := range addresses(t) {
		t.Run(name, func(t *testing.T) {
			calls := 0
			c := begin(t, address, func() error { calls++; return nil }, logrotate.Config{Secret: "hush"})
			for _, text := range []string{"LOG_ROTATE", "LOG_ROTATE secret_code=", "LOG_ROTATE secret_code=hus", "HELP"} {
				c.send(text)
			}
			if m := c.ask("ALIVE secret_code=hush"); m.Command() != message.CommandAbsolutely || m.Get("secret_code") != "hush" {
				t.Errorf("ALIVE was answered with %v", m)
			}
			looptest.Do(t, c.loop, func() {
				if calls > 0 {
					t.Errorf("called %d times without the secret", calls)
				}
			})
			c.send("LOG_ROTATE secret_code=hush")
			c.ask("ALIVE secret_code=hush")
			c.end()
			if calls != 1 {
				t.Errorf("called %d times", calls)
			}
		})
	}
}

// TestBackground: the socket doesn't keep Run from returning, and leaves nothing.
func TestBackground(t *testing.T) {
	fdtest.Check(t)
	for name, address := range addresses(t) {
		t.Run(name, func(t *testing.T) {
			loop, log := looptest.New(t)
			d, err := logrotate.Listen(loop, address, func() error { return nil }, logrotate.Config{Name: "rotation", Priority: 5})
			if err != nil {
				t.Fatal(err)
			}
			sources := loop.Sources()
			if len(sources) != 1 || !sources[0].Background || sources[0].Name != "rotation" || sources[0].Priority != 5 {
				t.Errorf("in the loop are %v", sources)
			}
			looptest.Run(t, loop)
			if d.Handle().Active() {
				t.Error("the socket is still in the loop")
			}
			if _, err := os.Lstat(address); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket's file: %v", err)
			}
			if records := log.Records(); len(records) > 0 {
				t.Errorf("logged %q", records)
			}
		})
	}
}

// TestShutdown: logs are rotated until the loop has ended.
func TestShutdown(t *testing.T) {
	f := open(t)
	c := begin(t, filepath.Join(t.TempDir(), "s"), f.Reopen, logrotate.Config{})
	looptest.Do(t, c.loop, func() { c.loop.Shutdown(looptest.Patience) })
	rename(t, f.Name(), f.Name()+".1")
	c.send("LOG_ROTATE")
	c.done()
	write(t, f, "after\n")
	c.end()
	holds(t, f.Name(), "after\n")
}

// TestClose: nobody can send any more, and the file is gone.
func TestClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	c := begin(t, path, func() error { t.Error("called"); return nil }, logrotate.Config{})
	looptest.Do(t, c.loop, func() { c.socket.Close() })
	looptest.Do(t, c.loop, func() {}) // the end of that turn
	if _, err := c.conn.Write([]byte("LOG_ROTATE")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("sent: %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's file: %v", err)
	}
	c.end()
}
