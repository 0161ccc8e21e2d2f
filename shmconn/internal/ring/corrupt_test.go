package ring_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
)

// Where the words of a header are, as the comment of the package says.
const (
	publishedAt = 0
	releasedAt  = 128
	asleepAt    = 256
	waitingAt   = 384
	endedAt     = 512
)

// hostile is one honest side, and the area that the other side writes as it likes.
type hostile struct {
	w    *ring.Writer
	r    *ring.Reader
	area []byte
}

func newHostile(tb testing.TB, capacity int) *hostile {
	tb.Helper()
	h := &hostile{area: area(capacity)}
	var err error
	if h.w, h.r, err = ring.New(area(capacity), h.area); err != nil {
		tb.Fatal(err)
	}
	return h
}

func (h *hostile) set(at int, value uint64) { binary.NativeEndian.PutUint64(h.area[at:], value) }

// record writes the head of a record.
func (h *hostile) record(at, length, kind int) {
	h.set(ring.HeaderSize+at, uint64(uint32(length))|uint64(kind)<<32)
}

// fill writes records of 8 bytes, and publishes them.
func (h *hostile) fill(n int) {
	for i := range n {
		h.record(16*i, 8, ring.KindData)
	}
	h.set(publishedAt, uint64(16*n))
}

// take reads n records and gives them back.
func (h *hostile) take(t *testing.T, n int) {
	t.Helper()
	for range n {
		if _, _, ok, err := h.r.Next(); !ok || err != nil {
			t.Fatalf("Next: %v, %v", ok, err)
		}
	}
	h.r.Release()
}

// send publishes n records of 8 bytes.
func (h *hostile) send(t *testing.T, n int) {
	t.Helper()
	for range n {
		if room, err := h.w.Reserve(8); room == nil || err != nil || !h.w.Commit(8, ring.KindData) {
			t.Fatalf("no record can be written: %v", err)
		}
	}
	h.w.Publish()
}

func (h *hostile) next() error {
	_, _, _, err := h.r.Next()
	return err
}

func (h *hostile) ended() error {
	_, err := h.r.Ended()
	return err
}

// TestCorruptReader is a reader whose peer writes what can't be.
func TestCorruptReader(t *testing.T) {
	const capacity = 64
	for _, c := range []struct {
		name  string
		write func(t *testing.T, h *hostile)
		what  string
		value uint64
		at    uint64
	}{
		{"published unaligned", func(_ *testing.T, h *hostile) { h.set(publishedAt, 12) }, "published", 12, 0},
		{"published ahead", func(_ *testing.T, h *hostile) { h.set(publishedAt, capacity+8) }, "published", capacity + 8, 0},
		{"published far ahead", func(_ *testing.T, h *hostile) { h.set(publishedAt, 1<<63) }, "published", 1 << 63, 0},
		{"published ahead of what was released", func(t *testing.T, h *hostile) {
			h.fill(2)
			h.take(t, 1)
			if _, _, _, err := h.r.Next(); err != nil {
				t.Fatal(err)
			}
			h.set(publishedAt, 16+capacity+8)
		}, "published", 16 + capacity + 8, 32},
		{"published backwards", func(t *testing.T, h *hostile) {
			h.fill(3)
			h.take(t, 3)
			h.set(publishedAt, 32)
		}, "published", 32, 48},
		{"published backwards to what is in use", func(t *testing.T, h *hostile) {
			h.fill(2)
			for range 2 {
				if err := h.next(); err != nil {
					t.Fatal(err)
				}
			}
			h.set(publishedAt, 16)
		}, "published", 16, 32},
		{"length beyond published", func(_ *testing.T, h *hostile) {
			h.record(0, 16, ring.KindData)
			h.set(publishedAt, 16)
		}, "record length", 16, 0},
		{"length beyond published, by what fills up", func(_ *testing.T, h *hostile) {
			h.record(0, 9, ring.KindData)
			h.set(publishedAt, 16)
		}, "record length", 9, 0},
		{"length beyond the end", func(t *testing.T, h *hostile) {
			h.fill(3)
			h.take(t, 3)
			h.record(48, 16, ring.KindData)
			h.set(publishedAt, 48+24)
		}, "record length", 16, 48},
		{"the longest length", func(_ *testing.T, h *hostile) {
			h.record(0, -1, ring.KindData)
			h.set(publishedAt, capacity)
		}, "record length", 1<<32 - 1, 0},
		{"unknown kind", func(_ *testing.T, h *hostile) {
			h.record(0, 8, 16)
			h.set(publishedAt, 16)
		}, "record kind", 16, 0},
		{"the last kind", func(_ *testing.T, h *hostile) {
			h.record(0, 8, 1<<32-1)
			h.set(publishedAt, 16)
		}, "record kind", 1<<32 - 1, 0},
		{"pad in the middle", func(_ *testing.T, h *hostile) {
			h.record(0, 8, ring.KindPad)
			h.set(publishedAt, 32)
		}, "record kind", ring.KindPad, 0},
		{"pad beyond the end", func(t *testing.T, h *hostile) {
			h.fill(3)
			h.take(t, 3)
			h.record(48, 16, ring.KindPad)
			h.set(publishedAt, 48+24)
		}, "record length", 16, 48},
		{"pads without an end", func(_ *testing.T, h *hostile) {
			h.record(0, capacity-8, ring.KindPad)
			h.set(publishedAt, 2*capacity)
		}, "published", 2 * capacity, 0},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			h := newHostile(t, capacity)
			c.write(t, h)
			mustBeCorrupt(t, h.next(), c.what, c.value, c.at)
			mustBeCorrupt(t, h.next(), c.what, c.value, c.at) // and it stays so
			if c.what == "published" {
				mustBeCorrupt(t, h.r.Look(), c.what, c.value, c.at)
			}
			if !h.r.Left() || !h.r.More() || !h.r.Sleep() {
				t.Error("a reader sleeps that has an error to tell of")
			}
		})
	}
}

// TestCorruptEnd is a peer that ends in a way that there isn't.
func TestCorruptEnd(t *testing.T) {
	for _, value := range []uint64{3, 1 << 32, 1<<64 - 1} {
		h := newHostile(t, 64)
		h.fill(1)
		h.take(t, 1)
		h.set(endedAt, value)
		mustBeCorrupt(t, h.ended(), "ended", value, 16)
	}
	h := newHostile(t, 64)
	h.set(endedAt, ring.EndOrderly)
	h.set(publishedAt, 20)
	mustBeCorrupt(t, h.ended(), "published", 20, 0)
}

// TestCorruptWriter is a writer whose peer gives back what it can't.
func TestCorruptWriter(t *testing.T) {
	for _, c := range []struct {
		name     string
		released uint64
		staged   bool // the last record isn't published
		before   uint64
	}{
		{"unaligned", 12, false, 0},
		{"ahead", 64 + 8, false, 0},
		{"ahead of what is published", 64, true, 0},
		{"far ahead", 1<<64 - 8, false, 0},
		{"backwards", 16, false, 32},
	} {
		for name, use := range map[string]func(w *ring.Writer) error{
			"Reserve":  func(w *ring.Writer) error { _, err := w.Reserve(8); return err },
			"Write":    func(w *ring.Writer) error { _, err := w.Write(make([]byte, 100)); return err },
			"Released": func(w *ring.Writer) error { _, err := w.Released(); return err },
			"Room":     func(w *ring.Writer) error { w.Lack(w.Position()); _, err := w.Room(); return err },
			"Wait":     func(w *ring.Writer) error { w.Lack(w.Position()); _, err := w.Wait(); return err },
		} {
			t.Run(strings.ReplaceAll(c.name, " ", "_")+"/"+name, func(t *testing.T) {
				h := newHostile(t, 64)
				h.send(t, 3)
				if c.before > 0 {
					h.set(releasedAt, c.before)
					if _, err := h.w.Released(); err != nil {
						t.Fatal(err)
					}
					h.send(t, 2)
				}
				room, err := h.w.Reserve(8)
				if room == nil || err != nil || !h.w.Commit(8, ring.KindData) {
					t.Fatal("there is no room for the last record:", err)
				}
				shown := h.w.Position()
				if c.staged {
					shown -= 16
				} else {
					h.w.Publish()
				}
				h.set(releasedAt, c.released)
				err = use(h.w)
				mustBeCorrupt(t, err, "released", c.released, shown)
			})
		}
	}
}

// mustBeCorrupt holds that an error says what was wrong.
func mustBeCorrupt(tb testing.TB, err error, what string, value, at uint64) {
	tb.Helper()
	var corrupt *ring.CorruptError
	if !errors.Is(err, ring.ErrCorrupt) || !errors.As(err, &corrupt) {
		tb.Fatalf("got %v, not a CorruptError of %q", err, what)
	}
	if *corrupt != (ring.CorruptError{What: what, Value: value, At: at}) {
		tb.Errorf("got %v, not %s %#x at %d", err, what, value, at)
	}
	if !strings.Contains(err.Error(), what) {
		tb.Errorf("%q doesn't name %q", err.Error(), what)
	}
}
