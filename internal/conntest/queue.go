//go:build linux

package conntest

import (
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Queue is an Env.Listen for a transport whose connections are made in pairs, both ends at once: one end is
// accepted by a listener of the suite's own, which is on that network. dial makes the other a transport,
// peer a blocking connection; peer is called on any goroutine.
func Queue(tb testing.TB, loop connection.Loop, serve connection.Serve, network string,
	dial func() (accepted, dialled connection.Transport, err error),
	peer func() (accepted connection.Transport, there net.Conn, err error),
) Endpoint {
	tb.Helper()
	fd, err := sys.EventFD()
	if err != nil {
		tb.Fatal(err)
	}
	q := &queue{fd: fd, network: network}
	l, err := connection.NewListener(loop, q, serve, connection.ListenConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	return Endpoint{
		Listener: l,
		Dialer: queueDialer(func() (connection.Transport, error) {
			accepted, dialled, err := dial()
			if err == nil {
				q.push(accepted)
			}
			return dialled, err
		}),
		Peer: func() (net.Conn, error) {
			accepted, there, err := peer()
			if err == nil {
				q.push(accepted)
			}
			return there, err
		},
	}
}

// queue is an Acceptor of what is pushed.
type queue struct {
	mu      sync.Mutex
	fd      int
	network string
	waiting []connection.Transport
	closed  bool
}

func (q *queue) push(t connection.Transport) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		_ = t.Close()
		return
	}
	q.waiting = append(q.waiting, t)
	_ = sys.Signal(q.fd)
}

func (q *queue) FD() int { return q.fd }

func (q *queue) Accept() (connection.Transport, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		var count [8]byte
		_, _ = sys.Read(q.fd, count[:])
		return nil, connection.ErrWouldBlock
	}
	t := q.waiting[0]
	q.waiting = q.waiting[1:]
	return t, nil
}

func (q *queue) Addr() net.Addr { return queueAddr(q.network) }

func (q *queue) Close() (err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, t := range q.waiting {
		err = errors.Join(err, t.Close())
	}
	return errors.Join(err, sys.Close(q.fd))
}

type queueAddr string

func (a queueAddr) Network() string { return string(a) }
func (a queueAddr) String() string  { return "of the test" }

// queueDialer makes a connection in the next turn.
type queueDialer func() (connection.Transport, error)

func (d queueDialer) Dial(loop connection.Loop, done func(connection.Transport, error)) (cancel func(), err error) {
	cancelled := false
	err = loop.Post(func() {
		if !cancelled {
			done(d())
		}
	})
	return func() { cancelled = true }, err
}
