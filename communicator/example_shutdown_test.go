//go:build linux

package communicator_test

import (
	"context"
	"fmt"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// batch is a source that has something to finish before it leaves.
type batch struct{ left int }

func (b *batch) FD() int { return communicator.NoFD }

func (b *batch) HandleTimeout(h *communicator.Handle) error {
	fmt.Println("item", b.left)
	if b.left--; b.left == 0 {
		h.Remove(nil)
		return nil
	}
	h.SetDeadline(time.Now())
	return nil
}

// HandleShutdown lets the rest of the batch be worked on; without it the source would be removed.
func (b *batch) HandleShutdown(*communicator.Handle) { fmt.Println("asked to end") }

// A loop that ends when all have finished, and after ten seconds at the latest.
func ExampleCommunicator_Shutdown() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := loop.Add(&batch{left: 3}, communicator.Options{Deadline: time.Now()}); err != nil {
		fmt.Println(err)
		return
	}
	loop.Shutdown(10 * time.Second) // a handler of SIGTERM would call this
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// asked to end
	// item 3
	// item 2
	// item 1
	// <nil>
}
