//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/command"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// children is how many the tour starts, one after the other.
const children = 20

// child waits for children, and shows how long each took from its start to the callback of its end.
func (t *tour) child(message.Handler) error {
	r := t.row("child, from start to end", children)
	var next func() error
	next = func() error {
		begin := time.Now()
		cmd := exec.Command("true")
		if err := cmd.Start(); err != nil {
			return err
		}
		_, err := procwatch.Child(t.loop, cmd.Process, func(_ *procwatch.Watch, e procwatch.Event) error {
			if e.Kind != procwatch.Exited || e.Code != 0 {
				return fmt.Errorf("true has ended otherwise: %v", e)
			}
			t.saw(r, time.Since(begin))
			if r.done() {
				return nil
			}
			return next()
		}, procwatch.Options{})
		return err
	}
	return next()
}

// anyProcess watches a process by its number, as one would that is no child.
func (t *tour) anyProcess(message.Handler) error {
	r := t.row("end of any process, by its number", 1)
	p, err := command.Start(t.loop, exec.Command("cat"), command.Config{Input: true})
	if err != nil {
		return err
	}
	_, err = procwatch.PID(t.loop, p.PID(), func(*procwatch.Watch, procwatch.Event) error {
		t.saw(r, 0)
		return nil
	}, procwatch.Options{})
	p.Stdin().Close() // the end of its input is its end
	return err
}

// command writes lines to a command and reads them back, with a stream on each of its pipes.
func (t *tour) command(message.Handler) error {
	r := t.row("line through a command", 50)
	var p *command.Process
	var sent time.Time
	send := func() error {
		sent = time.Now()
		_, err := fmt.Fprintln(p.Stdin(), "hello")
		return err
	}
	back := connection.FrameFunc(func(*connection.Stream, []byte) error {
		t.saw(r, time.Since(sent))
		if r.done() {
			p.Stdin().Close()
			return nil
		}
		return send()
	})
	ended := t.row("command's end", 1)
	p, err := command.Start(t.loop, exec.Command("cat"), command.Config{
		Input:  true,
		Stdout: connection.Split(bufio.ScanLines, back),
		Exit: func(_ *command.Process, e procwatch.Event) error {
			if e.Kind == procwatch.Exited && e.Code == 0 {
				t.saw(ended, 0)
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	return send()
}

// machine is told by the kernel of every process that is made on this machine, where that is permitted.
func (t *tour) machine(message.Handler) error {
	self := os.Getpid()
	var r *row
	var w *procwatch.MachineWatch
	w, err := procwatch.Machine(t.loop, func(e procwatch.MachineEvent) error {
		if e.Parent == self {
			t.saw(r, 0)
			if r.done() {
				w.Close()
			}
		}
		return nil
	}, procwatch.MachineOptions{Kinds: procwatch.Fork, Options: communicator.Options{Name: "processes of the machine"}})
	if err != nil {
		t.note("the processes of the machine: %v", err)
		return nil
	}
	r = t.row("process made, told by the kernel", children)
	return nil
}
