//go:build linux

package communicator_test

import (
	"context"
	"fmt"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

func ExampleCommunicator_Stats() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	for range 3 {
		if err := loop.Post(func() {}); err != nil {
			panic(err)
		}
	}
	loop.AtExit(func(error) {
		s := loop.Stats()
		fmt.Println("functions:", s.Posted, "late deadlines:", s.Lag.Count())
	})
	if err := loop.Run(context.Background()); err != nil {
		panic(err)
	}
	// Output: functions: 3 late deadlines: 0
}
