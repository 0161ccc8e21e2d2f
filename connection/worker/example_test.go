//go:build linux

package worker_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/worker"
)

// A file is read by a worker, so that a slow disk doesn't keep the loop waiting.
func ExampleDo() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	pool, err := worker.NewPool(loop, worker.Config{Workers: 2})
	if err != nil {
		panic(err)
	}
	_, err = worker.Do(pool, func(context.Context) ([]byte, error) {
		return os.ReadFile("no such file")
	}, func(text []byte, err error) {
		fmt.Println(len(text), errors.Is(err, os.ErrNotExist))
	})
	if err != nil {
		panic(err)
	}
	if err := loop.Run(context.Background()); err != nil { // until no work is out
		panic(err)
	}
	// Output: 0 true
}

// The end of a goroutine is an event of the loop.
func ExampleGo() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	task, err := worker.Go(loop, func(ctx context.Context) error {
		<-ctx.Done() // it would do something useful until then
		return nil
	}, func(err error) {
		fmt.Println("it has ended:", err)
	}, communicator.Options{Name: "companion"})
	if err != nil {
		panic(err)
	}
	if err := loop.Post(task.Cancel); err != nil {
		panic(err)
	}
	if err := loop.Run(context.Background()); err != nil {
		panic(err)
	}
	// Output: it has ended: <nil>
}
