//go:build linux

package communicator_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// A descriptor of any kind is a source with ReadFunc.
func ExampleReadFunc() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fd, err := unix.Eventfd(3, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer unix.Close(fd)
	_, err = loop.Add(communicator.ReadFunc(fd, func(h *communicator.Handle) error {
		var count [8]byte
		if _, err := unix.Read(fd, count[:]); err != nil {
			return err
		}
		fmt.Println("told", binary.NativeEndian.Uint64(count[:]), "times")
		h.Remove(nil)
		return nil
	}), communicator.Options{Name: "eventfd"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := loop.Run(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output: told 3 times
}

// A goroutine that is going to post its result holds the loop meanwhile.
func ExampleCommunicator_Hold() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	release, err := loop.Hold()
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() {
		defer release()
		answer := 6 * 7 // takes years
		if err := loop.Post(func() { fmt.Println(answer) }); err != nil {
			fmt.Println(err)
		}
	}()
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// 42
	// <nil>
}

// queue is a source that serves many things in one callback, as long as nobody else is kept waiting by it.
type queue struct{ things []string }

func (q *queue) FD() int { return communicator.NoFD }

func (q *queue) HandleRead(h *communicator.Handle) error {
	for len(q.things) > 0 {
		fmt.Println(q.things[0])
		q.things = q.things[1:]
		if len(q.things) > 0 && !h.Continue() {
			h.SetDeadline(h.Loop().Now()) // the rest when it is this source's turn again
			return nil
		}
	}
	h.Remove(nil)
	return nil
}

func (q *queue) HandleTimeout(h *communicator.Handle) error { return q.HandleRead(h) }

func ExampleHandle_Continue() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := loop.Add(&queue{[]string{"one", "two", "three"}}, communicator.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	h.MarkReadable()
	if err := loop.Run(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// one
	// two
	// three
}

// What has to be done once, though several callbacks of a turn ask for it, is done at the end of the turn; and what
// has to be done last, when the loop ends.
func ExampleCommunicator_AfterTurn() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	loop.AtExit(func(cause error) { fmt.Println("the end:", cause) })
	changed := 0
	change := func() {
		if changed++; changed == 1 {
			loop.AfterTurn(func() { fmt.Println(changed, "changes written") })
		}
	}
	for range 3 {
		if err := loop.Post(change); err != nil {
			fmt.Println(err)
		}
	}
	if err := loop.Run(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 3 changes written
	// the end: <nil>
}

// heartbeat is a source that may be late, and doesn't keep the loop running.
type heartbeat struct{ beats int }

func (b *heartbeat) FD() int { return communicator.NoFD }

func (b *heartbeat) HandleTimeout(h *communicator.Handle) error {
	b.beats++
	h.SetDeadline(time.Now().Add(time.Second))
	return nil
}

func ExampleOptions() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = loop.Add(&heartbeat{}, communicator.Options{
		Name:       "heartbeat",
		Priority:   communicator.PriorityIdle,
		Deadline:   time.Now().Add(time.Second),
		Slack:      100 * time.Millisecond,
		Background: true, // Run doesn't wait for it
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(loop.Run(context.Background()))
	// Output: <nil>
}
