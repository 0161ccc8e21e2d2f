//go:build linux

package fifo

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Dialer opens one FIFO or two; it is a connection.Dialer. Opening never waits: a FIFO to write to
// that nobody reads from is ErrNoReader. Ask again later then, as connection.Permanent does.
type Dialer struct {
	// Read is the path of the FIFO to read from. Its writer may come later; when the last one has
	// gone the connection has ended. Empty: nothing is read.
	Read string
	// Write is the path of the FIFO to write to. When nobody reads from it any more the connection has
	// ended. Empty: what is written is dropped.
	Write string
}

// String is the paths, for people.
func (d Dialer) String() string {
	switch {
	case d.Write == "":
		return "fifo " + d.Read
	case d.Read == "":
		return "fifo " + d.Write
	}
	return "fifo " + d.Write + ", " + d.Read
}

// Dial begins a connection: see connection.Dialer.
func (d Dialer) Dial(loop *communicator.Communicator, done func(connection.Transport, error)) (cancel func(), err error) {
	cancelled := false
	err = loop.Post(func() {
		if !cancelled {
			done(d.open())
		}
	})
	return func() { cancelled = true }, err
}

// open opens the FIFO for reading first: who answers what is written finds it so.
func (d Dialer) open() (connection.Transport, error) {
	in, out := noEnd, noEnd
	l := label{network: "fifo"}
	if d.Read != "" {
		fd, err := sys.OpenFIFO(d.Read, sys.ForReading)
		if err != nil {
			return nil, dialError(d.Read, err)
		}
		in.fd = fd
		l.local, l.remote = Addr(d.Read), Addr(d.Read)
	}
	if d.Write != "" {
		fd, err := sys.OpenFIFO(d.Write, sys.ForWriting)
		if errors.Is(err, syscall.ENXIO) {
			err = fmt.Errorf("%w: %w", ErrNoReader, err)
		}
		if err != nil {
			_ = in.close()
			return nil, dialError(d.Write, err)
		}
		out.fd = fd
		l.remote = Addr(d.Write)
	}
	r := Reader{label: l, in: in, waits: true}
	switch {
	case in.open() && out.open():
		return &Transport{Reader: r, out: out}, nil
	case in.open():
		return &r, nil
	case out.open():
		w, err := newWriter(l, out, true)
		if err != nil {
			return nil, dialError(d.Write, err)
		}
		return w, nil
	}
	return nil, dialError("", connection.ErrNoAddress)
}

func dialError(path string, err error) error {
	return &net.OpError{Op: "dial", Net: "fifo", Addr: Addr(path), Err: err}
}
