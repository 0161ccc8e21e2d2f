//go:build linux

package tcp

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
)

// TLSConn is the transport of a connection secured by TLS; a Stream's Transport method returns it. The
// handshake is over. It belongs to its loop's goroutine.
//
// It is a crypto/tls connection whose records are read and written on the loop, without blocking and
// without a goroutine. What makes that possible, and is not promised by crypto/tls in so many words, a test pins: a
// Read that failed with a temporary net.Error goes on later where it was, in the middle of a record too. An
// error of a write would end the connection, so none ever meets one: records that the socket doesn't take wait here.
//
// The peer's end is its close_notify. As crypto/tls does, it also takes a closed socket for that, if no
// record is cut by it.
type TLSConn struct {
	tls    *tls.Conn
	socket connection.Transport
	loop   connection.Loop
	shake  *handshake // while it is under way
	in     []byte     // records that have been read and not been taken by tls
	kept   []byte     // the memory of in, where it outlives a Read
	out    []byte     // records that the socket has not taken
	gather []byte     // records of a Write, in the loop's raw buffer
	failed error      // what ended a Read that had something to return first
	scan   recordScanner

	answers int // bytes in out that are answers to what was read

	gathering bool
	ended     bool // close_notify was written
	ending    bool // the socket's writing side ends behind what is in out
	eof       bool // the socket has ended
	pending   bool // Read may have something to return though the socket has nothing
}

var _ net.Conn = (*wire)(nil)

// ConnectionState tells the version, the cipher suite, the protocol of ALPN, the peer's certificates and so on.
func (c *TLSConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// FD is the socket's descriptor.
func (c *TLSConn) FD() int { return c.socket.FD() }

// LocalAddr is the socket's address on this side; nil if it has none.
func (c *TLSConn) LocalAddr() net.Addr {
	if a, ok := c.socket.(addresses); ok {
		return a.LocalAddr()
	}
	return nil
}

// RemoteAddr is the peer's address; nil if it has none.
func (c *TLSConn) RemoteAddr() net.Addr {
	if a, ok := c.socket.(addresses); ok {
		return a.RemoteAddr()
	}
	return nil
}

type addresses interface {
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
}

// Read reads once from the socket and returns the text of all whole records, as much as p has room for.
func (c *TLSConn) Read(p []byte) (n int, err error) {
	if c.failed != nil {
		return 0, c.failed
	}
	if c.answers > maxAnswers {
		return 0, c.opError("read", connection.ErrOutputLimit)
	}
	if !c.pending {
		if err := c.receive(); err != nil {
			return 0, err
		}
	}
	for n < len(p) {
		m, err := c.tls.Read(p[n:])
		n += m
		if err != nil || m == 0 {
			return c.readEnd(n, err)
		}
		if n == len(p) {
			break // of this record something may be left
		}
		if c.scan.whole > 0 {
			c.scan.whole--
		}
		if c.scan.whole == 0 && len(c.in) == 0 && !c.eof {
			c.pending = false // asking tls once more would only cost the error
			c.in, c.kept = nil, nil
			return n, nil
		}
	}
	c.pending = true
	c.keep()
	return n, nil
}

// readEnd is what follows when tls has returned all that it can.
func (c *TLSConn) readEnd(n int, err error) (int, error) {
	c.pending = false
	c.in, c.kept = nil, nil
	if err == nil || errors.Is(err, errNothing) { // all whole records have been read, and tls keeps the rest
		c.scan.whole = 0
		err = nil
		if n == 0 {
			err = connection.ErrWouldBlock
		}
		return n, err
	}
	if !errors.Is(err, io.EOF) {
		err = c.wrap("read", err)
	}
	c.failed = err
	if n > 0 {
		c.pending = true
		return n, nil
	}
	return 0, err
}

// receive reads once from the socket.
func (c *TLSConn) receive() error {
	raw := c.loop.RawBuffer()
	n, err := c.socket.Read(raw)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		c.eof = true
	default:
		return err
	}
	c.in = raw[:n]
	c.scan.add(c.in)
	return nil
}

// keep keeps what tls has not taken, because the reader has no room for more.
func (c *TLSConn) keep() {
	if len(c.in) == 0 {
		c.in, c.kept = nil, nil
		return
	}
	c.kept = append(c.kept[:0], c.in...)
	c.in = c.kept
}

// Readable tells whether Read has something to return though the socket may have nothing.
func (c *TLSConn) Readable() bool { return c.pending }

// maxWrite is how much text is encrypted at a time: its records fit into the loop's raw buffer, also the
// small ones with which crypto/tls begins a connection.
const maxWrite = communicator.BufferSize * 3 / 4

// Write encrypts p and hands it to the socket, until that takes no more or it has been much: what was
// encrypted by then waits here. While records wait for the socket it takes nothing.
func (c *TLSConn) Write(p []byte) (n int, err error) {
	for n < min(len(p), maxBurst) {
		if len(c.out) > 0 {
			return n, connection.ErrWouldBlock
		}
		var m int
		err := c.gathered(func() (err error) {
			m, err = c.tls.Write(p[n:min(len(p), n+maxWrite)])
			return err
		})
		if err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// maxBurst is how much text one Write takes: others wait for the loop meanwhile.
const maxBurst = 256 << 10

// maxAnswers is how many bytes of answers may wait for a peer that asks and doesn't read: each new key of
// its asks for one of ours.
const maxAnswers = communicator.BufferSize

// gathered collects the records that f lets tls write, and hands them to the socket together.
func (c *TLSConn) gathered(f func() error) error {
	c.gather, c.gathering = c.loop.RawBuffer()[:0], true
	err := f()
	records := c.gather
	c.gather, c.gathering = nil, false
	if err != nil {
		return c.wrap("write", err)
	}
	if len(c.out) == 0 {
		n, err := c.socket.Write(records)
		if err != nil && !errors.Is(err, connection.ErrWouldBlock) {
			return err
		}
		records = records[n:]
	}
	c.out = append(c.out, records...)
	return nil
}

// Unsent is how many bytes of records wait for the socket.
func (c *TLSConn) Unsent() int { return len(c.out) }

// Flush hands the socket what waits for it.
func (c *TLSConn) Flush() error {
	if len(c.out) > 0 {
		n, err := c.socket.Write(c.out)
		if err != nil && !errors.Is(err, connection.ErrWouldBlock) {
			return err
		}
		if c.out = c.out[n:]; len(c.out) > 0 {
			return connection.ErrWouldBlock
		}
		c.out, c.answers = nil, 0
	}
	if c.ending {
		c.ending = false
		if s, ok := c.socket.(interface{ CloseWrite() error }); ok {
			return s.CloseWrite()
		}
	}
	return nil
}

// CloseWrite sends close_notify, and ends the writing side of the socket behind it: nothing may follow.
func (c *TLSConn) CloseWrite() error {
	c.ending = true
	if err := c.gathered(c.tls.CloseWrite); err != nil {
		return err
	}
	c.ended = true
	if len(c.out) > 0 {
		return nil
	}
	return c.Flush()
}

// Close closes the socket, without a close_notify: that is CloseWrite's. What waits is lost.
func (c *TLSConn) Close() error {
	c.in, c.kept, c.out, c.pending = nil, nil, nil, false
	return c.socket.Close()
}

// wrap makes an error of tls the error of a connection.
func (c *TLSConn) wrap(op string, err error) error {
	var already *net.OpError
	if errors.As(err, &already) && already.Op == op {
		return already
	}
	return c.opError(op, err)
}

func (c *TLSConn) opError(op string, err error) *net.OpError {
	network, peer := "tcp", c.RemoteAddr()
	if peer != nil {
		network = peer.Network()
	}
	return &net.OpError{Op: op, Net: network, Source: c.LocalAddr(), Addr: peer, Err: err}
}

// wire is a TLSConn as the net.Conn that crypto/tls reads from and writes to.
type wire TLSConn

// nothing is the error that lets crypto/tls go on later.
type nothing struct{}

var errNothing error = nothing{}

func (nothing) Error() string   { return "tcp: no record has come" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

func (w *wire) Read(p []byte) (int, error) {
	if w.shake != nil {
		n, err := w.shake.read(p)
		w.scan.add(p[:n])
		return n, err
	}
	if len(w.in) > 0 {
		n := copy(p, w.in)
		w.in = w.in[n:]
		return n, nil
	}
	if w.eof {
		return 0, io.EOF
	}
	return 0, errNothing
}

// Write takes all of p, or crypto/tls would never write again.
func (w *wire) Write(p []byte) (int, error) {
	switch {
	case w.shake != nil:
		return w.shake.write(p)
	case w.gathering:
		w.gather = append(w.gather, p...)
	case w.ended: // the peer's new key is of no use to a side that writes no more
	default: // an answer to what was read, such as to a new key
		w.out = append(w.out, p...)
		w.answers += len(p)
	}
	return len(p), nil
}

// Close does nothing: the socket is closed by who owns it.
func (w *wire) Close() error { return nil }

func (w *wire) LocalAddr() net.Addr  { return (*TLSConn)(w).LocalAddr() }
func (w *wire) RemoteAddr() net.Addr { return (*TLSConn)(w).RemoteAddr() }

// The deadlines are the loop's business.
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// recordHeader is the length of what stands before each record: type, version and, in the last two
// bytes, the length of the rest (RFC 8446, section 5.1).
const recordHeader = 5

// recordScanner counts the whole records in what has been read.
type recordScanner struct {
	whole  int // that tls may not have read yet: never too few
	left   int // bytes of the record at hand
	header [recordHeader]byte
	have   int // bytes of the header
}

func (s *recordScanner) add(b []byte) {
	for len(b) > 0 {
		if s.left == 0 {
			n := copy(s.header[s.have:], b)
			s.have += n
			b = b[n:]
			if s.have < recordHeader {
				return
			}
			s.have = 0
			s.left = int(binary.BigEndian.Uint16(s.header[recordHeader-2:]))
		}
		n := min(s.left, len(b))
		s.left -= n
		b = b[n:]
		if s.left == 0 {
			s.whole++
		}
	}
}
