package definition

import (
	"errors"
	"fmt"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// What can be wrong with a message, besides message.ErrMissing and message.ErrValue. Each comes wrapped in an [*Error].
var (
	// ErrForbidden: a parameter that must not be there.
	ErrForbidden = errors.New("definition: forbidden parameter")
	// ErrNotListed: a parameter that a closed definition does not list.
	ErrNotListed = errors.New("definition: parameter not listed")
)

// Error is all that is wrong with a message.
type Error struct {
	// Command is the command of the message.
	Command string
	// Problems are never empty. They name the parameter, and never show its value, which may be secret. Their Err is
	// one of message.ErrMissing, message.ErrValue, ErrForbidden and ErrNotListed.
	Problems []*message.Error
}

// maxShown is how many problems Error shows. A peer chooses how many there are.
const maxShown = 10

// Error returns one line of printable text.
func (e *Error) Error() string {
	var b strings.Builder
	command := fmt.Sprintf("%.64q", e.Command) // a lenient parser lets anything through
	b.WriteString("definition: " + command[1:len(command)-1])
	separator := ": "
	for i, p := range e.Problems {
		if i == maxShown {
			fmt.Fprintf(&b, " and %d more", len(e.Problems)-i)
			break
		}
		fmt.Fprintf(&b, "%sparameter %.64q: %s", separator, p.Name, p.Reason)
		separator = "; "
	}
	return b.String()
}

// Unwrap returns the problems.
func (e *Error) Unwrap() []error {
	all := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		all[i] = p
	}
	return all
}

// ParseError is all that is wrong with a file of definitions.
type ParseError struct {
	// Problems are never empty, and in the order of their lines.
	Problems []*FileError
	// Ignored are the keys that mean nothing, and may be misspelt. They are no problems, and Error doesn't show them: it
	// is what Definition.Ignored has of a file without problems.
	Ignored []*FileError
}

// Error returns the problems, a line each.
func (e *ParseError) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.Error())
	}
	return b.String()
}

// Unwrap returns the problems.
func (e *ParseError) Unwrap() []error {
	all := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		all[i] = p
	}
	return all
}

// FileError is something wrong with a file of definitions.
type FileError struct {
	// File is its name, and Line the number of the line, 0 when no line is to blame.
	File string
	Line int
	// Reason is for people.
	Reason string
}

// Error returns "file:line: reason".
func (e *FileError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Reason
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
}
