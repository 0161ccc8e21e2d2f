//go:build linux

package timer_test

import (
	"context"
	"fmt"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

func ExampleAfter() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	_, err = timer.After(loop, time.Millisecond, func(*timer.Timer) error {
		fmt.Println("the tea is ready")
		return nil
	}, communicator.Options{Name: "tea"})
	if err != nil {
		panic(err)
	}
	if err := loop.Run(context.Background()); err != nil { // until nothing is left
		panic(err)
	}
	// Output: the tea is ready
}

func ExampleEvery() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	beats := 0
	_, err = timer.Every(loop, time.Millisecond, func(t *timer.Timer, missed int) error {
		beats++
		fmt.Println("beat", beats)
		if beats == 3 {
			t.Stop()
		}
		return nil
	}, communicator.Options{Name: "heart"})
	if err != nil {
		panic(err)
	}
	if err := loop.Run(context.Background()); err != nil {
		panic(err)
	}
	// Output:
	// beat 1
	// beat 2
	// beat 3
}
