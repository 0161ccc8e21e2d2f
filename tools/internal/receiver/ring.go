//go:build linux

package receiver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

const (
	// maxUnread is how many bytes wait for Read before no more are taken from the ring, and maxPiece how many are handed
	// to the loop at once.
	maxUnread = 64 << 10
	maxPiece  = 64 << 10
	// longDial is for a dial that only its context ends.
	longDial = 365 * 24 * time.Hour
)

// ring is a connection through shared memory as a net.Conn: a stream on a loop that runs on a goroutine of its own.
// Write returns when all of it is where the peer can read it.
type ring struct {
	loop          *communicator.Communicator
	stream        *connection.Stream // belongs to the loop
	ended         chan struct{}      // closed when the loop has ended
	local, remote net.Addr

	mu      sync.Mutex
	changed sync.Cond // something of what follows
	opened  bool
	unread  []byte
	paused  bool // the stream, because of unread
	eof     bool // nothing comes after unread
	writing bool // somebody is in Write
	waits   bool // something that was written waits for room
	half    bool // nothing is written any more
	gone    bool // the stream is closed
	cause   error
	closed  bool // by Close
	reads   limit
	writes  limit
}

// dialRing connects to the listener of a ring. An error is of package net, and names the path.
func dialRing(ctx context.Context, path string) (net.Conn, error) {
	r, err := newRing(ctx, path)
	if err == nil {
		return r, nil
	}
	if operation := (*net.OpError)(nil); !errors.As(err, &operation) {
		err = &net.OpError{Op: "dial", Net: Shm, Addr: shmconn.Addr(path), Err: err}
	}
	return nil, err
}

func newRing(ctx context.Context, path string) (*ring, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	loop, err := communicator.New(communicator.Config{Logger: slog.New(slog.DiscardHandler), SlowCallback: -1})
	if err != nil {
		return nil, err
	}
	r := &ring{loop: loop, ended: make(chan struct{})}
	r.changed.L = &r.mu
	r.stream, err = connection.DialStream(loop, shmconn.Dialer{Path: path, Timeout: longDial}, r, connection.StreamConfig{})
	if err != nil {
		return nil, errors.Join(err, loop.Close())
	}
	go r.run()
	stop := context.AfterFunc(ctx, func() { _ = loop.Post(func() { r.stream.Abort(context.Cause(ctx)) }) })
	if err := r.await(func() bool { return r.opened }, nil); err != nil {
		stop()
		<-r.ended
		return nil, err
	}
	if !stop() {
		return nil, errors.Join(context.Cause(ctx), r.Close())
	}
	return r, nil
}

// run runs the loop, which ends with the stream.
func (r *ring) run() {
	err := r.loop.Run(context.Background())
	r.change(func() {
		r.gone = true
		if r.cause == nil {
			r.cause = err
		}
	})
	close(r.ended)
}

// change changes what others wait for.
func (r *ring) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	r.changed.Broadcast()
}

// HandleOpen is called on the loop, as HandleData, HandleDrain, HandleEOF and HandleClose are.
func (r *ring) HandleOpen(s *connection.Stream) error {
	r.change(func() { r.opened, r.local, r.remote = true, s.LocalAddr(), s.RemoteAddr() })
	return nil
}

func (r *ring) HandleData(s *connection.Stream, data []byte) (consumed int, err error) {
	r.change(func() {
		r.unread = append(r.unread, data...)
		if r.paused = len(r.unread) >= maxUnread; r.paused {
			s.Pause()
		}
	})
	return len(data), nil
}

func (r *ring) HandleDrain(*connection.Stream) error {
	r.change(func() { r.waits = false })
	return nil
}

func (r *ring) HandleEOF(*connection.Stream, []byte) error {
	r.change(func() { r.eof = true })
	return nil
}

func (r *ring) HandleClose(_ *connection.Stream, cause error) {
	r.change(func() { r.gone, r.cause = true, cause })
}

// await waits until something holds, a limit is over if there is one, or the connection is closed.
func (r *ring) await(what func() bool, l *limit) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.awaitLocked(what, l)
}

func (r *ring) awaitLocked(what func() bool, l *limit) error {
	for {
		switch {
		case r.closed:
			return net.ErrClosed
		case l.passed():
			return os.ErrDeadlineExceeded
		case what():
			return nil
		case r.gone && r.cause == nil:
			return syscall.EPIPE
		case r.gone:
			return r.cause
		}
		r.changed.Wait()
	}
}

func (r *ring) wrap(op string, err error) error {
	if operation := (*net.OpError)(nil); err == nil || errors.As(err, &operation) {
		return err
	}
	return &net.OpError{Op: op, Net: Shm, Addr: r.remote, Err: err}
}

// Read reads what has come, and waits for it.
func (r *ring) Read(p []byte) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.awaitLocked(func() bool { return len(r.unread) > 0 || r.eof }, &r.reads); err != nil {
		return 0, r.wrap("read", err)
	}
	if len(r.unread) == 0 {
		return 0, io.EOF
	}
	n = copy(p, r.unread)
	r.unread = r.unread[n:]
	if r.paused && len(r.unread) == 0 {
		r.paused = false
		_ = r.loop.Post(r.stream.Resume) // fails only when the loop has ended, which is told by itself
	}
	return n, nil
}

// Write writes all of p, and waits until all of it is in the ring.
func (r *ring) Write(p []byte) (n int, err error) {
	if err := r.beginWrite(); err != nil {
		return 0, r.wrap("write", err)
	}
	defer r.change(func() { r.writing = false })
	for {
		taken := func() bool { return !r.waits && (n == len(p) || !r.gone) }
		if err := r.await(taken, &r.writes); err != nil || n == len(p) {
			return n, r.wrap("write", err)
		}
		piece := p[n:min(len(p), n+maxPiece)]
		err := r.loop.Do(context.Background(), func() error {
			_, err := r.stream.Write(piece)
			r.change(func() { r.waits = r.stream.QueuedBytes() > 0 })
			return err
		})
		if errors.Is(err, net.ErrClosed) {
			err = r.await(func() bool { return false }, &r.writes) // until it is known why
		}
		if err != nil {
			return n, r.wrap("write", err)
		}
		n += len(piece)
	}
}

// beginWrite waits until nobody else writes.
func (r *ring) beginWrite() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.awaitLocked(func() bool { return !r.writing && !r.gone }, &r.writes)
	if err == nil && r.half {
		err = syscall.EPIPE
	}
	r.writing = r.writing || err == nil
	return err
}

// CloseWrite ends the writing side: the peer reads the end of the file.
func (r *ring) CloseWrite() error {
	r.change(func() { r.half = true })
	return r.wrap("close", r.loop.Post(r.stream.CloseWrite))
}

// Close closes the connection. What Write has returned from is delivered.
func (r *ring) Close() error {
	was := false
	r.change(func() {
		was, r.closed = r.closed, true
		r.reads.set(time.Time{}, nil)
		r.writes.set(time.Time{}, nil)
	})
	if was {
		return r.wrap("close", net.ErrClosed)
	}
	_ = r.loop.Post(func() { r.stream.Abort(nil) }) // fails only when the loop has ended
	<-r.ended
	return nil
}

func (r *ring) LocalAddr() net.Addr  { return r.local }
func (r *ring) RemoteAddr() net.Addr { return r.remote }

func (r *ring) SetDeadline(t time.Time) error {
	return errors.Join(r.setLimit(&r.reads, t), r.setLimit(&r.writes, t))
}

func (r *ring) SetReadDeadline(t time.Time) error  { return r.setLimit(&r.reads, t) }
func (r *ring) SetWriteDeadline(t time.Time) error { return r.setLimit(&r.writes, t) }

func (r *ring) setLimit(l *limit, t time.Time) (err error) {
	r.change(func() {
		if r.closed {
			err = r.wrap("set", net.ErrClosed)
			return
		}
		l.set(t, func() { r.change(func() {}) })
	})
	return err
}

// limit is a deadline; nil is none.
type limit struct {
	at    time.Time
	timer *time.Timer
}

func (l *limit) passed() bool { return l != nil && !l.at.IsZero() && !time.Now().Before(l.at) }

// set sets it anew, and has f called when it has passed.
func (l *limit) set(at time.Time, f func()) {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if l.at = at; !at.IsZero() {
		l.timer = time.AfterFunc(time.Until(at), f)
	}
}
