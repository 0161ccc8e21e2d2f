//go:build linux

package shmconn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

// Records that are too long for the ring have memory of their own, whose descriptor goes over the socket before a
// record of kindLarge with its number and length takes its place in the ring.
const (
	kindLarge  = ring.KindUser
	largeWords = 16
)

// large is what a connection has under way of such records.
type large struct {
	limit int // how long one from the peer may be

	// Those from the peer.
	came   []memory // not met in the ring yet
	reset  bool     // the socket has told of a reset
	used   [][]byte // mapped, and read from
	number uint64   // of the last one met
	last   bool     // it was the last record of all
	again  []byte   // it was given back unread

	// Those to the peer.
	room []byte // mapped for the record that is reserved
	fd   int
	sent uint64   // how many
	ends []uint64 // the counts behind those that the peer may not have read yet
}

// memory is a record that has come over the socket.
type memory struct {
	fd     int
	number uint64
	size   uint64
}

// listen reads what has come on the socket: memory of records, a refusal, the peer's end.
func (t *Transport) listen() {
	for !t.gone && t.err == nil {
		p, fds, err := receive(t.socket.FD())
		switch {
		case err == connection.ErrWouldBlock: //nolint:errorlint // the sentinel itself
			return
		case errors.Is(err, syscall.ECONNRESET) && !t.large.reset: // which is told once, and before what has come
			t.large.reset = true
			continue
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
			t.gone = true
		case sys.Exhausted(err): // which is no fault of the peer's
		case err != nil:
			err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		case p.Kind == wire.Refusal:
			err = refusal(p)
		case p.Kind != wire.Large || len(fds) != 1:
			err = fmt.Errorf("%w: a packet of kind %d with %d descriptors", ErrCorrupt, p.Kind, len(fds))
		case len(t.large.came)+len(t.large.used) >= MaxLarge:
			err = fmt.Errorf("%w: more than %d records with memory of their own", ErrCorrupt, MaxLarge)
		default:
			t.large.came = append(t.large.came, memory{fd: fds[0], number: p.First, size: p.Second})
			continue
		}
		sys.Discard(fds)
		if !t.gone {
			_ = t.fail(err)
		}
	}
	if t.notice != nil {
		t.notice.Detach()
		t.notice = nil
	}
}

// takeLarge finds the record that a record of the ring stands for.
func (t *Transport) takeLarge(record []byte) ([]byte, error) {
	if len(record) != largeWords {
		return nil, &ring.CorruptError{What: "length of a large record's words", Value: uint64(len(record))}
	}
	l := &t.large
	if l.again != nil {
		l.used = append(l.used, l.again)
		l.again, l.last = nil, true
		return l.used[len(l.used)-1], nil
	}
	var words [largeWords]byte
	copy(words[:], record)
	number, size := binary.NativeEndian.Uint64(words[:]), binary.NativeEndian.Uint64(words[8:])
	if number != l.number+1 {
		return nil, &ring.CorruptError{What: "number of a large record", Value: number, At: l.number}
	}
	if len(l.came) == 0 {
		t.listen() // it is sent before the ring has its record
	}
	if len(l.came) == 0 {
		if t.err != nil {
			return nil, t.err
		}
		return nil, &ring.CorruptError{What: "large record that hasn't come", Value: number}
	}
	m := l.came[0]
	l.came = append(l.came[:0], l.came[1:]...)
	defer sys.Discard([]int{m.fd})
	if m.number != number || m.size != size {
		return nil, &ring.CorruptError{What: "large record with another number or length", Value: m.number, At: number}
	}
	if size > uint64(l.limit) {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrTooLong, size)
	}
	if err := checkMemory(m.fd, int64(size), recordSeals); err != nil {
		return nil, err
	}
	mapped := []byte{}
	if size > 0 {
		var err error
		if mapped, err = sys.MapPrivate(m.fd, int(size)); err != nil {
			return nil, err
		}
	}
	l.number++
	l.last = true
	l.used = append(l.used, mapped)
	return mapped, nil
}

// reserveLarge makes memory for a record of n bytes; ErrFull if too many are under way.
func (t *Transport) reserveLarge(n int) ([]byte, error) {
	l := &t.large
	l.discard()
	if n > t.peer.maxRecord {
		return nil, ErrTooLong
	}
	released, err := t.out.Released()
	if err != nil {
		return nil, t.fail(err)
	}
	for len(l.ends) > 0 && released >= l.ends[0] {
		l.ends = append(l.ends[:0], l.ends[1:]...)
	}
	if len(l.ends) == MaxLarge {
		t.out.Lack(l.ends[0])
		return nil, ErrFull
	}
	if room, err := t.out.Reserve(largeWords); room == nil { // its place in the ring
		if err != nil {
			return nil, t.fail(err)
		}
		return nil, ErrFull
	}
	if l.fd, err = sys.MemFD("record", n); err != nil {
		return nil, err
	}
	if l.room, err = sys.MapShared(l.fd, n, true); err != nil {
		return nil, errors.Join(err, sys.Close(l.fd))
	}
	return l.room, nil
}

// commitLarge sends the record that was reserved, with n bytes of it.
func (t *Transport) commitLarge(n int) error {
	l := &t.large
	size := len(l.room)
	err := l.unmapRoom()
	defer func() { _ = sys.Close(l.fd) }()
	if err == nil && n < size {
		err = sys.Truncate(l.fd, n)
	}
	if err == nil {
		err = sys.Seal(l.fd, recordSeals)
	}
	if err == nil && !t.gone {
		p := wire.Packet{Kind: wire.Large, First: l.sent + 1, Second: uint64(n)}
		_, err = sys.SendMsg(t.socket.FD(), p.Append(nil), nil, []int{l.fd})
		if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
			err = nil // the peer has gone, which is noticed soon: as with a record that has room in the ring
		}
	}
	if err != nil {
		return t.wrap("write", err)
	}
	l.sent++
	room, err := t.out.Reserve(largeWords)
	if room == nil {
		return t.fail(errors.Join(ErrCorrupt, err)) // there was room when the memory was made, and nobody else takes it
	}
	binary.NativeEndian.PutUint64(room, l.sent)
	binary.NativeEndian.PutUint64(room[8:], uint64(n))
	t.out.Commit(largeWords, kindLarge)
	l.ends = append(l.ends, t.out.Position())
	return nil
}

func (l *large) unmapRoom() error {
	room := l.room
	l.room = nil
	return sys.Unmap(room)
}

// discard forgets what was reserved.
func (l *large) discard() {
	if l.room != nil {
		_ = l.unmapRoom()
		_ = sys.Close(l.fd)
	}
}

// unread gives the last record back, if it had memory of its own.
func (l *large) unread() {
	if l.last {
		end := len(l.used) - 1
		l.again, l.used, l.last = l.used[end], l.used[:end], false
	}
}

// release unmaps what has been read.
func (l *large) release() {
	for i, p := range l.used {
		_ = sys.Unmap(p)
		l.used[i] = nil
	}
	l.used, l.last = l.used[:0], false
}

// close gives back what is under way, but for what is in use.
func (l *large) close(inUse bool) error {
	for _, m := range l.came {
		sys.Discard([]int{m.fd})
	}
	l.came = nil
	_ = sys.Unmap(l.again)
	l.again = nil
	if !inUse {
		l.discard()
		l.release()
	}
	return nil
}
