package ring

import (
	"sync/atomic"
	"unsafe"
)

// Writer is the writing end. It belongs to one goroutine at a time.
type Writer struct {
	// What it writes, in its own area.
	published, waiting, ended *atomic.Uint64
	// What the other side writes.
	released, asleep *atomic.Uint64

	data  []byte
	base  unsafe.Pointer // of data
	next  uint64         // the count of the next record; what is below is ended
	shown uint64         // published
	freed uint64         // the last released that was seen
	rung  uint64         // the last asleep that a bell was rung for
	waits uint64         // waiting
	kept  int            // what Reserve has promised; -1: nothing
	want  int            // the room that the last Reserve or Write has lacked
}

func newWriter(own, peer area) *Writer {
	return &Writer{
		published: own.published, waiting: own.waiting, ended: own.ended, released: peer.released, asleep: peer.asleep,
		data: own.data, base: unsafe.Pointer(unsafe.SliceData(own.data)), kept: -1,
	}
}

// Capacity is how many bytes the ring holds.
func (w *Writer) Capacity() int { return len(w.data) }

// Max is how long a record may be: a quarter of the ring, so that there is always room for one when nothing is in it.
func (w *Writer) Max() int { return len(w.data)/4 - wordSize }

// Position is the count at which the next record begins, and Released the last one that the reader has given back, as
// far as this side has seen.
func (w *Writer) Position() uint64 { return w.next }

// Released is how far the reader has come.
func (w *Writer) Released() (uint64, error) {
	err := w.look()
	return w.freed, err
}

// Lack says that it isn't room that is lacking but that the reader comes to a count.
func (w *Writer) Lack(count uint64) { w.want = len(w.data) - int(w.next-count) }

// Queued is how many bytes of the ring are in use, as far as this side has seen.
func (w *Writer) Queued() int { return int(w.next - w.freed) }

// look sees what the reader has given back.
func (w *Writer) look() error {
	released := w.released.Load()
	if released%wordSize != 0 || released-w.freed > w.shown-w.freed {
		return &CorruptError{What: "released", Value: released, At: w.shown}
	}
	w.freed = released
	return nil
}

// free is how many bytes nobody uses, at least need if the reader has given back so much.
func (w *Writer) free(need int) (int, error) {
	free := len(w.data) - int(w.next-w.freed)
	if free >= need {
		return free, nil
	}
	if err := w.look(); err != nil {
		return 0, err
	}
	return len(w.data) - int(w.next-w.freed), nil
}

// Reserve returns room for a record of n bytes, up to Max; nil if there is none now. Another Reserve takes it back.
func (w *Writer) Reserve(n int) ([]byte, error) {
	need := padded(n)
	at := int(w.next) & (len(w.data) - 1)
	pad := 0
	if rest := len(w.data) - at; rest < need {
		pad = rest
	}
	if len(w.data)-int(w.next-w.freed) < pad+need {
		free, err := w.free(pad + need)
		if err != nil || free < pad+need {
			w.kept, w.want = -1, pad+need
			return nil, err
		}
	}
	if pad > 0 {
		w.head(at, pad-wordSize, KindPad)
		w.next += uint64(pad)
		at = 0
	}
	w.kept = n
	return w.data[at+wordSize : at+wordSize+n : at+wordSize+n], nil
}

func (w *Writer) head(at, n int, kind uint32) {
	*(*uint64)(unsafe.Add(w.base, at)) = uint64(n) | uint64(kind)<<32
}

// Commit ends the record that was reserved, with n bytes of it; the reader sees it when it is published. It reports
// whether there was one as long.
func (w *Writer) Commit(n int, kind uint32) bool {
	if n < 0 || n > w.kept {
		return false
	}
	w.head(int(w.next)&(len(w.data)-1), n, kind)
	w.next += uint64(padded(n))
	w.kept = -1
	return true
}

// smallest is how short a piece of Write may be while there is more to write: a piece costs as much as its head.
const smallest = 64

// Write writes as much of p as there is room for, in as many records as it takes, and publishes nothing.
func (w *Writer) Write(p []byte) (n int, err error) {
	for n < len(p) {
		piece := min(len(p)-n, w.Max())
		rest := len(w.data) - int(w.next)&(len(w.data)-1) - wordSize // without going around
		if rest < piece && rest >= smallest {
			piece = rest
		}
		free, err := w.free(padded(piece))
		if err != nil {
			return n, err
		}
		if free < padded(piece) {
			if piece = free - wordSize; piece < smallest {
				w.want = min(2*padded(smallest), len(w.data)/2)
				return n, nil
			}
		}
		room, err := w.Reserve(piece)
		if room == nil {
			return n, err
		}
		w.Commit(copy(room, p[n:]), KindPiece)
		n += piece
	}
	return n, nil
}

// Unpublished tells whether something has ended that the reader can't see yet.
func (w *Writer) Unpublished() bool { return w.next != w.shown }

// Publish lets the reader see all that has ended, and tells whether its bell has to be rung.
func (w *Writer) Publish() (ring bool) {
	if w.next == w.shown {
		return false
	}
	w.shown = w.next
	w.published.Store(w.next)
	return w.wakes()
}

// wakes tells whether the reader sleeps, once for each sleep.
func (w *Writer) wakes() bool {
	asleep := w.asleep.Load()
	if asleep&1 == 0 || asleep == w.rung {
		return false
	}
	w.rung = asleep
	return true
}

// Wait says that this side waits for the room that Reserve or Write has lacked; true means that it is there already.
func (w *Writer) Wait() (room bool, err error) {
	if w.waits&1 == 0 {
		w.waits++
		w.waiting.Store(w.waits)
	}
	if room, err = w.Room(); room {
		w.Waited()
	}
	return room, err
}

// Waiting tells whether it waits.
func (w *Writer) Waiting() bool { return w.waits&1 == 1 }

// Room tells whether there is the room that Reserve or Write has lacked.
func (w *Writer) Room() (bool, error) {
	free, err := w.free(w.want)
	return err == nil && free >= w.want, err
}

// Waited says that it waits no more.
func (w *Writer) Waited() {
	if w.waits&1 == 1 {
		w.waits++
		w.waiting.Store(w.waits)
	}
}

// End publishes what has ended, and that nothing comes after it. It tells whether the reader's bell has to be rung.
func (w *Writer) End(how uint64) (ring bool) {
	w.published.Store(w.next)
	w.shown = w.next
	w.ended.Store(how)
	return w.wakes()
}
