package ring

import (
	"sync/atomic"
	"unsafe"
)

// Reader is the reading end. It belongs to one goroutine at a time.
type Reader struct {
	// What it writes, in its own area.
	released, asleep *atomic.Uint64
	// What the other side writes.
	published, waiting, ended *atomic.Uint64

	data   []byte
	base   unsafe.Pointer // of data
	next   uint64         // the count of the record that comes next
	last   uint64         // and of the one before, for Unread
	freed  uint64         // released
	seen   uint64         // the last published that was seen
	rung   uint64         // the last waiting that a bell was rung for
	sleeps uint64         // asleep
	held   int            // records that were read and not released
}

func newReader(own, peer area) *Reader {
	return &Reader{
		released: own.released, asleep: own.asleep, published: peer.published, waiting: peer.waiting, ended: peer.ended,
		data: peer.data, base: unsafe.Pointer(unsafe.SliceData(peer.data)),
	}
}

// Capacity is how many bytes the ring holds.
func (r *Reader) Capacity() int { return len(r.data) }

// Look sees what the writer has published.
func (r *Reader) Look() error {
	published := r.published.Load()
	if published%wordSize != 0 || published-r.freed > uint64(len(r.data)) || published-r.freed < r.seen-r.freed {
		return &CorruptError{What: "published", Value: published, At: r.next}
	}
	r.seen = published
	return nil
}

// Seen is how many bytes that were seen have not been read.
func (r *Reader) Seen() int { return int(r.seen - r.next) }

// Next returns the next record, which lies in the ring until it is released: ok is false if there is none.
func (r *Reader) Next() (record []byte, kind uint32, ok bool, err error) {
	for {
		if r.next == r.seen {
			if err := r.Look(); err != nil || r.next == r.seen {
				return nil, 0, false, err
			}
		}
		at := int(r.next) & (len(r.data) - 1)
		head := atomic.LoadUint64((*uint64)(unsafe.Add(r.base, at)))
		n, kind := head&(1<<32-1), uint32(head>>32)
		size := (wordSize + n + wordSize - 1) &^ (wordSize - 1)
		switch {
		case size > r.seen-r.next || size > uint64(len(r.data)-at):
			return nil, 0, false, &CorruptError{What: "record length", Value: n, At: r.next}
		case kind > maxKind, kind == KindPad && size != uint64(len(r.data)-at):
			return nil, 0, false, &CorruptError{What: "record kind", Value: uint64(kind), At: r.next}
		}
		before := r.next
		r.next += size
		if kind != KindPad {
			r.last = before
			r.held++
			from := at + wordSize
			return r.data[from : from+int(n) : from+int(n)], kind, true, nil
		}
	}
}

// Unread lets the last record come again. It is for once after each Next, and before Release.
func (r *Reader) Unread() {
	if r.held > 0 {
		r.held--
		r.next = r.last
	}
}

// Held is how many records have been read and not been released.
func (r *Reader) Held() int { return r.held }

// Release gives back the room of all that was read. Wakes tells whether the writer has to hear of it.
func (r *Reader) Release() { r.release(r.next, 0) }

// ReleaseOthers is Release of all but the last record, which is still in use. It is not for after Unread.
func (r *Reader) ReleaseOthers() {
	if r.held > 0 { // else last is older than what was released
		r.release(r.last, 1)
	}
}

func (r *Reader) release(to uint64, held int) {
	r.held = held
	if r.freed != to {
		r.freed = to
		r.released.Store(to)
	}
}

// Wakes tells whether the writer's bell has to be rung: if it waits for room, and half of the ring is read, which is
// enough for any record. With now it is rung for less: nothing more will be read soon.
func (r *Reader) Wakes(now bool) bool {
	waiting := r.waiting.Load()
	if waiting&1 == 0 || waiting == r.rung {
		return false
	}
	if !now && int(r.seen-r.next) > len(r.data)/2 {
		return false
	}
	r.rung = waiting
	return true
}

// Left tells whether something was published that has not been read.
func (r *Reader) Left() bool { return r.next != r.seen || r.published.Load() != r.seen }

// More tells whether there is something to read, or the end.
func (r *Reader) More() bool {
	return r.Left() || r.ended.Load() != 0
}

// Sleep says that this side sleeps until its bell rings. True means that there is something to read already, or the end:
// it doesn't sleep then.
func (r *Reader) Sleep() (more bool) {
	if r.sleeps&1 == 0 {
		r.sleeps++
		r.asleep.Store(r.sleeps)
	}
	if !r.More() {
		return false
	}
	r.Awake()
	return true
}

// Awake says that it sleeps no more.
func (r *Reader) Awake() {
	if r.sleeps&1 == 1 {
		r.sleeps++
		r.asleep.Store(r.sleeps)
	}
}

// Ended tells how the writer has ended: 0 if it hasn't, or there is something left to read.
func (r *Reader) Ended() (how uint64, err error) {
	how = r.ended.Load()
	if how == 0 {
		return 0, nil
	}
	if how > EndReset {
		return 0, &CorruptError{What: "ended", Value: how, At: r.next}
	}
	if err := r.Look(); err != nil || r.next != r.seen { // what was published before it ended
		return 0, err
	}
	return how, nil
}
