package cli

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// The exit statuses.
const (
	StatusGood  = 0
	StatusBad   = 1
	StatusUsage = 2
)

// ErrFailed is what f returns to Run when the exit status has to be StatusBad and all is said: nothing is printed.
var ErrFailed = errors.New("cli: failed")

// UsageError is an error of the command line.
type UsageError struct{ Err error }

// Usagef makes a UsageError, with the text of fmt.Errorf.
func Usagef(format string, args ...any) error { return &UsageError{Err: fmt.Errorf(format, args...)} }

// Error is the text of what is wrong.
func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *UsageError) Unwrap() error { return e.Err }

// lines are what is printed of an error: a line for each of joined ones.
func lines(err error) []string {
	if err == nil || err == ErrFailed { //nolint:errorlint // one that wraps it has something to say
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // a text around joined ones is one line
		var all []string
		for _, err := range joined.Unwrap() {
			all = append(all, lines(err)...)
		}
		return all
	}
	return []string{Printable(err.Error())}
}

// Printable is text as it may be shown on a terminal, on one line: control characters, such as those that move the
// cursor or set a title, and what isn't UTF-8, are written as in a Go string, \n or \x1b.
func Printable(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == unicode.ReplacementChar && !strings.HasPrefix(text[i:], string(unicode.ReplacementChar)):
			_, _ = fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := fmt.Sprintf("%+q", r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}
