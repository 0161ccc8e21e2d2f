//go:build linux

package tcp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
)

// handshake is one handshake. As a source it is the socket, and a time limit. The socket belongs to
// the goroutine while that runs.
type handshake struct {
	pool     *Handshakes
	conn     *TLSConn
	handle   *communicator.Handle
	done     func(*TLSConn, error) // nil when it was called
	ctx      context.Context       //nolint:containedctx // it is that of the goroutine
	cancel   context.CancelFunc
	ready    chan struct{} // the socket is
	failure  *net.OpError  // without what it was, made while the socket has its addresses
	state    handshakeState
	accepted bool      // by a listener: the peer speaks first
	computes bool      // the goroutine has a processor
	since    time.Time // when it began to wait for the peer; zero: it doesn't
	end      time.Time // the time limit
}

type handshakeState uint8

const (
	silent   handshakeState = iota // the peer has said nothing yet
	queued                         // waits for its turn
	running                        // on its goroutine
	orphaned                       // on its goroutine, which closes the socket: the source has left the loop
	over
)

// begin begins a handshake on a connected transport, which it owns from then on. Later it calls done on
// the loop's goroutine, once; not after cancel, which gives up, nor after a shutdown of what was accepted.
// end is a limit besides the pool's own, if it is not zero.
func (p *Handshakes) begin(loop connection.Loop, t connection.Transport, side func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config,
	end time.Time, done func(*TLSConn, error),
) (cancel func(), err error) {
	c := &TLSConn{socket: t, loop: loop}
	c.tls = side((*wire)(c), config)
	h := &handshake{pool: p, conn: c, done: done, ready: make(chan struct{}, 1), accepted: end.IsZero()}
	c.shake = h
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if limit := time.Now().Add(p.config.Timeout); end.IsZero() || limit.Before(end) {
		end = limit
	}
	h.end = end
	h.handle, err = loop.Add(h, communicator.Options{Deadline: end, Want: communicator.Read, Priority: p.config.Priority})
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	if !h.accepted {
		h.start()
	}
	return func() {
		h.done = nil
		h.handle.Remove(nil)
	}, nil
}

// start lets the handshake begin, or wait for its turn.
func (h *handshake) start() {
	p := h.pool
	h.handle.Want(communicator.Nothing)
	if len(p.running) >= p.config.Max {
		h.state = queued
		p.waiting = append(p.waiting, h)
		h.wantRoom()
		return
	}
	h.state = running
	h.handle.SetDeadline(h.end)
	p.running = append(p.running, h)
	go h.run(h.handle.Loop())
}

// run is the goroutine.
func (h *handshake) run(loop connection.Loop) {
	err := h.compute()
	if err == nil {
		err = h.conn.tls.HandshakeContext(h.ctx)
	}
	h.rest()
	if h.post(loop, func() { h.finish(err) }) != nil { // the loop has ended, or is about to
		<-h.ctx.Done()
		_ = h.conn.socket.Close()
	}
}

// postPause is how long the goroutine waits when the loop's queue is full.
const postPause = 10 * time.Millisecond

// post hands f to the loop, again and again while its queue is full: a lost one would hold its place for ever.
func (h *handshake) post(loop connection.Loop, f func()) error {
	for {
		err := loop.Post(f)
		if !errors.Is(err, communicator.ErrQueueFull) {
			return err
		}
		time.Sleep(postPause)
	}
}

// finish is the end of the goroutine, on the loop.
func (h *handshake) finish(err error) {
	was := h.state
	h.state = over
	h.pool.running = slices.DeleteFunc(h.pool.running, func(other *handshake) bool { return other == h })
	defer h.pool.next()
	if was == orphaned { // it was given up meanwhile
		_ = h.conn.socket.Close()
		return
	}
	if !h.handle.Active() { // in this very turn: Close is still to come
		return
	}
	if err != nil {
		h.handle.Remove(err)
		return
	}
	h.pool.done++
	h.handle.Detach()
	h.cancel()
	c := h.conn
	c.shake = nil
	c.pending = true // what has come behind the handshake is in tls
	h.tell(c, nil)
}

// tell says how it has ended, to who wants to hear it.
func (h *handshake) tell(c *TLSConn, err error) {
	if done := h.done; done != nil {
		h.done = nil
		done(c, err)
	}
}

// compute waits for a processor.
func (h *handshake) compute() error {
	select {
	case h.pool.processors <- struct{}{}:
		h.computes = true
		return nil
	case <-h.ctx.Done():
		return h.ctx.Err()
	}
}

// rest gives the processor back.
func (h *handshake) rest() {
	if h.computes {
		h.computes = false
		<-h.pool.processors
	}
}

// wait waits for the socket, on the goroutine.
func (h *handshake) wait(i communicator.Interest) error {
	h.rest()
	err := h.post(h.conn.loop, func() {
		h.since = time.Now()
		h.handle.Want(i)
	})
	if err != nil {
		return err
	}
	select {
	case <-h.ready:
		return h.compute()
	case <-h.ctx.Done():
		return h.ctx.Err()
	}
}

// read is a blocking read, on the goroutine.
func (h *handshake) read(p []byte) (int, error) {
	for {
		n, err := h.conn.socket.Read(p)
		if !errors.Is(err, connection.ErrWouldBlock) {
			return n, err
		}
		if err := h.wait(communicator.Read); err != nil {
			return 0, err
		}
	}
}

// write is a blocking write, on the goroutine.
func (h *handshake) write(p []byte) (n int, err error) {
	for {
		m, err := h.conn.socket.Write(p[n:])
		n += m
		if err != nil && !errors.Is(err, connection.ErrWouldBlock) || n == len(p) {
			return n, err
		}
		if err := h.wait(communicator.Write); err != nil {
			return n, err
		}
	}
}

func (h *handshake) FD() int { return h.conn.FD() }

func (h *handshake) String() string {
	if peer := h.conn.RemoteAddr(); peer != nil {
		return "TLS handshake with " + peer.Network() + " " + peer.String()
	}
	return "TLS handshake"
}

func (h *handshake) HandleRead(handle *communicator.Handle) error { return h.awake(handle) }

func (h *handshake) HandleWrite(handle *communicator.Handle) error { return h.awake(handle) }

// awake passes on that the socket is ready.
func (h *handshake) awake(handle *communicator.Handle) error {
	if h.state == silent {
		h.start()
		return nil
	}
	handle.Want(communicator.Nothing)
	h.since = time.Time{}
	select {
	case h.ready <- struct{}{}:
	default:
	}
	return nil
}

func (h *handshake) HandleTimeout(*communicator.Handle) error {
	if h.state == queued && time.Now().Before(h.end) {
		h.wantRoom()
		return nil
	}
	return ErrHandshakeTimeout
}

// wantRoom asks for a place, now and again later.
func (h *handshake) wantRoom() {
	h.pool.makeRoom()
	if again := time.Now().Add(crowded); again.Before(h.end) {
		h.handle.SetDeadline(again)
	} else {
		h.handle.SetDeadline(h.end)
	}
}

// HandleShutdown gives up what was accepted: nothing is lost with it. What is dialled is left to who dials.
func (h *handshake) HandleShutdown(handle *communicator.Handle) {
	if h.accepted {
		handle.Remove(nil)
	}
}

// Close gives up. The socket stays open while the goroutine uses it.
func (h *handshake) Close() error {
	h.failure = h.conn.opError("handshake", nil)
	if h.state == running {
		h.state = orphaned
		return nil
	}
	h.state = over
	return h.conn.socket.Close()
}

func (h *handshake) HandleClose(_ *communicator.Handle, cause error) {
	defer h.cancel() // not before: the goroutine may close the socket then
	if cause == nil {
		return
	}
	h.pool.failed++
	h.failure.Err = cause
	h.tell(nil, h.failure)
}
