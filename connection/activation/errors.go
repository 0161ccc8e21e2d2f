//go:build linux

package activation

import (
	"errors"
	"strconv"
)

var (
	// ErrNumber says that a variable is no decimal number, or a process number of 0.
	ErrNumber = errors.New("not a number")
	// ErrRange says that a number is too large.
	ErrRange = errors.New("number out of range")
	// ErrNames says that there are not as many names as descriptors.
	ErrNames = errors.New("not as many names as LISTEN_FDS says")
)

// Error says which variable of the environment is not what it should be.
type Error struct {
	// Variable is LISTEN_PID, LISTEN_FDS or LISTEN_FDNAMES.
	Variable string
	// Value is what it was.
	Value string
	// Err is ErrNumber, ErrRange, ErrNames, or an *os.SyscallError about a descriptor that isn't open.
	Err error
}

// Error names the variable and its value.
func (e *Error) Error() string {
	return "activation: " + e.Variable + "=" + strconv.Quote(e.Value) + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
