//go:build linux

package communicator_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// reader is a source: it prints what comes out of a pipe.
type reader struct{ fd int }

func (r *reader) FD() int { return r.fd }

func (r *reader) HandleRead(h *communicator.Handle) error {
	buf := h.Loop().ReadBuffer() // ours until we return
	n, err := syscall.Read(r.fd, buf)
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return nil // nothing yet
	case err != nil:
		return err // removes the source
	case n == 0:
		h.Remove(nil) // the writer has gone
		return nil
	}
	fmt.Printf("%s: %s\n", h.Name(), buf[:n])
	return nil
}

func (r *reader) Close() error { return syscall.Close(r.fd) }

// writer writes into the pipe when its deadline has come.
type writer struct{ fd int }

func (w *writer) FD() int { return communicator.NoFD }

func (w *writer) HandleTimeout(h *communicator.Handle) error {
	_, err := syscall.Write(w.fd, []byte("hello"))
	h.Remove(err)
	return nil
}

func (w *writer) HandleClose(*communicator.Handle, error) { _ = syscall.Close(w.fd) }

// A pipe, and something that writes into it after a moment. The loop ends when both have gone.
func ExampleNew() {
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
		panic(err)
	}
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	if _, err := loop.Add(&reader{pipe[0]}, communicator.Options{Name: "pipe"}); err != nil {
		panic(err)
	}
	soon := time.Now().Add(time.Millisecond)
	if _, err := loop.Add(&writer{pipe[1]}, communicator.Options{Name: "clock", Deadline: soon}); err != nil {
		panic(err)
	}
	if err := loop.Run(context.Background()); err != nil {
		panic(err)
	}
	// Output: pipe: hello
}

// countdown is a source that has nothing but a deadline.
type countdown struct{ n int }

func (c *countdown) FD() int { return communicator.NoFD }

func (c *countdown) HandleTimeout(h *communicator.Handle) error {
	fmt.Println(c.n)
	if c.n--; c.n < 0 {
		h.Remove(nil)
		return nil
	}
	h.SetDeadline(time.Now().Add(time.Millisecond)) // a deadline comes once
	return nil
}

func ExampleHandle_SetDeadline() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	handle, err := loop.Add(&countdown{3}, communicator.Options{})
	if err != nil {
		panic(err)
	}
	handle.SetDeadline(time.Now())
	if err := loop.Run(context.Background()); err != nil {
		panic(err)
	}
	// Output:
	// 3
	// 2
	// 1
	// 0
}

// Another goroutine does the slow work and hands the outcome to the loop, which owns the state.
func ExampleCommunicator_Post() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	if _, err := loop.Add(&countdown{}, communicator.Options{}); err != nil { // keeps the loop alive
		panic(err)
	}
	sum := 0 // only touched on the loop
	go func() {
		result := 6 * 7
		err := loop.Post(func() {
			sum += result
			loop.Stop(nil)
		})
		if err != nil {
			fmt.Println(err)
		}
	}()
	if err := loop.Run(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println(sum)
	// Output: 42
}

// Do asks the loop for something and waits for the answer.
func ExampleCommunicator_Do() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	if _, err := loop.Add(&countdown{}, communicator.Options{Name: "idle"}); err != nil {
		panic(err)
	}
	done := make(chan error)
	go func() { done <- loop.Run(context.Background()) }()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = loop.Do(ctx, func() error {
		for _, source := range loop.Sources() {
			fmt.Println(source.Name, source.Priority)
		}
		return nil
	})
	fmt.Println("error:", err)

	loop.Stop(nil)
	fmt.Println("end:", <-done)
	// Output:
	// idle 0
	// error: <nil>
	// end: <nil>
}
