//go:build linux

package fifo

import (
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Addr is the path of a FIFO as a net.Addr.
type Addr string

// Network is "fifo".
func (a Addr) Network() string { return "fifo" }

// String is the path.
func (a Addr) String() string { return string(a) }

// label is what errors and listings call a transport.
type label struct {
	network       string // fifo, pipe or file
	local, remote net.Addr
}

// LocalAddr is the path of the FIFO that is read, an Addr; nil where there is none.
func (l *label) LocalAddr() net.Addr { return l.local }

// RemoteAddr is the path of the FIFO that is written, or else of the one that is read, an Addr; nil
// where there is none.
func (l *label) RemoteAddr() net.Addr { return l.remote }

func (l *label) wrap(op string, err error) error {
	if err == nil || err == connection.ErrWouldBlock { //nolint:errorlint // the sentinel itself, on the way of every read
		return err
	}
	return &net.OpError{Op: op, Net: l.network, Source: l.local, Addr: l.remote, Err: err}
}

// Reader is the transport of a reading end alone, as a one-way service has it. What is written to it
// goes nowhere: it is dropped, and counted.
type Reader struct {
	label
	in      end
	home    *acceptor // where the descriptor goes back to; nil: it is closed
	unsure  bool      // the end may have come without a hang-up: see acceptor.begin
	waits   bool      // the end only counts with a hang-up: until then a writer is waited for
	ended   bool
	dropped uint64
}

var (
	_ connection.Transport = (*Reader)(nil)
	_ connection.Transport = (*Transport)(nil)
	_ connection.Transport = (*writer)(nil)
)

// FD is the descriptor for reading; none for a file that is always ready.
func (r *Reader) FD() int { return r.in.watched() }

// Read reads what there is, up to len(p).
func (r *Reader) Read(p []byte) (int, error) {
	if r.ended {
		return 0, io.EOF
	}
	n, err := r.in.read(p)
	switch {
	case err == connection.ErrWouldBlock: //nolint:errorlint // by contract the sentinel itself
		r.unsure = false // there is a writer, and its end will be a hang-up
		return 0, err
	case r.in.terminal && errors.Is(err, syscall.EIO): // the other side of it has gone
	case err != nil:
		return 0, r.wrap("read", err)
	case n > 0 || len(p) == 0:
		return n, nil
	case r.waits && !r.unsure && !r.hungUp():
		return 0, connection.ErrWouldBlock
	}
	r.ended = true
	return 0, io.EOF
}

func (r *Reader) hungUp() bool {
	events, err := sys.Poll(r.in.fd)
	return err != nil || events&(sys.HangUp|sys.Failed) != 0
}

// Readable tells whether Read has something to say that the descriptor doesn't announce.
func (r *Reader) Readable() bool { return !r.ended && (r.unsure || r.in.steady) }

// Unsent is 0: nothing is kept.
func (r *Reader) Unsent() int { return 0 }

// Flush has nothing to do.
func (r *Reader) Flush() error { return nil }

// Write drops p.
func (r *Reader) Write(p []byte) (int, error) {
	r.dropped += uint64(len(p))
	return len(p), nil
}

// Dropped is how many bytes were written that nobody reads.
func (r *Reader) Dropped() uint64 { return r.dropped }

// Close closes the descriptor; that of a listener's connection goes back to the listener.
func (r *Reader) Close() error {
	if r.home != nil && r.in.open() {
		fd, home := r.in.fd, r.home
		r.in, r.home = noEnd, nil
		return home.giveBack(fd, r.ended)
	}
	return r.wrap("close", r.in.close())
}

// Transport is the transport of two descriptors, one for each direction: two pipes, two FIFOs, a
// terminal.
type Transport struct {
	Reader
	out   end
	lossy bool // what can't be written because nobody reads is dropped
}

// WriteFD is the descriptor for writing; none for a file that is always ready.
func (t *Transport) WriteFD() int { return t.out.watched() }

// Write writes what the kernel takes.
func (t *Transport) Write(p []byte) (int, error) {
	n, err := t.out.write(p)
	if t.lossy && errors.Is(err, syscall.EPIPE) {
		return t.Reader.Write(p)
	}
	return n, t.wrap("write", err)
}

// CloseWrite closes the descriptor for writing: the peer reads the end of the file, if nobody else
// can write to it.
func (t *Transport) CloseWrite() error {
	var err error
	if t.out.socket && t.out.open() {
		err = sys.Shutdown(t.out.fd)
	}
	return t.wrap("close", errors.Join(err, t.out.close()))
}

// Close closes both descriptors.
func (t *Transport) Close() error {
	return errors.Join(t.wrap("close", t.out.close()), t.Reader.Close())
}

// writer is the transport of a writing end alone. Of a pipe it watches whether somebody reads: that
// nobody does any more is the peer's end.
type writer struct {
	label
	out   end
	watch int // a duplicate of out
	ended bool
}

func newWriter(l label, out end, pipe bool) (*writer, error) {
	w := &writer{label: l, out: out, watch: sys.NoFD}
	if pipe {
		var err error
		if w.watch, err = sys.Dup(out.fd); err != nil {
			return nil, errors.Join(err, w.out.close())
		}
	}
	return w, nil
}

func (w *writer) FD() int { return w.watch }

func (w *writer) WriteFD() int { return w.out.watched() }

func (w *writer) Read([]byte) (int, error) {
	if !w.ended && w.watch != sys.NoFD {
		events, err := sys.Poll(w.watch)
		if err != nil {
			return 0, w.wrap("read", err)
		}
		w.ended = events&(sys.Failed|sys.HangUp) != 0
	}
	if w.ended {
		return 0, io.EOF
	}
	return 0, connection.ErrWouldBlock
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.out.write(p)
	return n, w.wrap("write", err)
}

func (w *writer) Close() error {
	err := w.out.close()
	if w.watch != sys.NoFD {
		err = errors.Join(err, sys.Close(w.watch))
		w.watch = sys.NoFD
	}
	return w.wrap("close", err)
}
