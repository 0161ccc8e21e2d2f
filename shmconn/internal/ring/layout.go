// Package ring is a queue of records between two processes that share memory: one writes, one reads. It works on any
// two byte slices, so that its tests can run on the heap; who wakes whom is the business of its user, to whom it says
// when a bell has to be rung.
//
// # Layout
//
// Each side owns an area that it alone writes and the other only reads: a header of [HeaderSize] bytes and, behind
// it, the data that it sends. The header has five words of 64 bits, each on cache lines of its own:
//
//	  0  published  how many bytes of its own data the owner has published
//	128  released   how many bytes of the other area's data the owner has given back
//	256  asleep     odd while the owner sleeps and is to be woken when something is published
//	384  waiting    odd while the owner waits for room and is to be woken when some is released
//	512  ended      0; EndOrderly or EndReset when the owner publishes no more
//
// The counts only grow; the place of a byte is its count modulo the capacity, a power of two. A record begins at a
// multiple of 8 with a word of its length in bytes (the lower 32 bits) and its kind (the upper 32), followed by that
// many bytes and filled up to the next multiple of 8. It never goes around the end of the data: a record of
// kind KindPad fills the rest.
//
// # Sleeping
//
// To sleep, a reader makes asleep odd and then looks once more at published; to publish, a writer stores published and
// then looks at asleep. The stores and loads of sync/atomic are in one order for all, so one of the two sees the other. A writer
// rings once for each value of asleep. For a writer that waits for room it is the same with waiting and released.
//
// # Trust
//
// Nothing that the other side has written is believed: each word is read once and checked against what this side knows.
// What doesn't fit is a [CorruptError]; the ring must not be used after it.
package ring

import (
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"
)

const (
	// HeaderSize is the size of the part of an area that has the counts: a page.
	HeaderSize = 4096
	// MinCapacity is the least that an area's data may have.
	MinCapacity = 64
	// MaxCapacity is the most.
	MaxCapacity = 1 << 30

	wordSize = 8
)

// Where the words of a header are.
const (
	publishedAt = 128 * iota
	releasedAt
	asleepAt
	waitingAt
	endedAt
)

// How the writing side of an area has ended.
const (
	EndOrderly = 1 // all that is to come has been published
	EndReset   = 2 // the owner has gone and has left something unread
)

// The kinds of records. A user may have more of them, from KindUser on.
const (
	KindData  = 0 // a record
	KindPad   = 1
	KindPiece = 2 // of a stream, without bounds of its own
	KindUser  = 3
	maxKind   = 15
)

// Size is how large an area with that capacity is.
func Size(capacity int) int { return HeaderSize + capacity }

// CheckCapacity tells whether an area may have that capacity.
func CheckCapacity(capacity int) error {
	if capacity < MinCapacity || capacity > MaxCapacity || bits.OnesCount(uint(capacity)) != 1 {
		return fmt.Errorf("%w: %d bytes", ErrCapacity, capacity)
	}
	return nil
}

// ErrCapacity is returned for a capacity that is no power of two from MinCapacity to MaxCapacity.
var ErrCapacity = errors.New("the capacity of a ring must be a power of two from 64 bytes to 1 GiB")

// errArea is of memory that is not as long or not as aligned as its capacity says.
var errArea = errors.New("the memory of a ring has the wrong size or alignment")

// ErrCorrupt is what every CorruptError is.
var ErrCorrupt = errors.New("the ring is corrupt")

// CorruptError says what the other side has written that can't be.
type CorruptError struct {
	What  string // "published", "released", "record length", "record kind", ...
	Value uint64 // what was there
	At    uint64 // the count of bytes at which it was met
}

// Error names what was wrong.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("%v: %s is %#x at %d", ErrCorrupt, e.What, e.Value, e.At)
}

// Is tells that it is an ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// area is one side's memory.
type area struct {
	published, released, asleep, waiting, ended *atomic.Uint64

	data []byte
}

func newArea(mem []byte) (a area, err error) {
	capacity := len(mem) - HeaderSize
	if err := CheckCapacity(capacity); err != nil {
		return a, err
	}
	base := unsafe.Pointer(unsafe.SliceData(mem))
	if uintptr(base)%wordSize != 0 {
		return a, errArea
	}
	word := func(at uintptr) *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Add(base, at)) }
	return area{
		published: word(publishedAt), released: word(releasedAt), asleep: word(asleepAt), waiting: word(waitingAt), ended: word(endedAt),
		data: mem[HeaderSize:len(mem):len(mem)],
	}, nil
}

// New makes the two ends of one side: own is the area that this side writes, peer the other's. Both are zero when they
// are new.
func New(own, peer []byte) (*Writer, *Reader, error) {
	o, err := newArea(own)
	if err != nil {
		return nil, nil, err
	}
	p, err := newArea(peer)
	if err != nil {
		return nil, nil, err
	}
	return newWriter(o, p), newReader(o, p), nil
}

// padded is how much of the data a record of n bytes takes.
func padded(n int) int { return (wordSize + n + wordSize - 1) &^ (wordSize - 1) }
