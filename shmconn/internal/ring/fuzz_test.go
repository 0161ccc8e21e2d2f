package ring_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
)

const fuzzCapacity = 256

// input hands out what to do, byte by byte.
type input []byte

func (in *input) byte() (b byte) {
	if len(*in) > 0 {
		b = (*in)[0]
		*in = (*in)[1:]
	}
	return b
}

// word is one of 64 bits: mostly close to a number that is right.
func (in *input) word(right uint64) uint64 {
	switch b := in.byte(); {
	case b < 128:
		return right + 8*uint64(b%16) - 64
	case b < 192:
		return right + uint64(b) - 160
	case b < 224:
		return 1 << (b % 64)
	}
	var w [8]byte
	*in = (*in)[copy(w[:], *in):]
	return binary.LittleEndian.Uint64(w[:])
}

// mustBeTyped ends a fuzzing run for an error other than of a corrupt ring, and tells whether there was one.
func mustBeTyped(t *testing.T, err error) bool {
	t.Helper()
	var corrupt *ring.CorruptError
	if err != nil && (!errors.Is(err, ring.ErrCorrupt) || !errors.As(err, &corrupt) || corrupt.What == "") {
		t.Fatalf("an error that isn't of a corrupt ring: %v", err)
	}
	return err != nil
}

// FuzzReader is a peer that has written anything at all over its area, and goes on writing between the calls of a
// reader, which returns records within the ring or says that it is corrupt.
func FuzzReader(f *testing.F) {
	honest := area(fuzzCapacity)
	w, _, err := ring.New(honest, area(fuzzCapacity))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", "hello", "a longer one, that takes some more"} {
		mustWrite(f, w, s, ring.KindData)
	}
	w.Publish()
	calls := bytes.Repeat([]byte{0, 0, 0, 1, 4, 5, 6}, 8)
	f.Add(honest[ring.HeaderSize:], uint64(96), uint64(0), uint64(0), calls)
	f.Add(honest[ring.HeaderSize:], w.Position(), uint64(1), uint64(ring.EndOrderly), calls)
	f.Add(bytes.Repeat([]byte{8, 0, 0, 0, 1, 0, 0, 0}, 32), uint64(256), uint64(3), uint64(7), calls)
	f.Add([]byte{240, 0, 0, 0, 1}, uint64(256), uint64(1), uint64(2), []byte{0, 7, 130, 0, 7, 64, 9, 10, 0})
	f.Fuzz(func(t *testing.T, data []byte, published, waiting, ended uint64, calls []byte) {
		h := newHostile(t, fuzzCapacity)
		copy(h.area[ring.HeaderSize:], data)
		h.set(publishedAt, published)
		h.set(waitingAt, waiting)
		h.set(endedAt, ended)
		in := input(calls)
		read := uint64(0) // bytes of the ring, with what is read again
		for len(in) > 0 {
			var err error
			switch call := in.byte(); call % 12 {
			case 0, 1, 2:
				record, kind, ok, failed := h.r.Next()
				err = failed
				if ok && kind == ring.KindPad || ok && kind > 15 || !ok && record != nil {
					t.Fatalf("a record of kind %d, %v", kind, ok)
				}
				mustLieWithin(t, record, h.area[ring.HeaderSize:])
				read += uint64(len(record)) + 8
			case 3:
				h.r.Release()
			case 4:
				h.r.Unread()
			case 5:
				h.r.ReleaseOthers()
			case 6:
				how, failed := h.r.Ended()
				if err = failed; how > ring.EndReset {
					t.Fatalf("ended %d", how)
				}
			case 7:
				if !h.r.Sleep() && h.r.Left() {
					t.Fatal("sleeps, and something is left")
				}
				h.r.Awake()
			case 8:
				h.r.Wakes(call&128 != 0)
			case 9:
				published = in.word(published)
				h.set(publishedAt, published)
			case 10:
				h.set(ring.HeaderSize+int(in.byte())/8*8, in.word(16)|uint64(in.byte()%4)<<32)
			case 11:
				err = h.r.Look()
			}
			if mustBeTyped(t, err) {
				return
			}
			if seen, held := h.r.Seen(), h.r.Held(); seen < 0 || seen > fuzzCapacity || held < 0 || held > fuzzCapacity/8 {
				t.Fatalf("%d bytes are seen, %d records held", seen, held)
			}
		}
		if most := uint64(len(calls)) * (fuzzCapacity + 8); read > most {
			t.Errorf("%d bytes were read with %d calls", read, len(calls))
		}
	})
}

// mustLieWithin holds that memory is part of an area, and ends where its capacity does.
func mustLieWithin(t *testing.T, p, area []byte) {
	t.Helper()
	if p == nil {
		return
	}
	if cap(p) != len(p) || len(p) > len(area) {
		t.Fatalf("%d bytes, and %d behind them", len(p), cap(p)-len(p))
	}
	if len(p) == 0 {
		return
	}
	// What is written into the area is seen in p, at both ends of it, so p is within; that of nobody else is.
	for _, at := range []int{0, len(p) - 1} {
		was, found := p[at], false
		p[at] ^= 0xff
		for i := range area {
			if &area[i] == &p[at] {
				found = true
			}
		}
		if p[at] = was; !found {
			t.Fatal("memory that isn't of the ring")
		}
	}
}

// FuzzWriter is a peer that has any words in its header, and goes on changing them, while a writer writes: that stays
// within its own area and comes back, or says that the ring is corrupt.
func FuzzWriter(f *testing.F) {
	f.Add([]byte{0, 20, 2, 10, 3, 0, 60, 2, 40, 3, 8, 72, 0, 60, 2, 60})
	f.Add([]byte{1, 200, 3, 1, 100, 3, 8, 128, 1, 200, 5, 6, 9, 1, 3, 4, 1, 100})
	f.Add(bytes.Repeat([]byte{0, 30, 2, 30, 3, 8, 72}, 20))
	f.Fuzz(func(t *testing.T, calls []byte) {
		peer := &hostile{area: area(fuzzCapacity)}
		own := area(fuzzCapacity)
		w, _, err := ring.New(own, peer.area)
		if err != nil {
			t.Fatal(err)
		}
		p := bytes.Repeat([]byte("0123456789abcdef"), 64)
		in := input(calls)
		for len(in) > 0 {
			var err error
			switch call := in.byte(); call % 10 {
			case 0:
				n := int(in.byte()) % (w.Max() + 1)
				room, failed := w.Reserve(n)
				if err = failed; room != nil && (len(room) != n || err != nil) {
					t.Fatalf("room for %d has %d, %v", n, len(room), err)
				}
				mustLieWithin(t, room, own[ring.HeaderSize:])
			case 1:
				n := 4 * int(in.byte())
				wrote, failed := w.Write(p[:n])
				if err = failed; wrote < 0 || wrote > n {
					t.Fatalf("%d bytes are written of %d", wrote, n)
				}
			case 2:
				w.Commit(int(in.byte()), ring.KindData)
			case 3:
				w.Publish()
			case 4:
				_, err = w.Wait()
			case 5:
				w.Waited()
			case 6:
				_, err = w.Released()
			case 7:
				w.Lack(w.Position() - uint64(in.byte())%uint64(w.Queued()+1)/8*8)
			case 8:
				peer.set(releasedAt, in.word(w.Position()-uint64(w.Queued())/2))
			case 9:
				peer.set(asleepAt, in.word(1))
			}
			if mustBeTyped(t, err) {
				return
			}
			if queued := w.Queued(); queued < 0 || queued > fuzzCapacity {
				t.Fatalf("%d bytes are queued", queued)
			}
		}
	})
}
