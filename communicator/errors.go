//go:build linux

package communicator

import (
	"errors"
	"fmt"
	"os"

	"github.com/eventdispatcher-go/eventdispatcher/internal/closed"
)

var (
	// ErrClosed is returned by a loop that has ended; errors.Is(err, net.ErrClosed) holds.
	ErrClosed = closed.New("communicator: the loop has ended")
	// ErrRunning is returned by Run and Close while the loop runs, also within a callback.
	ErrRunning = errors.New("communicator: the loop is running")
	// ErrAdded is returned by Add when the source, or its descriptor, is in the loop already.
	ErrAdded = errors.New("communicator: the source is in the loop already")
	// ErrNoHandler is returned by Add for a source without HandleRead, HandleWrite and
	// HandleTimeout.
	ErrNoHandler = errors.New("communicator: the source handles nothing")
	// ErrNotPointer is returned by Add for a source that can't be compared with another.
	ErrNotPointer = errors.New("communicator: the source can't be compared: use a pointer")
	// ErrOnLoop is returned by Do on the loop's own goroutine, where it would wait for itself.
	ErrOnLoop = errors.New("communicator: Do was called on the loop's goroutine")
	// ErrShutdownTimeout is returned by Run when what was asked to end has not within the limit given
	// to Shutdown; errors.Is(err, os.ErrDeadlineExceeded) holds.
	ErrShutdownTimeout = fmt.Errorf("communicator: shutdown: %w", os.ErrDeadlineExceeded)
	// ErrSpinning is the cause of the removal of a source whose descriptor has reported an error or a hang-up
	// MaxFailing times in a row, and which neither did anything about it nor read what was left.
	ErrSpinning = errors.New("communicator: the descriptor is in error, and its source goes on")
	// ErrRate is returned by Add for a Rate that is not positive in both parts, and not zero.
	ErrRate = errors.New("communicator: a rate is a number of events in an interval, both positive")
	// ErrQueueFull is returned by Post when Config.MaxPosted functions wait.
	ErrQueueFull = errors.New("communicator: too many posted functions wait")
)
