//go:build linux

package communicator

import (
	"errors"
	"fmt"
	"net"
)

var (
	// ErrClosed is what a loop answers that has ended: errors.Is(err, net.ErrClosed) holds.
	ErrClosed = fmt.Errorf("communicator: the loop has ended: %w", net.ErrClosed)
	// ErrRunning is what Run and Close answer while the loop runs, also from within a callback.
	ErrRunning = errors.New("communicator: the loop is running")
	// ErrAdded is what Add answers when the source, or its descriptor, is in the loop already.
	ErrAdded = errors.New("communicator: the source is in the loop already")
	// ErrNoHandler is what Add answers for a source that has neither HandleRead, HandleWrite nor HandleTimeout.
	ErrNoHandler = errors.New("communicator: the source handles nothing")
	// ErrNotPointer is what Add answers for a source that can't be compared with another.
	ErrNotPointer = errors.New("communicator: the source can't be compared: use a pointer")
	// ErrOnLoop is what Do answers on the loop's own goroutine, where it would wait for itself.
	ErrOnLoop = errors.New("communicator: Do was called on the loop's goroutine")
	// ErrQueueFull is what Post answers when Config.MaxPosted functions wait.
	ErrQueueFull = errors.New("communicator: too many posted functions wait")
)
