//go:build linux

package shmconn

import (
	"errors"
	"net"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

// Transport is a connection through two rings, one each way: a connection.Transport, so that streams run on it. It
// belongs to the goroutine of the loop that has accepted or dialled it. Its descriptor is an eventfd, the bell that the
// peer rings; the socket, whose hang-up is the peer's end, is a source of its own in the background.
type Transport struct {
	socket *connection.Socket
	notice *communicator.Handle // of the socket; nil when the peer has gone
	again  func()               // see Announce; nil while nobody has it
	own    *side
	peer   *side
	out    *ring.Writer
	in     *ring.Reader
	rest   []byte // of a record that Read has handed on in part
	large  large
	spin   spin
	stats  Stats
	freed  bool   // something was given back since a peer that waits for room was told of all
	void   []byte // room for a record for a peer that has gone
	lost   int    // bytes written to it since it last looked full
	newest int    // length of the record that unread gives back, or none
	looked uint64 // RecordsReceived when it last was about to sleep
	err    error  // what has ended it
	gone   bool   // the peer's socket is closed
	ended  bool   // the writing side
	over   bool   // the peer has ended its side, and all was read
	closed bool
	pinned bool // records of it are in use: it stays mapped
}

var _ connection.Transport = (*Transport)(nil)

const none = -1

// Stats are figures of a connection, from its beginning. A record of a stream is what was written at once, or
// a piece of it.
type Stats struct {
	RecordsSent, RecordsReceived uint64
	BytesSent, BytesReceived     uint64
	// Bells is how many times the peer was woken.
	Bells uint64
	// Sleeps is how many times this side has gone to sleep.
	Sleeps uint64
	// Full is how many times there was no room for a record, or for all that a stream had to write.
	Full uint64
	// Spins is how many times this side has looked for more for a while before it slept, and SpinHits how many times
	// there was.
	Spins, SpinHits uint64
}

// newTransport makes a connection of what the two sides have brought, and owns all of it, also after an error.
func newTransport(loop connection.Loop, socket *connection.Socket, own, peer *side, config Config, priority int) (*Transport, error) {
	t := &Transport{socket: socket, own: own, peer: peer, newest: none}
	t.large.limit = config.MaxRecord
	t.spin.begin(config.Spin)
	var err error
	t.out, t.in, err = ring.New(own.area, peer.area)
	if err == nil {
		t.notice, err = loop.Add((*notice)(t), communicator.Options{Background: true, Want: communicator.Read, Priority: priority})
	}
	if err != nil {
		sendRefusal(socket, wire.Packet{Reason: wire.NoResources}) // the peer believes that the connection stands
		return nil, errors.Join(err, t.release())
	}
	return t, nil
}

// notice is the socket of a Transport as the loop sees it.
type notice Transport

func (n *notice) FD() int { return n.socket.FD() }

func (n *notice) String() string { return "socket of " + (*Transport)(n).name() }

func (n *notice) HandleRead(*communicator.Handle) error {
	t := (*Transport)(n)
	t.listen()
	if t.err != nil || t.gone {
		t.announce()
	}
	return nil
}

// HandleShutdown leaves it to whoever has the transport.
func (n *notice) HandleShutdown(*communicator.Handle) {}

func (t *Transport) name() string {
	if a := t.RemoteAddr(); a.String() != "" {
		return network + " " + a.String()
	}
	return network + " client of " + t.LocalAddr().String()
}

// Socket is the Unix socket over which the connection was made. It must be neither read, written nor closed.
func (t *Transport) Socket() *connection.Socket { return t.socket }

// FD is the bell.
func (t *Transport) FD() int { return t.own.bell }

// Announce is told what to call, on the loop's goroutine, so that whoever has the transport looks at it in the next turn: the
// peer, which shares the bell, could silence that.
func (t *Transport) Announce(again func()) { t.again = again }

func (t *Transport) announce() {
	if t.again != nil {
		t.again()
	}
}

// Gone tells whether the peer has gone.
func (t *Transport) Gone() bool { return t.gone }

// Rest is told when nothing will be read for a while: a peer that waits for room learns of what there is.
func (t *Transport) Rest() {
	if t.freed && !t.closed { // else two sides that wait for room, and don't read, would wake each other for ever
		t.freed = false
		t.wake(t.in.Wakes(true))
	}
}

// Stats returns the figures so far.
func (t *Transport) Stats() Stats { return t.stats }

// Capacity is how many bytes the ring to the peer holds, and how many the one from it.
func (t *Transport) Capacity() (out, in int) { return t.out.Capacity(), t.in.Capacity() }

// LocalAddr is the listener's path on its side, an Addr; empty on the other.
func (t *Transport) LocalAddr() net.Addr { return addr(t.socket.LocalAddr()) }

// RemoteAddr is the listener's path on the side that has dialled, an Addr; empty on the other.
func (t *Transport) RemoteAddr() net.Addr { return addr(t.socket.RemoteAddr()) }

// Read reads what there is, up to len(p).
func (t *Transport) Read(p []byte) (n int, err error) {
	if t.closed {
		return 0, t.wrap("read", net.ErrClosed)
	}
	t.in.Awake()
	for budget := len(p); n < len(p) && budget > 0 && err == nil; budget -= recordCost { // or empty records would have no end
		if len(t.rest) == 0 {
			if t.rest, err = t.next(ring.KindPiece); t.rest == nil {
				break
			}
		}
		moved := copy(p[n:], t.rest)
		t.rest = t.rest[moved:]
		n += moved
	}
	if len(t.rest) == 0 {
		t.giveBack()
	} else {
		t.in.ReleaseOthers()
		t.freed = true
	}
	t.wake(t.in.Wakes(false))
	if n > 0 {
		return n, nil // an error comes again
	}
	if err == nil {
		err = t.state()
	}
	return 0, t.wrap("read", err)
}

// next takes the next record of a kind out of the ring; nil if there is none. Of data some are long and have memory of
// their own.
func (t *Transport) next(want uint32) ([]byte, error) {
	if t.err != nil {
		return nil, t.err
	}
	record, kind, ok, err := t.in.Next()
	if err != nil {
		return nil, t.fail(err)
	}
	if !ok {
		return nil, nil
	}
	t.large.last = false
	if kind != want {
		if record, err = t.takeOther(record, kind, want); err != nil {
			t.in.Unread() // nobody holds it
			return nil, t.fail(err)
		}
	}
	t.newest = len(record)
	t.stats.RecordsReceived++
	t.stats.BytesReceived += uint64(len(record))
	return record, nil
}

// takeOther takes what is not of the kind that is wanted, if it can be.
func (t *Transport) takeOther(record []byte, kind, want uint32) ([]byte, error) {
	switch {
	case kind > kindLarge:
		return nil, &ring.CorruptError{What: "record kind", Value: uint64(kind)}
	case kind == kindLarge && want == ring.KindData:
		return t.takeLarge(record)
	case want == ring.KindData:
		return nil, errWantsRecords
	}
	return nil, errWantsStream
}

// giveBack gives back the room of all records that next has returned.
func (t *Transport) giveBack() {
	t.newest = none
	t.freed = true
	t.in.Release()
	t.large.release()
}

// pending tells whether there is something to read, or to say about the end.
func (t *Transport) pending() bool { return len(t.rest) > 0 || t.err != nil || t.gone || t.in.More() }

// Readable tells whether Read would return something. If not, the peer is going to ring when it would.
func (t *Transport) Readable() bool {
	if t.closed || t.pending() || t.spun() {
		return true
	}
	return t.sleep()
}

// spun looks for more for a while, if that pays.
func (t *Transport) spun() bool {
	if !t.spin.pays() {
		return false
	}
	t.stats.Spins++
	if !t.spin.wait(t.in) {
		return false
	}
	t.stats.SpinHits++
	return true
}

// A connection that has read busy records since it looked last is in a stream of them: it looks once more, in the next
// turn, before it sleeps. The peer needn't ring then for what comes meanwhile, which costs it more than that turn.
const busy = 2

// sleep lets the peer ring when it has more; true means that it has already, or may have.
func (t *Transport) sleep() (more bool) {
	t.Rest()
	if looked := t.looked; t.stats.RecordsReceived-looked >= busy {
		t.looked = t.stats.RecordsReceived
		return true
	}
	t.looked = t.stats.RecordsReceived
	if t.in.Sleep() {
		return true
	}
	t.stats.Sleeps++
	return false
}

// wake rings the peer's bell.
func (t *Transport) wake(ring bool) {
	if ring {
		t.stats.Bells++
		_ = sys.RingDoorbell(t.peer.bell) // fails for what is no eventfd, or has been emptied: the peer's own loss
	}
}

// Unsent is 0: what was taken is in the ring, where the peer finds it also when this process has gone.
func (t *Transport) Unsent() int { return 0 }

// Flush has nothing to do.
func (t *Transport) Flush() error { return nil }

// writable tells why nothing can be written; nil if it can.
func (t *Transport) writable() error {
	switch {
	case t.closed:
		return net.ErrClosed
	case t.err != nil:
		return t.err
	case t.ended || t.gone && (t.over || !t.left()): // what it has sent is read first, and its end is told then
		return syscall.EPIPE
	}
	return nil
}

// lose takes records that are written to a peer that has gone, for nobody: not even into the ring, from which the peer may still
// be reading what it holds. After a ring's worth it pretends once to be full, so that whoever writes on and on comes to read.
func (t *Transport) lose(n int) (full bool) {
	if t.lost > t.out.Capacity() {
		t.lost = 0
		return true
	}
	t.lost += n
	return false
}

// left tells whether something that the peer has sent is not read yet.
func (t *Transport) left() bool { return len(t.rest) > 0 || t.in.Left() }

// Write writes what the ring has room for. After it has taken less than all, the peer is going to ring when it has made
// room. When the peer has gone it takes nothing; when all that the peer has sent was read it is EPIPE.
func (t *Transport) Write(p []byte) (n int, err error) {
	if err = t.writable(); err == nil {
		t.out.Waited()
		if t.gone {
			return 0, connection.ErrWouldBlock
		}
	}
	for err == nil && n < len(p) {
		var m int
		m, err = t.out.Write(p[n:])
		n += m
		if err != nil || n == len(p) {
			break
		}
		t.wake(t.out.Publish()) // or the peer couldn't make room
		t.stats.Full++
		var room bool
		if room, err = t.out.Wait(); !room {
			break
		}
	}
	if n > 0 {
		t.stats.RecordsSent++
		t.stats.BytesSent += uint64(n)
		t.wake(t.out.Publish())
	}
	if err != nil {
		if err != syscall.EPIPE && !t.closed { //nolint:errorlint // the number itself, which reading knows nothing of
			err = t.fail(err)
		}
		return n, t.wrap("write", err)
	}
	if n < len(p) {
		return n, connection.ErrWouldBlock
	}
	return n, nil
}
