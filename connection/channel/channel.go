//go:build linux

// Package channel carries values between goroutines and a loop, and between two loops, with back-pressure.
//
// An [Inbox] calls a function on the loop for each value that goroutines send. An [Outbox] takes the loop's
// values for goroutines to receive. A [Pair] is one of each, for a goroutine that talks with the loop; by [Join]
// another loop takes the goroutine's part.
//
// A value that was accepted is handled exactly once, those of one sender in the order in which they were sent.
// However many wait, the loop is woken once; while it handles them, sending costs no system call.
//
// An inbox, an outbox and a pair belong to the loop's goroutine. Exactly these may be called from any goroutine:
// [Inbox.Send], [Inbox.TrySend], [Inbox.CloseSend], [Inbox.Len], [Inbox.Drain], [Outbox.Receive], [Outbox.All],
// [Outbox.CloseReceive] and [Outbox.Len].
//
// Do not use it for a function that is to run on the loop now and then: [communicator.Communicator.Post] does
// that; nor between goroutines that have no loop: Go's channels do.
package channel

import (
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// DefaultCapacity is how many values may wait.
const DefaultCapacity = 1024

// Config says how an inbox or an outbox works. The zero value is right for most.
type Config struct {
	// Options are those of the source in the loop. Want, Deadline and Slack mean nothing here.
	communicator.Options
	// Capacity is how many values may wait. Memory is taken as they come. Zero or less: DefaultCapacity.
	Capacity int
	// Room is for an outbox: it is called on the loop when Put has answered ErrFull and no more than half of
	// Capacity wait again. An error that it returns removes the outbox with that cause. Nil: nobody is told.
	Room func() error
}

// options are those of a source that reads, with a name.
func (c Config) options(name string) communicator.Options {
	o := c.Options
	o.Want, o.Deadline, o.Slack = communicator.Read, time.Time{}, 0
	if o.Name == "" {
		o.Name = name
	}
	return o
}
