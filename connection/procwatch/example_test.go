//go:build linux

package procwatch_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
)

func ExampleChild() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	c := exec.Command("sh", "-c", "exit 3")
	if err := c.Start(); err != nil {
		fmt.Println(err)
		return
	}
	ended := func(w *procwatch.Watch, e procwatch.Event) error {
		fmt.Println(e.Kind, e.Code)
		return nil
	}
	if _, err := procwatch.Child(loop, c.Process, ended, procwatch.Options{}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// exited 3
	// <nil>
}

// A child that is told to stop, and then to end.
func ExampleWatch_Signal() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	c := exec.Command("sleep", "1000")
	if err := c.Start(); err != nil {
		fmt.Println(err)
		return
	}
	changed := func(w *procwatch.Watch, e procwatch.Event) error {
		fmt.Println(e.Kind, e.Signal)
		if e.Kind == procwatch.Stopped {
			return w.Signal(syscall.SIGKILL)
		}
		return nil
	}
	w, err := procwatch.Child(loop, c.Process, changed, procwatch.Options{Stops: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := w.Signal(syscall.SIGSTOP); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// stopped stopped (signal)
	// killed killed
	// <nil>
}

func ExamplePID() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	c := exec.Command("sleep", "1000") // stands for the process of somebody else
	if err := c.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Wait() }()
	w, err := procwatch.PID(loop, c.Process.Pid, func(w *procwatch.Watch, e procwatch.Event) error {
		fmt.Println(e.Kind)
		return nil
	}, procwatch.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := w.Signal(syscall.SIGTERM); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// gone
	// <nil>
}

// How a process ends that is no child, as far as the kernel tells it to this process.
func ExampleMachine() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = loop.Close() }()
	c := exec.Command("sh", "-c", "exit 3")
	var m *procwatch.MachineWatch
	m, err = procwatch.Machine(loop, func(e procwatch.MachineEvent) error {
		if e.PID == c.Process.Pid {
			fmt.Println(e.Kind, e.Code)
			m.Close()
		}
		return nil
	}, procwatch.MachineOptions{Kinds: procwatch.Exit})
	var permission *procwatch.PermissionError
	switch {
	case errors.As(err, &permission), errors.Is(err, procwatch.ErrNoProcEvents):
		fmt.Println("exit 3") // it isn't to be had here
		return
	case err != nil:
		fmt.Println(err)
		return
	}
	if err := c.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Wait() }()
	if err := loop.Run(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output: exit 3
}
