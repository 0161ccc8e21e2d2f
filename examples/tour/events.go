//go:build linux

package main

import (
	"os"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/signals"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

// oneShot lets a hundred timers fire, and shows how late they are.
func (t *tour) oneShot(message.Handler) error {
	r := t.row("one-shot timer, lateness", 100)
	for i := range r.want {
		_, err := timer.After(t.loop, time.Duration(i)*10*time.Millisecond, func(tm *timer.Timer) error {
			t.saw(r, time.Since(tm.Due()))
			return nil
		}, communicator.Options{})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tour) periodic(message.Handler) error {
	return t.every("periodic timer, 5 ms, lateness", 5*time.Millisecond, communicator.PriorityNormal)
}

func (t *tour) urgent(message.Handler) error {
	return t.every("urgent timer, 1 ms, lateness", time.Millisecond, communicator.PriorityUrgent)
}

// date lets timers fire at a moment of the wall clock.
func (t *tour) date(message.Handler) error {
	r := t.row("timer at a date, lateness", 10)
	for i := range r.want {
		_, err := timer.At(t.loop, time.Now().Add(time.Duration(i)*10*time.Millisecond), func(tm *timer.Timer) error {
			t.saw(r, time.Since(tm.Due()))
			return nil
		}, communicator.Options{})
		if err != nil {
			return err
		}
	}
	return nil
}

// set has very many timers behind one source.
func (t *tour) set(message.Handler) error {
	r := t.row("light timer of a set, lateness", 10_000)
	set, err := timer.NewSet(t.loop, communicator.Options{Name: "set"})
	if err != nil {
		return err
	}
	for i := range r.want {
		set.After(time.Duration(i)*50*time.Microsecond, func(e *timer.Entry) { t.saw(r, time.Since(e.Due())) })
	}
	return nil
}

func (t *tour) every(name string, period time.Duration, priority int) error {
	r := t.row(name, 200)
	_, err := timer.Every(t.loop, period, func(tm *timer.Timer, _ int) error {
		t.saw(r, time.Since(tm.Due()))
		if r.done() {
			tm.Stop()
		}
		return nil
	}, communicator.Options{Name: name, Priority: priority})
	return err
}

// signals lets the process send SIGUSR1 to itself, again when the one before has come.
func (t *tour) signals(message.Handler) error {
	r := t.row("signal SIGUSR1", 50)
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	var sent time.Time
	send := func() error {
		sent = time.Now()
		return self.Signal(syscall.SIGUSR1)
	}
	var source *signals.Signals
	source, err = signals.Notify(t.loop, func(os.Signal, int) error {
		t.saw(r, time.Since(sent))
		if r.done() {
			source.Close()
			return nil
		}
		return send()
	}, communicator.Options{}, syscall.SIGUSR1)
	if err != nil {
		return err
	}
	return send()
}
