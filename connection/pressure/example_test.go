//go:build linux

package pressure_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/pressure"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

// A service that empties its cache when memory becomes short, once in 10 s at most. It runs as well where nothing
// tells of that.
func Example() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer loop.Close()
	cache := map[string]string{}
	release := func() error {
		clear(cache)
		return nil
	}
	_, err = pressure.Watch(loop, pressure.Memory, release, pressure.Config{
		File: os.Getenv("MEMORY_PRESSURE_WATCH"), // systemd's; empty is the whole machine
		Options: communicator.Options{
			Background: true,
			Rate:       communicator.Rate{Events: 1, Interval: 10 * time.Second},
		},
	})
	if err != nil && !errors.Is(err, pressure.ErrUnsupported) && !errors.Is(err, os.ErrPermission) {
		fmt.Println(err)
		return
	}
	work := func(*timer.Timer) error { fmt.Println("working"); return nil }
	if _, err := timer.After(loop, 0, work, communicator.Options{}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// working
	// <nil>
}

func ExampleParse() {
	s, err := pressure.Parse("some avg10=1.50 avg60=0.13 avg300=0.05 total=71835415\n")
	fmt.Println(s.Some.Avg10, s.Some.Total, err)
	// Output: 1.5 1m11.835415s <nil>
}
