package dispatcher

import "errors"

// What [Mux.Add] and [Mux.AddDefaults] refuse, and [Mux.Handle], [Mux.HandleFunc] and [Mux.HandleUnknown] panic with,
// besides bad names (message.ErrName).
var (
	// ErrMatch: a Match of nothing, or of several things, or of a bad regular expression.
	ErrMatch = errors.New("dispatcher: bad match")
	// ErrNoHandler: the handler is nil.
	ErrNoHandler = errors.New("dispatcher: no handler")
	// ErrPriority: a priority not between PriorityCallback and PriorityLast.
	ErrPriority = errors.New("dispatcher: priority out of range")
	// ErrAlreadySet: a command that another match takes already, a second HandleUnknown, or the defaults once more.
	ErrAlreadySet = errors.New("dispatcher: already set")
)
