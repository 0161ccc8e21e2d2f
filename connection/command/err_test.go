//go:build linux

package command_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/command"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestErr: Exit can ask what has closed a stream.
func TestErr(t *testing.T) {
	fails := connection.DataFunc(func(*connection.Stream, []byte) (int, error) { return 0, errTest })
	leaves := connection.DataFunc(func(*connection.Stream, []byte) (int, error) { return 0, nil })
	takes := lines(func(string) error { return nil })
	short := connection.StreamConfig{MaxInput: 100}
	for _, tt := range []struct {
		name, script string
		c            command.Config
		want         error
	}{
		{"none", "echo text; echo words >&2", command.Config{Stdout: takes, Stderr: takes}, nil},
		{"handler", "echo text", command.Config{Stdout: fails}, errTest},
		{"standard error", "echo text >&2", command.Config{Stdout: takes, Stderr: fails}, errTest},
		{"long line", "head -c 1000 /dev/zero", command.Config{Stdout: takes, Stream: short}, connection.ErrInputLimit},
		{"unfinished", "echo text", command.Config{Stdout: leaves}, io.ErrUnexpectedEOF},
		{"input", "cat >/dev/null", command.Config{Input: true, Drain: func(*command.Process) error { return errTest }}, errTest},
		{"input unread", "exec <&-; exit 0", command.Config{Input: true}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fdtest.Check(t)
			loop, log := looptest.New(t)
			calls := 0
			tt.c.Exit = func(p *command.Process, _ procwatch.Event) error {
				if calls++; !errors.Is(p.Err(), tt.want) {
					t.Errorf("Err: %v, want %v", p.Err(), tt.want)
				}
				return nil
			}
			p := start(t, loop, shell(tt.script), tt.c)
			if p.Err() != nil {
				t.Errorf("at first: %v", p.Err())
			}
			if tt.c.Input {
				fmt.Fprint(p.Stdin(), strings.Repeat("x", 1<<20)) // more than a pipe takes
			}
			looptest.Run(t, loop)
			logged := 0
			if tt.want != nil {
				logged = 1
			}
			if calls != 1 || len(log.Records()) != logged {
				t.Errorf("Exit was called %d times; logged: %q", calls, log.Records())
			}
		})
	}
}

// TestErrFirst: of two errors it is the first; that the output is still open after the end is one.
func TestErrFirst(t *testing.T) {
	for _, failing := range []bool{false, true} {
		fdtest.Check(t)
		loop, _ := looptest.New(t)
		cmd, end := holder(t, "echo text >&2; read line; exit 3")
		var out output
		var ends exits
		var p *command.Process
		want := command.ErrWaitDelay
		if failing {
			want = errTest
		}
		errs := lines(func(string) error {
			p.Stdin().Close()
			if failing {
				return errTest
			}
			return nil
		})
		p = start(t, loop, cmd, command.Config{Input: true, Stdout: &out, Stderr: errs, WaitDelay: -1, Exit: ends.exit})
		looptest.Run(t, loop)
		_ = end.Close()
		ends.expect(t, procwatch.Exited, 3, 0)
		if out.expect(t, "", command.ErrWaitDelay); !errors.Is(p.Err(), want) {
			t.Errorf("failing: %v; Err: %v", failing, p.Err())
		}
	}
}

// TestErrLoopEnds: that the loop ends is no failure of the command.
func TestErrLoopEnds(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var out output
	p := start(t, loop, shell("exec sleep 100"), command.Config{Input: true, Stdout: &out})
	loop.Stop(nil)
	looptest.Run(t, loop)
	if p.Err() != nil || out.closed != 1 {
		t.Errorf("Err: %v; closed %d times", p.Err(), out.closed)
	}
	await(t, "the process is gone", func() bool { return gone(p.PID()) })
}

// events is a handler with all methods that one of an output can have.
type events struct{ got []string }

func (e *events) tell(format string, args ...any) {
	e.got = append(e.got, fmt.Sprintf(format, args...))
}

func (e *events) HandleOpen(*connection.Stream) error { e.tell("open"); return nil }

func (e *events) HandleData(*connection.Stream, []byte) (int, error) { return 0, nil }

func (e *events) HandleEOF(s *connection.Stream, rest []byte) error {
	e.tell("end %q", rest)
	s.Close()
	return nil
}

func (e *events) HandleClose(_ *connection.Stream, cause error) { e.tell("close %v", cause) }

// TestHandlerMethods: a handler is told of all that it wants to know.
func TestHandlerMethods(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var e events
	p := start(t, loop, shell("printf text"), command.Config{Stdout: &e})
	looptest.Run(t, loop)
	if want := []string{"open", `end "text"`, "close <nil>"}; !slices.Equal(e.got, want) || p.Err() != nil {
		t.Errorf("got %q, want %q; Err: %v", e.got, want, p.Err())
	}
}

// TestNil: a command that was forgotten is said to be.
func TestNil(t *testing.T) {
	loop, _ := looptest.New(t)
	defer func() {
		if got := recover(); got != "command: nil exec.Cmd" {
			t.Errorf("panic: %v", got)
		}
	}()
	_, _ = command.Start(loop, nil, command.Config{})
}
