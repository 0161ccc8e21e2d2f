//go:build linux

// Command tour shows what one loop does. It starts a message service on every transport there is,
// talks to itself over each, lets timers fire, signals come, children end, files change and goroutines work, and prints
// what it saw:
//
//	go run ./examples/tour
//
// It ends by itself within 10 s, with status 0, or 1 if anything didn't happen that should have.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

// limit is how long the whole tour may take.
const limit = 8 * time.Second

var errLate = errors.New("the tour took too long")

// tour is the program's state. Only the loop's goroutine touches it, so it needs no lock.
type tour struct {
	loop *communicator.Communicator
	dir  string // for socket files
	rows []*row
	open int          // rows that still wait for something
	last *row         // STOP, which ends the tour
	stop func() error // sends it

	notes  []string // what people should know besides
	atExit bool     // the function that was to run at the end has run
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "tour:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	t := &tour{}
	if t.dir, err = os.MkdirTemp("", "tour"); err != nil {
		return err
	}
	defer os.RemoveAll(t.dir)
	if t.loop, err = communicator.New(communicator.Config{}); err != nil {
		return err
	}
	defer t.loop.Close()

	start := time.Now()
	if err := t.begin(); err != nil {
		return err
	}
	if _, err := timer.After(t.loop, limit, func(*timer.Timer) error {
		t.loop.Stop(errLate)
		return nil
	}, communicator.Options{Name: "limit"}); err != nil {
		return err
	}
	ended := t.loop.Run(context.Background())
	fmt.Print(t.table())
	for _, note := range t.notes {
		fmt.Println("note:", note)
	}
	s := t.loop.Stats()
	fmt.Printf("\none goroutine, %v: %d turns, %d callbacks, %d sources opened and closed, idle %.0f %% of the time\n",
		time.Since(start).Round(time.Millisecond), s.Turns, s.Callbacks, s.Closed, 100*float64(s.Idle)/float64(s.Age))
	switch {
	case ended != nil:
		return ended
	case !t.atExit:
		return errors.New("the function for the end of the loop has not run")
	}
	return t.missing()
}

// begin starts all that is to be seen. The loop is not running yet.
func (t *tour) begin() error {
	service, err := t.service()
	if err != nil {
		return err
	}
	for _, start := range []func(message.Handler) error{
		t.tcp, t.tls, t.udp, t.unix, t.unixDatagrams, t.unixPackets, t.fifos, t.pipes, t.socketPair, t.ring,
		t.records, t.echo, t.oneShot, t.periodic, t.urgent, t.date, t.set, t.limited, t.signals, t.machine, t.child, t.anyProcess, t.command, t.files,
		t.posts, t.pair, t.pool, t.descriptor, t.functions, t.memory, t.manager, t.status,
	} {
		if err := start(service); err != nil {
			return err
		}
	}
	t.rows = append(t.rows, t.last)
	return nil
}

// service is the table of commands that the tour's own messages are dispatched by.
func (t *tour) service() (message.Handler, error) {
	stopped := &row{name: "message STOP ends the service", want: 1}
	mux := dispatcher.New(dispatcher.Config{})
	mux.HandleFunc("PING", func(from message.Sender, m *message.Message) error {
		return from.Send(m.Reply("PONG").Set("sent", m.Get("sent")))
	})
	err := mux.AddDefaults(dispatcher.Service{Name: "tour", Stop: func(bool) {
		t.saw(stopped, 0)
		t.loop.Stop(nil)
	}})
	t.last = stopped
	return mux, err
}

// note keeps a line for below the table.
func (t *tour) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func (t *tour) path(name string) string { return filepath.Join(t.dir, name) }
