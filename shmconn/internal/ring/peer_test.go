package ring_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
)

// peer is one side of a connection, with both of its ends, and does what shmconn does with them: it reads and writes in
// batches, and sleeps when it can do neither. It is for one goroutine.
type peer struct {
	w    *ring.Writer
	r    *ring.Reader
	out  sender
	in   receiver
	ring func()       // rings the other side's bell
	wait func() error // until its own bell is rung, if it hasn't been since the last time

	rng           *rand.Rand // for the size of batches, which isn't the other side's business
	waiting       bool       // for room
	sent, heard   bool       // all; the other side's end
	bells, sleeps int
	said          int // how often it has said that it sleeps or waits, at most
}

// sender writes a batch. It tells whether there is more to come, and whether there was no room for it.
type sender interface {
	send(w *ring.Writer, rng *rand.Rand) (more, full bool, err error)
}

// receiver checks a record, and in the end whether all have come.
type receiver interface {
	receive(record []byte, kind uint32) error
	complete() error
}

// run goes on until all is written and the other side's end is read.
func (p *peer) run() error {
	for {
		p.r.Awake()
		if err := p.read(); err != nil {
			return err
		}
		if err := p.write(); err != nil {
			return err
		}
		switch {
		case p.heard && p.sent:
			return p.in.complete()
		case !p.sent && !p.waiting, !p.heard && p.r.More():
			continue
		}
		p.wake(p.r.Wakes(true))
		if !p.heard {
			p.said++
			if p.r.Sleep() {
				continue
			}
		}
		p.sleeps++
		if err := p.wait(); err != nil {
			return err
		}
	}
}

func (p *peer) wake(ring bool) {
	if ring {
		p.bells++
		p.ring()
	}
}

// read reads a batch, of some records or all.
func (p *peer) read() error {
	for n := p.rng.IntN(64); n >= 0; n-- {
		record, kind, ok, err := p.r.Next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if n%16 == 3 {
			p.r.Unread()
			continue
		}
		if err := p.in.receive(record, kind); err != nil {
			return err
		}
		if n%16 == 5 {
			p.r.ReleaseOthers()
		}
	}
	p.r.Release()
	p.wake(p.r.Wakes(false))
	how, err := p.r.Ended()
	switch {
	case err != nil:
		return err
	case how == ring.EndOrderly:
		p.heard = true
	case how != 0:
		return fmt.Errorf("the other side has ended with %d", how)
	}
	return nil
}

// write writes a batch, if there is room.
func (p *peer) write() error {
	if p.sent {
		return nil
	}
	if p.waiting {
		p.w.Waited()
		p.said++
		if room, err := p.w.Wait(); err != nil || !room {
			return err
		}
		p.waiting = false
	}
	for {
		more, full, err := p.out.send(p.w, p.rng)
		p.wake(p.w.Publish())
		switch {
		case err != nil:
			return err
		case !more:
			p.sent = true
			p.wake(p.w.End(ring.EndOrderly))
			return nil
		case !full:
			return nil
		}
		p.said++
		room, err := p.w.Wait()
		if err != nil || !room {
			p.waiting = true
			return err
		}
	}
}

// noise is what the records are filled with.
var noise = func() []byte {
	p := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(p)
	return p
}()

// records are numbered records of random sizes: both sides make them of the same seed, one to send them, the other to
// check what comes. Those that are long enough carry their number and a checksum.
type records struct {
	rng    *rand.Rand
	max    int // the longest
	left   int
	number uint64
	size   int // of the next one, once it is drawn
	kind   uint32
	drawn  bool
}

const (
	// lastKind is the largest kind that a record may have.
	lastKind = 15

	numberSize   = 8
	checksumSize = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newRecords(seed uint64, n, longest int) *records {
	return &records{rng: rand.New(rand.NewPCG(seed, 0)), max: longest, left: n}
}

// draw draws the size and kind of the next record: most are short, some have any size.
func (x *records) draw() {
	if x.drawn {
		return
	}
	x.drawn = true
	x.kind, x.size = ring.KindData, x.rng.IntN(min(x.max, 48)+1)
	switch dice := x.rng.IntN(64); {
	case dice == 0:
		x.size = x.rng.IntN(x.max + 1)
	case dice < 3:
		x.size = x.max
	case dice < 6:
		x.kind = ring.KindUser + x.rng.Uint32N(lastKind+1-ring.KindUser)
	}
}

func (x *records) drop() {
	x.drawn = false
	x.left--
	x.number++
}

func (x *records) send(w *ring.Writer, rng *rand.Rand) (more, full bool, err error) {
	for n := rng.IntN(64); n >= 0 && x.left > 0; n-- {
		x.draw()
		longer := min(x.max, x.size+n%8) // Reserve is for up to
		room, err := w.Reserve(longer)
		if room == nil {
			return true, true, err
		}
		if len(room) != longer || cap(room) != longer {
			return true, false, fmt.Errorf("room for %d bytes has %d, and %d behind it", longer, len(room), cap(room)-len(room))
		}
		fill(room[:x.size], x.number)
		if !w.Commit(x.size, x.kind) {
			return true, false, fmt.Errorf("record %d can't be ended", x.number)
		}
		x.drop()
	}
	return x.left > 0, false, nil
}

func fill(p []byte, number uint64) {
	copy(p, noise[number%uint64(len(noise)-len(p)):])
	var head [numberSize + checksumSize]byte
	binary.LittleEndian.PutUint64(head[:], number)
	if n := copy(p, head[:]); n == len(head) {
		binary.LittleEndian.PutUint32(p[numberSize:], crc32.Checksum(p, castagnoli))
	}
}

func (x *records) receive(record []byte, kind uint32) error {
	if x.left == 0 {
		return fmt.Errorf("a record too many, after %d", x.number)
	}
	x.draw()
	if len(record) != x.size || cap(record) != len(record) || kind != x.kind {
		return fmt.Errorf("record %d has %d bytes (cap %d) and kind %d, not %d bytes and kind %d",
			x.number, len(record), cap(record), kind, x.size, x.kind)
	}
	var number [numberSize]byte
	if n := copy(number[:], record); n < numberSize {
		var want [numberSize]byte
		binary.LittleEndian.PutUint64(want[:], x.number)
		if !bytes.Equal(number[:n], want[:n]) {
			return fmt.Errorf("record %d has %x", x.number, number[:n])
		}
	} else if is := binary.LittleEndian.Uint64(number[:]); is != x.number {
		return fmt.Errorf("record %d has the number %d", x.number, is)
	}
	if len(record) >= numberSize+checksumSize {
		var zero [checksumSize]byte
		sum := crc32.Update(0, castagnoli, record[:numberSize])
		sum = crc32.Update(sum, castagnoli, zero[:])
		sum = crc32.Update(sum, castagnoli, record[numberSize+checksumSize:])
		if is := binary.LittleEndian.Uint32(record[numberSize:]); is != sum {
			return fmt.Errorf("record %d of %d bytes has the checksum %#x, not %#x", x.number, len(record), is, sum)
		}
	}
	x.drop()
	return nil
}

func (x *records) complete() error {
	if x.left != 0 {
		return fmt.Errorf("%d records haven't come", x.left)
	}
	return nil
}

// pieces are bytes that are written in pieces of random sizes, which don't matter to who reads them.
type pieces struct {
	left, done int
	longest    int
	piece      []byte // what is left of one
}

func newPieces(n, longest int) *pieces { return &pieces{left: n, longest: longest} }

func (x *pieces) send(w *ring.Writer, rng *rand.Rand) (more, full bool, err error) {
	for n := rng.IntN(8); n >= 0 && x.left > 0; n-- {
		if len(x.piece) == 0 {
			x.piece = x.after(min(x.left, 1+rng.IntN(x.longest)))
		}
		wrote, err := w.Write(x.piece)
		x.piece = x.piece[wrote:]
		x.done += wrote
		x.left -= wrote
		if err != nil || len(x.piece) > 0 {
			return true, true, err
		}
	}
	return x.left > 0, false, nil
}

// after returns up to n of the bytes that follow.
func (x *pieces) after(n int) []byte {
	from := x.done % len(noise)
	return noise[from:min(from+n, len(noise))]
}

func (x *pieces) receive(record []byte, kind uint32) error {
	if kind != ring.KindPiece || len(record) == 0 || len(record) > x.left {
		return fmt.Errorf("a piece of kind %d with %d bytes, where %d are left", kind, len(record), x.left)
	}
	for len(record) > 0 {
		want := x.after(len(record))
		if !bytes.Equal(record[:len(want)], want) {
			return fmt.Errorf("other bytes than were written, from %d to %d", x.done, x.done+len(want))
		}
		x.done += len(want)
		x.left -= len(want)
		record = record[len(want):]
	}
	return nil
}

func (x *pieces) complete() error {
	if x.left != 0 {
		return fmt.Errorf("%d bytes haven't come", x.left)
	}
	return nil
}
