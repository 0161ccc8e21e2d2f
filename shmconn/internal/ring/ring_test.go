package ring_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
)

// oneRing makes the two ends of one ring.
func oneRing(tb testing.TB, capacity int) (*ring.Writer, *ring.Reader) {
	tb.Helper()
	near, far := area(capacity), area(capacity)
	w, _, err := ring.New(near, far)
	if err != nil {
		tb.Fatal(err)
	}
	_, r, err := ring.New(far, near)
	if err != nil {
		tb.Fatal(err)
	}
	return w, r
}

func mustWrite(tb testing.TB, w *ring.Writer, record string, kind uint32) {
	tb.Helper()
	room, err := w.Reserve(len(record))
	if room == nil || err != nil {
		tb.Fatalf("no room for %q: %v", record, err)
	}
	if !w.Commit(copy(room, record), kind) {
		tb.Fatalf("%q can't be ended", record)
	}
}

func mustRead(tb testing.TB, r *ring.Reader, record string, kind uint32) {
	tb.Helper()
	got, k, ok, err := r.Next()
	if err != nil || !ok || string(got) != record || k != kind {
		tb.Fatalf("read %q of kind %d, %v, %v, not %q of kind %d", got, k, ok, err, record, kind)
	}
}

func mustReadNone(tb testing.TB, r *ring.Reader) {
	tb.Helper()
	if got, k, ok, err := r.Next(); ok || err != nil {
		tb.Fatalf("read %q of kind %d, %v", got, k, err)
	}
}

// mustBe compares what there is with what there should be.
func mustBe[T comparable](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s: %v, not %v", what, got, want)
	}
}

func TestCapacities(t *testing.T) {
	for _, c := range []struct {
		capacity int
		ok       bool
	}{
		{0, false}, {-64, false}, {32, false}, {65, false}, {96, false}, {1 << 31, false},
		{64, true}, {128, true}, {1 << 20, true}, {1 << 30, true},
	} {
		if err := ring.CheckCapacity(c.capacity); (err == nil) != c.ok || err != nil && !errors.Is(err, ring.ErrCapacity) {
			t.Errorf("%d: %v", c.capacity, err)
		}
	}
	for name, areas := range map[string][2][]byte{
		"none": {nil, nil}, "own is too short": {make([]byte, 100), area(64)},
		"peer's is too short": {area(64), area(64)[:ring.HeaderSize+32]},
	} {
		if _, _, err := ring.New(areas[0], areas[1]); !errors.Is(err, ring.ErrCapacity) {
			t.Errorf("%s: %v", name, err)
		}
	}
	odd := make([]byte, ring.Size(64)+1)[1:]
	for _, areas := range [][2][]byte{{odd, area(64)}, {area(64), odd}} {
		if _, _, err := ring.New(areas[0], areas[1]); err == nil {
			t.Error("memory that isn't aligned is taken")
		}
	}
}

// TestLayout holds what the comment of the package says of the memory: other programs go by it.
func TestLayout(t *testing.T) {
	near, far := area(64), area(64)
	w, r, err := ring.New(near, far)
	if err != nil {
		t.Fatal(err)
	}
	word := func(at int) uint64 { return binary.NativeEndian.Uint64(near[at:]) }
	mustWrite(t, w, "abcdefghi", ring.KindUser+1) // longer than Max, to have it filled up
	mustWrite(t, w, "", ring.KindData)
	mustBe(t, "published before Publish", word(publishedAt), 0)
	w.Publish()
	mustBe(t, "published", word(publishedAt), 32)
	mustBe(t, "head", word(ring.HeaderSize), 9|(ring.KindUser+1)<<32)
	if got := near[ring.HeaderSize+8:][:9]; string(got) != "abcdefghi" {
		t.Errorf("the record is %q", got)
	}
	mustBe(t, "head of an empty record", word(ring.HeaderSize+24), 0)
	mustWrite(t, w, "12345678", ring.KindData) // to 48
	w.Publish()
	binary.NativeEndian.PutUint64(far[releasedAt:], 48)
	mustWrite(t, w, "123456789", ring.KindData) // 24 bytes don't fit behind it
	mustBe(t, "head of a pad", word(ring.HeaderSize+48), 8|ring.KindPad<<32)
	mustBe(t, "head at the beginning", word(ring.HeaderSize), 9)
	w.Publish()
	mustBe(t, "published", word(publishedAt), 64+24)
	if room, err := w.Reserve(40); room != nil || err != nil {
		t.Errorf("room for 40 bytes: %d, %v", len(room), err)
	}
	if room, err := w.Wait(); room || err != nil {
		t.Errorf("Wait: %v, %v", room, err)
	}
	mustBe(t, "waiting", word(waitingAt), 1)
	w.Waited()
	mustBe(t, "waiting", word(waitingAt), 2)
	if r.Sleep() {
		t.Error("doesn't sleep")
	}
	mustBe(t, "asleep", word(asleepAt), 1)
	r.Awake()
	mustBe(t, "asleep", word(asleepAt), 2)
	binary.NativeEndian.PutUint64(far[publishedAt:], 8)
	mustRead(t, r, "", ring.KindData)
	mustBe(t, "released", word(releasedAt), 0)
	r.Release()
	mustBe(t, "released", word(releasedAt), 8)
	w.End(ring.EndReset)
	mustBe(t, "ended", word(endedAt), ring.EndReset)
	for at, b := range near[endedAt+8 : ring.HeaderSize] {
		if b != 0 {
			t.Fatalf("something is written at %d", endedAt+8+at)
		}
	}
}

func TestCommit(t *testing.T) {
	w, r := oneRing(t, 256)
	mustBe(t, "Max", w.Max(), 56)
	mustBe(t, "Capacity", w.Capacity(), 256)
	mustBe(t, "Capacity", r.Capacity(), 256)
	mustBe(t, "Commit without Reserve", w.Commit(0, ring.KindData), false)
	reserve := func(n int) []byte {
		t.Helper()
		room, err := w.Reserve(n)
		if err != nil || len(room) != n || cap(room) != n {
			t.Fatalf("room for %d: %d (cap %d), %v", n, len(room), cap(room), err)
		}
		return room
	}
	reserve(5)
	mustBe(t, "Commit of more", w.Commit(6, ring.KindData), false)
	mustBe(t, "Commit of less than nothing", w.Commit(-1, ring.KindData), false)
	copy(reserve(20), "hello, nobody") // takes the first one back
	mustBe(t, "Commit", w.Commit(5, ring.KindData), true)
	mustBe(t, "Commit once more", w.Commit(0, ring.KindData), false)
	mustBe(t, "Position", w.Position(), 16)
	mustBe(t, "Queued", w.Queued(), 16)
	mustBe(t, "Unpublished", w.Unpublished(), true)
	mustReadNone(t, r)
	w.Publish()
	mustBe(t, "Unpublished", w.Unpublished(), false)
	mustRead(t, r, "hello", ring.KindData)
	mustReadNone(t, r)

	for w.Queued() < 256 {
		n := min(56, 256-w.Queued()-8)
		reserve(n)
		w.Commit(n, ring.KindData)
	}
	if room, err := w.Reserve(0); room != nil || err != nil {
		t.Errorf("room in a full ring: %d, %v", len(room), err)
	}
	r.Release()
	reserve(8)
	if room, err := w.Reserve(9); room != nil || err != nil {
		t.Errorf("room for 9 bytes in a ring with 16: %d, %v", len(room), err)
	}
	mustBe(t, "Commit after a Reserve that found no room", w.Commit(8, ring.KindData), false)
	if released, err := w.Released(); released != 16 || err != nil {
		t.Errorf("Released: %d, %v", released, err)
	}
	reserve(8)
}

// TestHolding is a reader that gives back some of what it has read.
func TestHolding(t *testing.T) {
	w, r := oneRing(t, 64)
	released := func(want uint64) {
		t.Helper()
		if got, err := w.Released(); err != nil || got != want {
			t.Fatalf("released are %d bytes, %v, not %d", got, err, want)
		}
	}
	for _, s := range []string{"one", "two", "three"} {
		mustWrite(t, w, s, ring.KindData)
	}
	w.Publish()
	mustBe(t, "Seen", r.Seen(), 0)
	if err := r.Look(); err != nil {
		t.Fatal(err)
	}
	mustBe(t, "Seen", r.Seen(), 48)
	r.Unread() // nothing
	r.ReleaseOthers()
	released(0)
	mustRead(t, r, "one", ring.KindData)
	mustBe(t, "Held", r.Held(), 1)
	r.Unread()
	mustBe(t, "Held", r.Held(), 0)
	mustRead(t, r, "one", ring.KindData)
	r.ReleaseOthers()
	released(0)
	mustRead(t, r, "two", ring.KindData)
	r.ReleaseOthers()
	released(16)
	mustBe(t, "Held", r.Held(), 1)
	mustRead(t, r, "three", ring.KindData)
	mustBe(t, "Held", r.Held(), 2)
	r.Unread()
	mustRead(t, r, "three", ring.KindData)
	r.Release()
	released(48)
	mustBe(t, "Held", r.Held(), 0)
	r.ReleaseOthers() // nothing is in use
	released(48)
	r.Unread()
	mustReadNone(t, r)

	mustWrite(t, w, "123456789", ring.KindData) // behind a pad
	w.Publish()
	mustRead(t, r, "123456789", ring.KindData)
	r.Unread()
	mustRead(t, r, "123456789", ring.KindData)
	r.ReleaseOthers()
	released(64)
	r.Release()
	released(64 + 24)
}

// TestPadAlone is a pad that is published though the record behind it never was written.
func TestPadAlone(t *testing.T) {
	w, r := oneRing(t, 64)
	for range 3 {
		mustWrite(t, w, "12345678", ring.KindData)
	}
	w.Publish()
	for range 3 {
		mustRead(t, r, "12345678", ring.KindData)
	}
	r.ReleaseOthers()
	if room, err := w.Reserve(16); room == nil || err != nil { // 16 bytes are left, and it needs 24
		t.Fatal(room, err)
	}
	w.End(ring.EndOrderly)
	if !r.Left() {
		t.Error("the pad isn't there")
	}
	if how, err := r.Ended(); how != 0 || err != nil {
		t.Errorf("ended %d before the pad, %v", how, err)
	}
	mustReadNone(t, r)
	r.Unread()
	mustRead(t, r, "12345678", ring.KindData)
	mustReadNone(t, r)
	if how, err := r.Ended(); how != ring.EndOrderly || err != nil {
		t.Errorf("ended %d, %v", how, err)
	}
}

func TestEnd(t *testing.T) {
	for _, how := range []uint64{ring.EndOrderly, ring.EndReset} {
		w, r := oneRing(t, 64)
		if got, err := r.Ended(); got != 0 || err != nil {
			t.Errorf("ended %d, %v", got, err)
		}
		if r.Sleep() {
			t.Error("doesn't sleep")
		}
		mustWrite(t, w, "last", ring.KindData)
		mustBe(t, "End rings", w.End(how), true)
		r.Awake()
		if got, err := r.Ended(); got != 0 || err != nil {
			t.Errorf("ended %d before all is read, %v", got, err)
		}
		mustBe(t, "More", r.More(), true)
		mustRead(t, r, "last", ring.KindData)
		mustBe(t, "Left", r.Left(), false)
		mustBe(t, "More", r.More(), true)
		mustBe(t, "Sleep", r.Sleep(), true)
		if got, err := r.Ended(); got != how || err != nil {
			t.Errorf("ended %d, %v, not %d", got, err, how)
		}
		mustBe(t, "End rings once more", w.End(how), false)
	}
}

// TestWhoRings is when a bell has to be rung.
func TestWhoRings(t *testing.T) {
	w, r := oneRing(t, 64)
	publish := func(want bool) {
		t.Helper()
		mustWrite(t, w, "12345678", ring.KindData)
		mustBe(t, "Publish rings", w.Publish(), want)
	}
	publish(false)
	mustBe(t, "Publish of nothing rings", w.Publish(), false)
	mustBe(t, "Sleep", r.Sleep(), true) // there is one
	mustRead(t, r, "12345678", ring.KindData)
	mustBe(t, "Sleep", r.Sleep(), false)
	mustBe(t, "Sleep once more", r.Sleep(), false)
	publish(true)
	publish(false) // it was rung
	r.Awake()
	publish(false)
	mustBe(t, "Wakes", r.Wakes(true), false) // nobody waits

	// The ring is full.
	if room, err := w.Reserve(8); room != nil || err != nil {
		t.Fatal(room, err)
	}
	mustBe(t, "Waiting", w.Waiting(), false)
	wait := func(want bool) {
		t.Helper()
		if room, err := w.Wait(); room != want || err != nil {
			t.Fatalf("Wait: %v, %v", room, err)
		}
		mustBe(t, "Waiting", w.Waiting(), !want)
	}
	wait(false)
	if err := r.Look(); err != nil {
		t.Fatal(err)
	}
	mustBe(t, "Wakes with more than half of it unread", r.Wakes(false), false)
	mustRead(t, r, "12345678", ring.KindData)
	mustBe(t, "Wakes with half of it unread", r.Wakes(false), true)
	mustBe(t, "Wakes again", r.Wakes(true), false)
	w.Waited()
	wait(false) // nothing was given back
	r.Unread()
	mustBe(t, "Wakes with more than half of it unread", r.Wakes(false), false)
	mustBe(t, "Wakes when nothing will be read soon", r.Wakes(true), true)
	mustRead(t, r, "12345678", ring.KindData)
	w.Waited()
	wait(false)
	mustBe(t, "Wakes for a new wait", r.Wakes(true), true)
	r.Release()
	mustBe(t, "Wakes again", r.Wakes(false), false)
	wait(true)
	mustBe(t, "Wakes", r.Wakes(true), false)

	w.Lack(w.Position()) // until all is read
	wait(false)
	for range 2 {
		mustRead(t, r, "12345678", ring.KindData)
	}
	r.Release()
	mustReadNone(t, r)
	mustBe(t, "Wakes", r.Wakes(false), true)
	wait(true)

	publish(false)
	w.Lack(w.Position())
	wait(false)
}

// TestWriteRest is Write that cuts a piece to the room there is.
func TestWriteRest(t *testing.T) {
	w, r := oneRing(t, 1024)
	mustWrite(t, w, strings.Repeat("x", 120), ring.KindData) // takes 128 bytes
	if n, err := w.Write(make([]byte, 2000)); n < 700 || err != nil {
		t.Fatalf("Write: %d, %v", n, err)
	}
	mustBe(t, "Queued", w.Queued(), 1024)
	w.Publish()
	mustRead(t, r, strings.Repeat("x", 120), ring.KindData)
	r.Release()
	if n, err := w.Write(make([]byte, 2000)); n != 120 || err != nil {
		t.Errorf("Write where 128 bytes are free: %d, %v", n, err)
	}
	mustBe(t, "Queued", w.Queued(), 1024)
	if room, err := w.Wait(); room || err != nil {
		t.Errorf("Wait: %v, %v", room, err)
	}
}

// TestWriteSmall is Write of more than the ring holds.
func TestWriteSmall(t *testing.T) {
	for _, capacity := range []int{64, 128, 512, 4096} {
		t.Run(fmt.Sprint(capacity), func(t *testing.T) {
			w, r := oneRing(t, capacity)
			p := make([]byte, 3*capacity)
			for i := range p {
				p[i] = byte(i * 7)
			}
			var got []byte
			if n, err := w.Write(nil); n != 0 || err != nil {
				t.Errorf("Write of nothing: %d, %v", n, err)
			}
			mustBe(t, "Unpublished", w.Unpublished(), false)
			for rest := p; len(rest) > 0; {
				n, err := w.Write(rest)
				if err != nil || n == 0 {
					t.Fatalf("Write: %d, %v", n, err)
				}
				rest = rest[n:]
				if len(rest) > 0 {
					if room, err := w.Wait(); room || err != nil {
						t.Fatalf("took %d bytes, and then: %v, %v", n, room, err)
					}
				}
				if free := capacity - w.Queued(); len(rest) > 0 && free >= capacity/2 {
					t.Errorf("%d bytes are free, and it waits for room", free)
				}
				w.Publish()
				for {
					record, _, ok, err := r.Next()
					if err != nil {
						t.Fatal(err)
					}
					if !ok {
						break
					}
					if len(record) > w.Max() || len(record) == 0 {
						t.Errorf("a record of %d bytes", len(record))
					}
					got = append(got, record...)
				}
				r.Release()
				if room, err := w.Room(); !room || err != nil {
					t.Fatalf("no room in an empty ring: %v", err)
				}
			}
			if !bytes.Equal(got, p) {
				t.Error("other bytes have come than were written")
			}
		})
	}
}
