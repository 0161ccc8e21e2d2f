// Package closed makes the sentinel errors of what has been closed: errors.Is(err, net.ErrClosed) holds for them, and
// their text is their own, because most of what can be closed here is no network connection. It is for the errors.go of
// packages; nothing else needs it.
package closed

import "net"

// New returns an error with that text that is a net.ErrClosed.
func New(text string) error { return &closed{text} }

type closed struct{ text string }

func (c *closed) Error() string { return c.text }

func (c *closed) Is(target error) bool { return target == net.ErrClosed }
