//go:build linux

package unixsock

import (
	"errors"

	"github.com/eventdispatcher-go/eventdispatcher/internal/socketfile"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

var (
	// ErrAbstract is returned for an abstract name with a mode, an owner or a group: it has no file
	// that could have them, and anybody may connect to it.
	ErrAbstract = socketfile.ErrAbstract
	// ErrDescriptors ends a connection whose peer sends more descriptors than may wait to be taken,
	// or than the process may open. Write returns it for more descriptors than may wait to be sent.
	ErrDescriptors = sys.ErrDescriptors
	// ErrDialling is returned by Write for files when the connection doesn't stand yet: send them when
	// it is opened.
	ErrDialling = errors.New("unixsock: descriptors can be passed along only when the connection stands")
	// ErrNoDescriptors is returned by Write for files that can't be passed along: on a stream whose
	// connection was not made with Descriptors, or with no byte of data to go with.
	ErrNoDescriptors = errors.New("unixsock: no descriptor can be passed along here")
)
