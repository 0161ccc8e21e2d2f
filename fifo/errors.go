//go:build linux

package fifo

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

var (
	// ErrNotFIFO is returned for a path that leads to something else.
	ErrNotFIFO = sys.ErrNotFIFO
	// ErrNoReader is returned by a Dialer whose FIFO for writing nobody has open for reading;
	// errors.Is(err, syscall.ENXIO) holds.
	ErrNoReader = errors.New("fifo: nobody reads from it")
	// ErrInUse is returned by Listen for a FIFO that somebody reads from already: each of the two would
	// get some of what is written. errors.Is(err, syscall.EADDRINUSE) holds.
	ErrInUse = fmt.Errorf("fifo: somebody reads from it already: %w", syscall.EADDRINUSE)
	// ErrNoFile is returned by FromFile without any file.
	ErrNoFile = errors.New("fifo: neither a file to read nor one to write")
	// ErrAccess is returned by FromFile for a file that was not opened for what it shall be used for.
	ErrAccess = errors.New("fifo: the file was not opened for that")
)
