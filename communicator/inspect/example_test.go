//go:build linux

package inspect_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/communicator/inspect"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

func ExampleText() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	_, err = timer.After(loop, time.Millisecond, func(*timer.Timer) error {
		header, _, _ := strings.Cut(inspect.Text(loop), ",")
		fmt.Println(header)
		return nil
	}, communicator.Options{Name: "tea"})
	if err != nil {
		panic(err)
	}
	if err := loop.Run(context.Background()); err != nil {
		panic(err)
	}
	// Output: loop: 1 sources
}
