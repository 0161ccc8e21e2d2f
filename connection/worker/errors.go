//go:build linux

package worker

import (
	"errors"
	"fmt"

	"github.com/eventdispatcher-go/eventdispatcher/internal/closed"
)

var (
	// ErrClosed is returned by a pool that takes no more work, and handed to the callback of work that had no
	// result when its pool left the loop; then the error wraps the cause of that too. errors.Is(err,
	// net.ErrClosed) holds.
	ErrClosed = closed.New("worker: closed")
	// ErrFull is returned by Do when as much work is out as the pool takes.
	ErrFull = errors.New("worker: too much work is out")
	// ErrGoexit is handed to the callback of work that has called runtime.Goexit, as the Fatal of a test does.
	ErrGoexit = errors.New("worker: the work has called runtime.Goexit")
)

// PanicError is handed to the callback of work that has panicked.
type PanicError struct {
	Value any    // what it has panicked with
	Stack []byte // the worker's stack at that moment, as of debug.Stack
}

func (e *PanicError) Error() string { return fmt.Sprintf("worker: panic: %v", e.Value) }

// Unwrap is the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
