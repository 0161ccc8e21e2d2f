//go:build linux

package fifo

import (
	"io"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// end is one descriptor, for reading or for writing.
type end struct {
	fd       int
	steady   bool // always ready: epoll doesn't take it
	socket   bool
	terminal bool
	restored bool      // its mode, at the end, to
	flags    sys.Flags // these, because other processes share it
}

var noEnd = end{fd: sys.NoFD}

func (e *end) open() bool { return e.fd != sys.NoFD }

// watched is the descriptor for the loop.
func (e *end) watched() int {
	if e.steady {
		return sys.NoFD
	}
	return e.fd
}

func (e *end) read(p []byte) (int, error) {
	switch {
	case e.socket:
		return sys.Recv(e.fd, p)
	case e.steady:
		return sys.ReadFile(e.fd, p)
	}
	return sys.Read(e.fd, p)
}

func (e *end) write(p []byte) (int, error) {
	switch {
	case e.socket:
		return sys.Send(e.fd, p)
	case e.steady:
		return e.writeAll(p)
	}
	return sys.Write(e.fd, p)
}

// writeAll writes to what the loop can't wait for: nobody would write the rest. A disk that is full
// takes a part, and only the next call says why.
func (e *end) writeAll(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var done int
		done, err = sys.WriteFile(e.fd, p[n:])
		if n += done; done == 0 && err == nil {
			err = io.ErrShortWrite
		}
	}
	return n, err
}

func (e *end) close() error {
	if !e.open() {
		return nil
	}
	if e.restored {
		_ = sys.SetFlags(e.fd, e.flags)
	}
	fd := e.fd
	e.fd = sys.NoFD
	return sys.Close(fd)
}
