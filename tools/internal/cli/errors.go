package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
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

func isUsage(err error) bool {
	usage := (*UsageError)(nil)
	return errors.As(err, &usage)
}

// plainValue puts what is wrong with the value of an option into plain words where pflag has those of package strconv.
func plainValue(err error) error {
	number := (*strconv.NumError)(nil)
	if !errors.As(err, &number) {
		return err
	}
	why := "not a number"
	switch {
	case number.Func == "ParseBool":
		why = "neither true nor false"
	case errors.Is(number, strconv.ErrRange):
		why = "out of range"
	}
	return errors.New(strings.TrimSuffix(err.Error(), number.Error()) + why)
}

// separate returns the errors that have a line each: those that errors.Join has put together, or err itself.
func separate(err error) []error {
	if err == nil || err == ErrFailed { //nolint:errorlint // one that wraps it has something to say
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	// fmt.Errorf with several %w has that method as well, and a text of its own.
	var all []error
	var texts []string
	for _, err := range joined.Unwrap() {
		if err != nil {
			all = append(all, separate(err)...)
			texts = append(texts, err.Error())
		}
	}
	if strings.Join(texts, "\n") != err.Error() {
		return []error{err}
	}
	return all
}

// Printable is text as it may be shown on a terminal, on one line: control characters, such as those that move the
// cursor or set a title, and what isn't UTF-8, are written as in a Go string, \n or \x1b. All else stays, backslashes
// as well: what is printable comes out as it is, however often it goes through here, and can't be told from what was
// made printable.
func Printable(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	var b strings.Builder
	for rest := text; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			_, _ = fmt.Fprintf(&b, `\x%02x`, rest[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := fmt.Sprintf("%+q", r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		rest = rest[size:]
	}
	return b.String()
}
