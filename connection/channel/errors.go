//go:build linux

package channel

import (
	"errors"
	"fmt"

	"github.com/eventdispatcher-go/eventdispatcher/internal/closed"
)

var (
	// ErrClosed is returned when the other end has gone, or this one; errors.Is(err, net.ErrClosed) holds. When
	// something has gone wrong there, such as an error of the function that handles the values or the end of
	// the loop, the error wraps that cause too.
	ErrClosed = closed.New("channel: closed")
	// ErrFull is returned when Capacity values wait already.
	ErrFull = errors.New("channel: full")
)

// closedBy is ErrClosed with the cause, if there is one.
func closedBy(cause error) error {
	if cause == nil {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrClosed, cause)
}
