//go:build linux

package signals_test

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/signals"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

// A service that ends in order on SIGINT or SIGTERM.
func ExampleTerminate() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer loop.Close()
	bye := func(sig os.Signal) { fmt.Println("ending:", sig) }
	if _, err := signals.Terminate(loop, 10*time.Second, bye, communicator.Options{}); err != nil {
		fmt.Println(err)
		return
	}
	work := func(*timer.Timer, int) error { return nil } // what the service does, day in, day out
	if _, err := timer.Every(loop, time.Second, work, communicator.Options{}); err != nil {
		fmt.Println(err)
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM) // as systemd does
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// ending: terminated
	// <nil>
}

// A service that reads its configuration again on SIGHUP. A file that can't be used changes nothing.
func ExampleHangup() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer loop.Close()
	reload := func() error {
		fmt.Println("reading the configuration again")
		loop.Shutdown(time.Second) // so that the example ends
		return nil
	}
	if _, err := signals.Hangup(loop, reload, communicator.Options{}); err != nil {
		fmt.Println(err)
		return
	}
	work := func(*timer.Timer, int) error { return nil }
	if _, err := timer.Every(loop, time.Second, work, communicator.Options{}); err != nil {
		fmt.Println(err)
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGHUP) // as "systemctl reload" does
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// reading the configuration again
	// <nil>
}
