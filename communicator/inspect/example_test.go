//go:build linux

package inspect_test

import (
	"context"
	"expvar"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/communicator/inspect"
	"github.com/eventdispatcher-go/eventdispatcher/connection/worker"
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

// kill -USR1 prints what the loop is doing; the source is in the background.
func ExampleOnSignal() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	if _, err := inspect.OnSignal(loop, os.Stderr, syscall.SIGUSR1); err != nil {
		panic(err)
	}
	fmt.Println(loop.Run(context.Background())) // nothing else is in the loop
	// Output: <nil>
}

// With net/http, the figures are at /debug/vars.
func ExampleNewVar() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	expvar.Publish("loop", inspect.NewVar(loop))
	figures := make(chan string, 1)
	_, err = worker.Go(loop, func(context.Context) error {
		figures <- expvar.Get("loop").String() // asks the loop, so not from the loop
		return nil
	}, func(error) {}, communicator.Options{})
	if err != nil {
		panic(err)
	}
	if err := loop.Run(context.Background()); err != nil {
		panic(err)
	}
	text, _, _ := strings.Cut(<-figures, ",")
	fmt.Println(text)
	// Output: {"sources":1
}

func ExampleTrace() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { // what differs from run to run
			if a.Key == "time" || a.Key == "took" {
				return slog.Attr{}
			}
			return a
		},
	}))
	loop.SetObserver(inspect.Trace(log))
	_, err = timer.After(loop, 0, func(*timer.Timer) error { return nil }, communicator.Options{Name: "tea"})
	if err != nil {
		panic(err)
	}
	if err := loop.Run(context.Background()); err != nil {
		panic(err)
	}
	// Output:
	// level=DEBUG msg=callback source=tea call=timeout
	// level=DEBUG msg=callback source=tea call=close
}

// In a CPU profile that is taken now, "go tool pprof -tags" tells how much time each source took.
func ExampleLabels() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	loop.SetObserver(inspect.Labels(ctx))
	fmt.Println(loop.Run(ctx))
	// Output: <nil>
}
