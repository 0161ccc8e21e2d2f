package main

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func flowMeter(o *options) *meter {
	o.flow, o.warmup, o.window = true, time.Hour, time.Hour
	return newMeter(o)
}

// feed hands the bytes over in random pieces, as a stream does: what was not taken comes again in front of the next.
func feed(p *pieces, all []byte, random *rand.Rand) error {
	var kept []byte
	for len(all) > 0 {
		n := min(1+random.IntN(150), len(all))
		kept, all = append(kept, all[:n]...), all[n:]
		taken, _, err := p.take(kept)
		if err != nil {
			return err
		}
		kept = kept[taken:]
	}
	return nil
}

// TestPieces finds every message in any pieces, and every kind of mistake.
func TestPieces(t *testing.T) {
	const messages = 200
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{8, 16, 64, 72} {
		for mistake, want := range map[string]error{"": nil, "bit": errBytes, "lost": errMissing, "twice": errMissing} {
			if mistake == "bit" && size == 8 {
				continue // there is only the number
			}
			o := &options{size: size}
			out := newContent(o)
			var all []byte
			for i := range messages {
				if i == messages/2 && mistake == "lost" {
					out.message()
				}
				all = append(all, out.message()...)
				switch {
				case i != messages/2:
				case mistake == "bit":
					all[len(all)-1-random.IntN(size-8)] ^= 1 << random.IntN(8)
				case mistake == "twice":
					all = slices.Concat(all, all[len(all)-size:])
				}
			}
			p := &pieces{content: *newContent(o), meter: flowMeter(o)}
			if err := feed(p, all, random); !errors.Is(err, want) {
				t.Errorf("%d bytes, %q: got %v, want %v", size, mistake, err, want)
			}
			if want == nil && (p.next != messages || p.meter.total != messages/clockEvery*clockEvery) {
				t.Errorf("%d bytes: %d messages, %d counted", size, p.next, p.meter.total)
			}
		}
	}
}

// TestCheck is TestPieces for whole messages.
func TestCheck(t *testing.T) {
	o := &options{size: 64}
	out, in := newContent(o), newContent(o)
	for range 3 {
		if err := in.check(out.message()); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.check(in.bytes[8:]); !errors.Is(err, errLength) {
		t.Errorf("a short message: %v", err)
	}
	message := out.message()
	for i := range message {
		message[i] ^= 0x10
		if err := in.check(message); err == nil {
			t.Errorf("byte %d is wrong: no error", i)
		}
		message[i] ^= 0x10
	}
	out.spoil = 5
	if err := errors.Join(in.check(message), in.check(out.message())); !errors.Is(err, errBytes) {
		t.Errorf("spoiled: %v", err)
	}
}

// TestMeter counts what is within the window alone.
func TestMeter(t *testing.T) {
	m := newMeter(&options{size: 64, window: time.Millisecond})
	if _, err := m.result(); err == nil {
		t.Error("a window that has not begun: no error")
	}
	for m.answered(0, m.now()) {
	}
	r, err := m.result()
	if err != nil || r.Requests >= r.Total || r.Requests == 0 || r.Seconds() < 0.001 || r.P99 < r.P50 || r.Max < r.P99 {
		t.Errorf("got %+v, %v", r, err)
	}
	if m.answered(0, m.now()) || m.passed() {
		t.Error("it goes on after its end")
	}
}
