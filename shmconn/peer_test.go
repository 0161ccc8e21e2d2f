//go:build linux

package shmconn_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

// The seals that each side puts on its area.
const areaSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_FUTURE_WRITE | unix.F_SEAL_SEAL

// blockingPeer is the dialling end of a connection as a blocking net.Conn, without a loop: a second implementation of
// the protocol, from the handshake on. The runtime's poller waits for its bell, which is edge-triggered there too.
type blockingPeer struct {
	socket *net.UnixConn
	bell   *os.File // its own
	raw    syscall.RawConn
	theirs int    // the bell of the other side
	memory int    // until the handshake is over
	kind   uint32 // of what it sends and takes: pieces of a stream, or records
	own    []byte
	peer   []byte
	gone   atomic.Bool // the other side's socket is closed
	lost   chan struct{}

	handshake sync.Once
	failure   error // of it

	// One end of the ring each; with both the areas go.
	reading struct {
		sync.Mutex
		in   *ring.Reader
		rest []byte
		p    []byte
		n    int
		err  error
		try  func(uintptr) bool
	}
	writing struct {
		sync.Mutex
		out   *ring.Writer
		ended bool
		p     []byte
		n     int
		err   error
		try   func(uintptr) bool
	}
	closed bool // with both locks
}

var _ net.Conn = (*blockingPeer)(nil)

// connect connects and says hello; the answer is Handshake's.
func connect(path string, capacity int) (*blockingPeer, error) {
	socket, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Net: "unixpacket", Name: path})
	if err != nil {
		return nil, err
	}
	b := &blockingPeer{socket: socket, memory: sys.NoFD, theirs: sys.NoFD, kind: ring.KindPiece, lost: make(chan struct{})}
	if err = b.bring(capacity); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	b.reading.try = func(uintptr) bool { return b.tryRead() }
	b.writing.try = func(uintptr) bool { return b.tryWrite() }
	return b, nil
}

func (b *blockingPeer) bring(capacity int) error {
	fd, err := sys.NewDoorbell()
	if err != nil {
		return err
	}
	b.bell = os.NewFile(uintptr(fd), "bell")
	if b.raw, err = b.bell.SyscallConn(); err != nil {
		return err
	}
	if b.memory, err = sys.MemFD("ring", ring.Size(capacity)); err != nil {
		return err
	}
	if b.own, err = sys.MapShared(b.memory, ring.Size(capacity), true); err != nil {
		return err
	}
	if err = sys.Seal(b.memory, areaSeals); err != nil {
		return err
	}
	hello := wire.Packet{Kind: wire.Hello, First: uint64(capacity), Second: 1 << 20}
	return sendPacket(b.socket, hello.Append(nil), b.memory, fd)
}

func sendPacket(socket *net.UnixConn, p []byte, fds ...int) error {
	var control []byte
	if len(fds) > 0 {
		control = unix.UnixRights(fds...)
	}
	_, _, err := socket.WriteMsgUnix(p, control, nil)
	return err
}

// receivePacket waits for a packet of the protocol and the descriptors that come along.
func receivePacket(socket *net.UnixConn) (p wire.Packet, fds []int, err error) {
	b, control := make([]byte, wire.Size+1), make([]byte, 256)
	n, controlled, _, _, err := socket.ReadMsgUnix(b, control)
	if err != nil {
		return p, nil, err
	}
	if n == 0 {
		return p, nil, io.EOF
	}
	messages, err := unix.ParseSocketControlMessage(control[:controlled])
	for _, m := range messages {
		came, parseErr := unix.ParseUnixRights(&m)
		fds, err = append(fds, came...), errors.Join(err, parseErr)
	}
	if err == nil {
		p, err = wire.Parse(b[:n])
	}
	if err != nil {
		sys.CloseAll(fds)
		return p, nil, err
	}
	return p, fds, nil
}

// Handshake waits for the answer. It is done by the first Read or Write, too.
func (b *blockingPeer) Handshake() error {
	b.handshake.Do(func() { b.failure = b.hear() })
	return b.failure
}

func (b *blockingPeer) hear() error {
	p, fds, err := receivePacket(b.socket)
	if err != nil {
		return err
	}
	if p.Kind != wire.Hello || len(fds) != 2 {
		sys.CloseAll(fds)
		return errors.New("not greeted but: " + p.Reason.String())
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	b.writing.Lock()
	defer b.writing.Unlock()
	if b.closed {
		sys.CloseAll(fds)
		return net.ErrClosed
	}
	b.theirs = fds[1]
	b.peer, err = sys.MapShared(fds[0], ring.Size(int(p.First)), false)
	err = errors.Join(err, sys.Close(fds[0]), sys.Close(b.memory))
	b.memory = sys.NoFD
	if err != nil {
		return err
	}
	if b.writing.out, b.reading.in, err = ring.New(b.own, b.peer); err != nil {
		return err
	}
	go b.watch()
	return nil
}

// watch waits for the end of the socket: the other side's.
func (b *blockingPeer) watch() {
	defer close(b.lost)
	for {
		_, fds, err := receivePacket(b.socket)
		sys.CloseAll(fds)
		if err != nil {
			break
		}
	}
	b.gone.Store(true)
	_ = b.raw.Control(func(fd uintptr) { _ = sys.RingDoorbell(int(fd)) })
}

func (b *blockingPeer) wake(ring bool) {
	if ring {
		_ = sys.RingDoorbell(b.theirs)
	}
}

func (b *blockingPeer) Read(p []byte) (int, error) {
	if err := b.Handshake(); err != nil {
		return 0, err
	}
	r := &b.reading
	r.p, r.n, r.err = p, 0, nil
	err := b.raw.Read(r.try)
	r.p = nil
	if err != nil {
		return 0, closedError(err)
	}
	return r.n, r.err
}

// closedError says of a connection that was closed what package net says.
func closedError(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return net.ErrClosed
	}
	return err
}

// tryRead reads what there is. If that is nothing the other side is going to ring.
func (b *blockingPeer) tryRead() (done bool) {
	r := &b.reading
	r.Lock()
	defer r.Unlock()
	if b.closed {
		r.err = net.ErrClosed
		return true
	}
	r.in.Awake()
	for {
		gone := b.gone.Load() // before the look: what is there is read first
		b.take()
		if r.n > 0 || r.err != nil {
			return true
		}
		how, err := r.in.Ended()
		switch {
		case err != nil:
			r.err = err
			return true
		case how == ring.EndOrderly:
			r.err = io.EOF
			return true
		case how == ring.EndReset, gone && !r.in.More():
			r.err = syscall.ECONNRESET
			return true
		}
		b.wake(r.in.Wakes(true))
		if !r.in.Sleep() && b.gone.Load() == gone {
			return false
		}
	}
}

func (b *blockingPeer) take() {
	r := &b.reading
	for r.n < len(r.p) {
		if len(r.rest) == 0 {
			record, kind, ok, err := r.in.Next()
			if err == nil && ok && kind != b.kind {
				err = errors.New("a record of another kind")
			}
			if !ok || err != nil {
				r.err = err
				break
			}
			r.rest = record
			continue
		}
		n := copy(r.p[r.n:], r.rest)
		r.n, r.rest = r.n+n, r.rest[n:]
	}
	if len(r.rest) == 0 {
		r.in.Release()
	} else {
		r.in.ReleaseOthers()
	}
	b.wake(r.in.Wakes(false))
}

func (b *blockingPeer) Write(p []byte) (int, error) {
	if err := b.Handshake(); err != nil {
		return 0, err
	}
	w := &b.writing
	w.p, w.n, w.err = p, 0, nil
	err := b.raw.Write(w.try)
	w.p = nil
	if err != nil {
		return w.n, closedError(err)
	}
	return w.n, w.err
}

// tryWrite writes what has room. If that isn't all the other side is going to ring.
func (b *blockingPeer) tryWrite() (done bool) {
	w := &b.writing
	w.Lock()
	defer w.Unlock()
	if b.closed {
		w.err = net.ErrClosed
		return true
	}
	w.out.Waited()
	for {
		if w.ended || b.gone.Load() {
			w.err = syscall.EPIPE
			return true
		}
		n, err := b.put(w.p[w.n:])
		w.n += n
		b.wake(w.out.Publish())
		if err != nil || w.n == len(w.p) {
			w.err = err
			return true
		}
		room, err := w.out.Wait()
		if err != nil {
			w.err = err
			return true
		}
		if !room && !b.gone.Load() {
			return false
		}
	}
}

// put writes what has room of a stream, or all as one record.
func (b *blockingPeer) put(p []byte) (n int, err error) {
	out := b.writing.out
	if b.kind == ring.KindPiece {
		return out.Write(p)
	}
	room, err := out.Reserve(len(p))
	if room == nil {
		return 0, err
	}
	n = copy(room, p)
	out.Commit(n, b.kind)
	return n, nil
}

// CloseWrite ends the writing side alone.
func (b *blockingPeer) CloseWrite() error {
	if err := b.Handshake(); err != nil {
		return err
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	b.endWriting(ring.EndOrderly)
	return nil
}

func (b *blockingPeer) endWriting(how uint64) {
	if !b.writing.ended && !b.closed {
		b.writing.ended = true
		b.wake(b.writing.out.End(how))
	}
}

// Close lets go of everything. With something unread the other side is told so.
func (b *blockingPeer) Close() error {
	b.reading.Lock()
	b.writing.Lock()
	if b.closed {
		b.reading.Unlock()
		b.writing.Unlock()
		return net.ErrClosed
	}
	stands := b.reading.in != nil
	if stands {
		if len(b.reading.rest) > 0 || b.reading.in.Left() {
			b.writing.ended = false
			b.endWriting(ring.EndReset)
		} else {
			b.endWriting(ring.EndOrderly)
		}
	}
	b.closed = true
	b.reading.rest = nil
	err := errors.Join(sys.Unmap(b.own), sys.Unmap(b.peer))
	if b.theirs != sys.NoFD {
		err = errors.Join(err, sys.Close(b.theirs))
	}
	if b.memory != sys.NoFD {
		err = errors.Join(err, sys.Close(b.memory))
	}
	b.reading.Unlock()
	b.writing.Unlock()
	err = errors.Join(err, b.socket.Close())
	if stands {
		<-b.lost
	}
	if b.bell != nil {
		err = errors.Join(err, b.bell.Close())
	}
	return err
}

func (b *blockingPeer) LocalAddr() net.Addr  { return path("") }
func (b *blockingPeer) RemoteAddr() net.Addr { return path(b.socket.RemoteAddr().String()) }

// path is an address as that of package shmconn.
type path string

func (p path) Network() string { return "shm" }
func (p path) String() string  { return string(p) }

func (b *blockingPeer) SetDeadline(t time.Time) error      { return b.bell.SetDeadline(t) }
func (b *blockingPeer) SetReadDeadline(t time.Time) error  { return b.bell.SetReadDeadline(t) }
func (b *blockingPeer) SetWriteDeadline(t time.Time) error { return b.bell.SetWriteDeadline(t) }
