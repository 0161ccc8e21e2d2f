package ring_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
)

// area makes the area of a side. Go aligns what is as large.
func area(capacity int) []byte { return make([]byte, ring.Size(capacity)) }

// pair makes the two sides of a connection on the heap.
func pair(tb testing.TB, capacities [2]int) (sides [2]*peer) {
	tb.Helper()
	areas := [2][]byte{area(capacities[0]), area(capacities[1])}
	bells := [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	tb.Cleanup(cancel)
	for i := range sides {
		w, r, err := ring.New(areas[i], areas[1-i])
		if err != nil {
			tb.Fatal(err)
		}
		sides[i] = &peer{
			w: w, r: r, rng: rand.New(rand.NewPCG(7, uint64(i))),
			ring: func() {
				select {
				case bells[1-i] <- struct{}{}:
				default:
				}
			},
			wait: func() error {
				select {
				case <-bells[i]:
					return nil
				case <-ctx.Done():
					return errors.New("sleeps for ever, or the other side has failed")
				}
			},
		}
	}
	return sides
}

// play runs both sides, and tells how often they have slept and rung.
func play(t *testing.T, sides [2]*peer) {
	t.Helper()
	done := make(chan error)
	for i, p := range sides {
		go func() {
			err := p.run()
			if err != nil {
				err = fmt.Errorf("side %d: %w", i, err)
			}
			done <- err
		}()
	}
	failed := false
	for range sides {
		if err := <-done; err != nil {
			t.Error(err)
			failed = true
		}
	}
	if failed {
		return
	}
	for i, p := range sides {
		t.Logf("side %d has slept %d times and rung %d times", i, p.sleeps, p.bells)
		if other := sides[1-i]; p.bells > other.said {
			t.Errorf("side %d has rung %d times, and the other one has said %d times that it sleeps or waits", i, p.bells, other.said)
		}
	}
}

// TestRecords sends random records through small rings, both ways at once: a million without the race detector.
func TestRecords(t *testing.T) {
	for _, c := range []struct {
		capacities [2]int
		n          int // each way
	}{
		{[2]int{64, 64}, 100_000}, {[2]int{64, 4096}, 100_000}, {[2]int{128, 128}, 125_000}, {[2]int{4096, 4096}, 175_000},
	} {
		t.Run(fmt.Sprintf("%d_and_%d", c.capacities[0], c.capacities[1]), func(t *testing.T) {
			if raceDetector {
				c.n /= 4
			}
			sides := pair(t, c.capacities)
			for i, p := range sides {
				seed := uint64(i)
				p.out = newRecords(seed, c.n, p.w.Max())
				sides[1-i].in = newRecords(seed, c.n, p.w.Max())
			}
			play(t, sides)
		})
	}
}

// TestWrite sends bytes in pieces of random sizes, both ways at once.
func TestWrite(t *testing.T) {
	for _, c := range []struct{ capacity, n, longest int }{
		{64, 300_000, 100}, {128, 600_000, 40}, {1024, 4_000_000, 3000}, {4096, 20_000_000, 5000}, {1 << 16, 100_000_000, 1 << 18},
	} {
		t.Run(fmt.Sprint(c.capacity), func(t *testing.T) {
			if raceDetector {
				c.n /= 4
			}
			sides := pair(t, [2]int{c.capacity, c.capacity})
			for i, p := range sides {
				p.out = newPieces(c.n, c.longest)
				sides[1-i].in = newPieces(c.n, c.longest)
			}
			play(t, sides)
		})
	}
}
