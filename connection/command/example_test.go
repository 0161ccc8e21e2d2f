//go:build linux

package command_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os/exec"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/command"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
)

// A command that is talked to by its input and output.
func ExampleStart() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		log.Fatal(err)
	}
	lines := connection.FrameFunc(func(_ *connection.Stream, line []byte) error {
		fmt.Printf("line %s\n", line)
		return nil
	})
	p, err := command.Start(loop, exec.Command("sort", "-u"), command.Config{
		Input:  true,
		Stdout: connection.Split(bufio.ScanLines, lines),
		Exit: func(_ *command.Process, e procwatch.Event) error {
			fmt.Println("it has", e.Kind, "with status", e.Code)
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(p.Stdin(), "two")
	fmt.Fprintln(p.Stdin(), "one")
	fmt.Fprintln(p.Stdin(), "two")
	p.Stdin().Close() // the end of the input
	if err := loop.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// line one
	// line two
	// it has exited with status 0
}

// Many commands, of which no more than two run at once. The next one is started when one has ended.
func ExampleStart_queue() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		log.Fatal(err)
	}
	const most = 2 // at once
	queue := []string{"one", "two", "three", "four", "five"}
	running, ended := 0, 0
	var next func()
	exit := func(*command.Process, procwatch.Event) error {
		running--
		ended++
		next()
		return nil
	}
	next = func() {
		for running < most && len(queue) > 0 {
			cmd := exec.Command("echo", queue[0])
			queue = queue[1:]
			if _, err := command.Start(loop, cmd, command.Config{Exit: exit}); err != nil {
				log.Print(err) // this one is lost, the others are not
				continue
			}
			running++
		}
	}
	next()
	fmt.Println(running, "run,", len(queue), "wait")
	if err := loop.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(ended, "have ended")
	// Output:
	// 2 run, 3 wait
	// 5 have ended
}

// A command that may take a limited time.
func ExampleConfig_timeout() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		log.Fatal(err)
	}
	_, err = command.Start(loop, exec.Command("sleep", "3600"), command.Config{
		Timeout: 10 * time.Millisecond,
		Exit: func(p *command.Process, e procwatch.Event) error {
			fmt.Println("timed out:", p.TimedOut(), "-", e.Kind, "by", e.Signal)
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := loop.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: timed out: true - killed by terminated
}
