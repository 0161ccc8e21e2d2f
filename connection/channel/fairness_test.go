//go:build linux

package channel_test

import (
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/channel"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestPriority: what is more important goes between two values.
func TestPriority(t *testing.T) {
	loop, _ := looptest.New(t)
	var order []string
	var urgent, ordinary *channel.Inbox[string]
	urgent = newInbox(t, loop, func(v string) error {
		if order = append(order, v); v == "urgent 2" {
			urgent.Close()
			ordinary.CloseSend()
		}
		return nil
	}, channel.Config{Options: communicator.Options{Priority: communicator.PriorityUrgent}})
	ordinary = newInbox(t, loop, func(v string) error {
		if order = append(order, v); v == "first" {
			must(t, urgent.TrySend("urgent 1"))
			must(t, urgent.TrySend("urgent 2"))
			for begin := time.Now(); time.Since(begin) < 2*communicator.LookInterval; {
			}
		}
		return nil
	}, channel.Config{})
	if name := ordinary.Handle().Name(); name != "inbox" {
		t.Errorf("it is called %q", name)
	}
	for _, v := range []string{"first", "second", "third"} {
		must(t, ordinary.TrySend(v))
	}
	looptest.Run(t, loop)
	equal(t, "order", order, []string{"first", "urgent 1", "urgent 2", "second", "third"})
}

// TestStrictPriority: what is less important waits, also when a callback has had its time.
func TestStrictPriority(t *testing.T) {
	loop, _ := looptest.New(t)
	var order []string
	for _, name := range []string{"second", "first"} {
		o := communicator.Options{Name: name}
		if name == "first" {
			o.Priority = -1
		}
		in := newInbox(t, loop, func(int) error {
			order = append(order, name)
			for begin := time.Now(); time.Since(begin) < 200*time.Microsecond; {
			}
			return nil
		}, channel.Config{Options: o})
		for v := range 3 {
			must(t, in.TrySend(v))
		}
		in.CloseSend()
	}
	looptest.Run(t, loop)
	equal(t, "order", order, []string{"first", "first", "first", "second", "second", "second"})
}

// TestOthersGetTheirTurn: an inbox that sends to itself for ever keeps nothing of its priority waiting.
func TestOthersGetTheirTurn(t *testing.T) {
	loop, _ := looptest.New(t)
	var endless, other *channel.Inbox[int]
	calls, turns := 0, 0
	endless = newInbox(t, loop, func(v int) error {
		calls++
		return endless.TrySend(v)
	}, channel.Config{})
	other = newInbox(t, loop, func(v int) error {
		if turns++; turns == 50 {
			endless.Close()
			other.Close()
			return nil
		}
		return other.TrySend(v)
	}, channel.Config{Options: communicator.Options{Rate: communicator.Rate{Events: 5, Interval: time.Microsecond}}})
	must(t, endless.TrySend(1))
	must(t, other.TrySend(1))
	looptest.Run(t, loop)
	if turns != 50 || calls == 0 {
		t.Errorf("%d calls, %d of the other", calls, turns)
	}
	equal(t, "drained", endless.Drain(), []int{1})
}

// TestManyInATurn: a thousand values that wait don't take as many turns.
func TestManyInATurn(t *testing.T) {
	loop, _ := looptest.New(t)
	got := 0
	in := newInbox(t, loop, func(int) error { got++; return nil }, channel.Config{})
	for v := range 1000 {
		must(t, in.TrySend(v))
	}
	in.CloseSend()
	looptest.Run(t, loop)
	if turns := loop.Stats().Turns; got != 1000 || turns > 500 {
		t.Errorf("%d values in %d turns", got, turns)
	}
}
