package message

import (
	"errors"
	"fmt"
)

// What can be wrong with a message. Each comes wrapped in an [*Error].
var (
	// ErrEmpty: the text is empty or all white space.
	ErrEmpty = errors.New("message: empty")
	// ErrSyntax: the text is not a message.
	ErrSyntax = errors.New("message: syntax error")
	// ErrName: a command, address or parameter name that is not allowed.
	ErrName = errors.New("message: bad name")
	// ErrLimit: more than a limit of the [Parser] allows.
	ErrLimit = errors.New("message: limit exceeded")
	// ErrUnsendable: something that the form can't carry.
	ErrUnsendable = errors.New("message: can't be sent")
	// ErrMissing: a parameter that is not there.
	ErrMissing = errors.New("message: parameter missing")
	// ErrValue: a value that is not of the type asked for.
	ErrValue = errors.New("message: bad value")
	// ErrVersion: the message is of another version of the protocol.
	ErrVersion = errors.New("message: wrong version")
)

// Error says what is wrong with a message, and where. Values, which may be secret, are left out; but in a text whose
// quoting is wrong, a piece of a value may pass for a name. Behind a secret_code such a name is hidden.
type Error struct {
	// Offset is the byte position in the parsed text, -1 when there is none.
	Offset int
	// Field is the part at fault: "command", "server", "service", "sent_from_server",
	// "sent_from_service" or "parameter"; "" when it is none of them.
	Field string
	// Name is the name in that part as it was given: the refused one, or the name of the parameter whose
	// value is refused. It comes from the peer: quote it when printing.
	Name string
	// Reason is for people.
	Reason string
	// Err is one of the errors of this package, such as ErrSyntax.
	Err error
}

// maxShownName bounds what Error shows of a name, in characters.
const maxShownName = 64

// Error returns one line of printable text.
func (e *Error) Error() string {
	s := "message: "
	if e.Field != "" {
		s += fmt.Sprintf("%s %.*q", e.Field, maxShownName, e.Name)
	}
	if e.Offset >= 0 {
		if e.Field != "" {
			s += " "
		}
		s += fmt.Sprintf("at byte %d", e.Offset)
	}
	if e.Field != "" || e.Offset >= 0 {
		s += ": "
	}
	return s + e.Reason
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }
