//go:build linux

package shmconn

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// unlimited is the time limit of a dial that only its context ends.
const unlimited = 365 * 24 * time.Hour

// DialConn connects, and returns the connection as a blocking net.Conn: for programs without a loop, goroutines beside
// one, and tests. It is what connection.NewBlocking needs:
//
//	client := connection.NewBlocking(func(ctx context.Context) (io.ReadWriteCloser, error) {
//		return shmconn.Dialer{Path: "/run/demo.ring"}.DialConn(ctx)
//	}, connection.BlockingConfig{})
//
// On a loop's goroutine it would hold up everything: use connection.DialStream and the like there.
//
// It waits until the connection stands, ctx ends, or Timeout is over; here a Timeout of zero is no limit. A ctx that
// ends later doesn't matter to the connection. An error is a *net.OpError of a "dial" over "shm", of one of the causes
// that Dial has or of context.Cause(ctx).
//
// As with any net.Conn all methods may be called from any goroutine, at the same time too. Read returns what there is
// and only waits if that is nothing. Write returns when all is in the ring, where the peer finds it also when this
// process has ended; after an error its count says how much is. What one Write writes stays together. Neither makes a
// system call unless it has to wait or the peer sleeps.
//
// After CloseWrite, which a type assertion to interface{ CloseWrite() error } finds, the peer reads the end of the
// file; a Write that waits for room fails with EPIPE. Close ends all that is under way with net.ErrClosed. What was
// written is delivered all the same, but if something is left unread here the peer gets ErrUnread after it, as a reset
// over TCP.
//
// The errors are *net.OpError of the operations "read", "write", "set" and "close" over "shm", but for the end of the
// file, which is io.EOF itself. Their causes are net.ErrClosed; os.ErrDeadlineExceeded, after which the connection is
// as good as before; EPIPE for what is written after CloseWrite, or to a peer that has gone, of which something may
// still be left to read; and what ends a connection, such as ErrPeerDied, ErrUnread, ErrMismatch and ErrCorrupt.
//
// A connection takes the memory that the package's section "Memory" tells of, and no buffer besides: what isn't read
// stays in the ring, and lets the peer wait. It has five descriptors and two goroutines, no loop, and no thread while
// it waits. Ring.Spin is spent by Read; a Write meanwhile waits for it.
func (d Dialer) DialConn(ctx context.Context) (net.Conn, error) {
	t, err := d.dialAlone(ctx)
	if err == nil {
		var c *conn
		if c, err = newConn(t); err == nil {
			return c, nil
		}
	}
	if operation := (*net.OpError)(nil); !errors.As(err, &operation) {
		err = &net.OpError{Op: "dial", Net: network, Addr: Addr(d.Path), Err: err}
	}
	return nil, err
}

// dialAlone makes a connection that belongs to no loop.
func (d Dialer) dialAlone(ctx context.Context) (*Transport, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	loop, err := communicator.New(communicator.Config{Logger: slog.New(slog.DiscardHandler), SlowCallback: -1})
	if err != nil {
		return nil, err
	}
	if d.Timeout <= 0 {
		d.Timeout = unlimited
	}
	var t *Transport
	var failure error
	_, err = d.Dial(loop, func(made connection.Transport, err error) {
		if failure = err; err == nil {
			t = made.(*Transport)
			t.leave()
		}
	})
	if err != nil {
		return nil, errors.Join(err, loop.Close())
	}
	err = loop.Run(ctx)
	switch {
	case err == nil:
		return t, failure
	case t != nil:
		err = errors.Join(err, t.Close())
	}
	return nil, err
}

// leave takes it off its loop. Whoever has it listens to the socket from then on.
func (t *Transport) leave() {
	if t.notice != nil {
		t.notice.Detach()
		t.notice = nil
	}
}

// conn is a connection as a net.Conn. Whoever calls reads from the ring and writes to it; what they wait for, the
// runtime's poller tells two goroutines.
type conn struct {
	bell, socket *os.File // duplicates of the transport's descriptors
	watchers     sync.WaitGroup
	local        net.Addr
	remote       net.Addr
	turn         sync.Mutex // of one Write; taken before mu

	mu            sync.Mutex
	changed       sync.Cond // anything that somebody may wait for
	t             *Transport
	reads, writes deadline
	closed        bool
}

var _ interface {
	net.Conn
	CloseWrite() error
} = (*conn)(nil)

// newConn makes it of a transport without a loop, which it owns, also after an error.
func newConn(t *Transport) (*conn, error) {
	c := &conn{t: t, local: t.LocalAddr(), remote: t.RemoteAddr()}
	c.changed.L = &c.mu
	var err error
	if c.bell, err = pollable(t.own.bell, "bell of a ring"); err == nil {
		c.socket, err = pollable(t.socket.FD(), "socket of a ring")
	}
	if err != nil {
		return nil, errors.Join(err, t.Close(), c.closeFiles())
	}
	c.watchers.Go(func() { c.watch(c.bell, func() (over bool) { return false }) })
	c.watchers.Go(func() {
		c.watch(c.socket, func() (over bool) {
			t.listen()
			return t.gone || t.err != nil
		})
	})
	return c, nil
}

// pollable returns a duplicate of a descriptor, which the runtime's poller watches: edge-triggered, as a bell has to
// be.
func pollable(fd int, name string) (*os.File, error) {
	fd, err := sys.Dup(fd)
	if err != nil {
		return nil, err
	}
	if err := sys.SetNonblock(fd); err != nil { // the peer has the bell, too, and may have changed it
		return nil, errors.Join(err, sys.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (c *conn) closeFiles() (err error) {
	for _, f := range []*os.File{c.bell, c.socket} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// watch does what is to be done first, and then each time the poller tells of the file, until it is over, and wakes
// those who wait.
func (c *conn) watch(f *os.File, do func() (over bool)) {
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Read(func(uintptr) bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.closed {
				return true
			}
			defer c.changed.Broadcast()
			return do()
		})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && !c.closed { // else nobody would ever be woken
		_ = c.t.fail(err)
		c.changed.Broadcast()
	}
}

// Read reads what has come, and waits for it.
func (c *conn) Read(p []byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) == 0 && !c.closed {
		return 0, nil
	}
	for {
		if err := c.ended(&c.reads); err != nil {
			return 0, c.wrap("read", err)
		}
		n, err := c.t.Read(p)
		if err != connection.ErrWouldBlock { //nolint:errorlint // by contract the sentinel itself
			return n, err
		}
		if !c.t.Readable() {
			c.changed.Wait()
			continue
		}
		c.mu.Unlock() // there may be no end of records without a byte, and others have to get their turn
		c.mu.Lock()
	}
}

// Write writes all of p, and waits until all of it is in the ring.
func (c *conn) Write(p []byte) (n int, err error) {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if err := c.ended(&c.writes); err != nil {
			return n, c.wrap("write", err)
		}
		written, err := c.t.Write(p[n:])
		n += written
		if err != connection.ErrWouldBlock { //nolint:errorlint // by contract the sentinel itself
			return n, err
		}
		if c.t.gone { // nobody will make room, though something may be left to read
			return n, c.wrap("write", syscall.EPIPE)
		}
		c.changed.Wait()
	}
}

// ended tells why nothing can be done now, whatever the peer does.
func (c *conn) ended(d *deadline) error {
	switch {
	case c.closed:
		return net.ErrClosed
	case d.passed():
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *conn) wrap(op string, err error) error {
	return &net.OpError{Op: op, Net: network, Addr: c.remote, Err: err}
}

// CloseWrite ends the writing side: the peer reads the end of the file.
func (c *conn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.wrap("close", net.ErrClosed)
	}
	c.changed.Broadcast()
	return c.t.CloseWrite()
}

// Close closes the connection.
func (c *conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.wrap("close", net.ErrClosed)
	}
	c.closed = true
	c.reads.set(time.Time{}, nil)
	c.writes.set(time.Time{}, nil)
	c.changed.Broadcast()
	err := c.t.Close()
	c.mu.Unlock()
	err = errors.Join(err, c.closeFiles())
	c.watchers.Wait()
	return err
}

// LocalAddr is an empty Addr.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the listener's path, an Addr.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error      { return c.setDeadlines(t, &c.reads, &c.writes) }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.setDeadlines(t, &c.reads) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, &c.writes) }

func (c *conn) setDeadlines(t time.Time, deadlines ...*deadline) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.wrap("set", net.ErrClosed)
	}
	for _, d := range deadlines {
		d.set(t, c.wake)
	}
	c.changed.Broadcast()
	return nil
}

func (c *conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed.Broadcast()
}

// deadline is when reading or writing ends; the zero value is never.
type deadline struct {
	at    time.Time // by the monotonic clock, as the timer
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// set sets it anew, and has f called when it has passed, unless it already has.
func (d *deadline) set(at time.Time, f func()) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.at = at; at.IsZero() {
		return
	}
	left := time.Until(at)
	d.at = time.Now().Add(left)
	if left > 0 {
		d.timer = time.AfterFunc(left, f)
	}
}
