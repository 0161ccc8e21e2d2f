//go:build linux

package connection

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// The pauses that a Backoff's zero values stand for.
const (
	DefaultFirstPause = 100 * time.Millisecond
	DefaultMaxPause   = 30 * time.Second
	DefaultJitter     = 0.5
)

// Backoff says how long to pause between attempts to connect. The zero value is right for most:
// exponential, each pause twice the one before, with jitter, so that the clients of a server that was restarted don't
// come back all at once.
type Backoff struct {
	// First is the pause after the first attempt that fails, and the one after a connection that has ended.
	// Zero: DefaultFirstPause.
	First time.Duration
	// Max bounds the pauses. Zero: DefaultMaxPause.
	Max time.Duration
	// Jitter is which part of a pause is left to chance: with 0.5 it lasts between half and all of its
	// length. Zero: DefaultJitter. Negative: none.
	Jitter float64
	// Pauses are used instead, if there are any: one after the other, and the last one again and again.
	// None is shorter than 1 ms. A first one that is negative is how long to wait before the very first
	// attempt; the list begins behind it. See ParsePauses.
	Pauses []time.Duration
}

// leastPause is the shortest of a list: one of zero would be an endless storm of attempts.
const leastPause = time.Millisecond

// pause is how long to wait after a number of attempts in a row, one at least, that have failed.
func (b *Backoff) pause(failed int) time.Duration {
	if list := b.list(); len(list) > 0 {
		return max(leastPause, list[min(failed, len(list))-1])
	}
	first, longest, jitter := b.First, b.Max, b.Jitter
	setDefault(&longest, DefaultMaxPause)
	setDefault(&first, min(DefaultFirstPause, longest))
	if jitter == 0 {
		jitter = DefaultJitter
	}
	d := min(float64(longest), float64(first)*math.Exp2(float64(failed-1)))
	d *= 1 - min(max(0, jitter), 1)*rand.Float64() //nolint:gosec // nobody gains by guessing it
	if d < float64(longest) {
		return time.Duration(d)
	}
	return longest // the longest of all is no float64, and would become negative
}

// before is how long to wait before the very first attempt.
func (b *Backoff) before() time.Duration {
	if len(b.Pauses) > 0 && b.Pauses[0] < 0 {
		return -b.Pauses[0]
	}
	return 0
}

// list are the pauses between attempts.
func (b *Backoff) list() []time.Duration {
	if b.before() == 0 {
		return b.Pauses
	}
	if len(b.Pauses) == 1 {
		return []time.Duration{-b.Pauses[0]}
	}
	return b.Pauses[1:]
}

// maxPauses is how many pauses a list may have, as in the C++ library.
const maxPauses = 254

// ParsePauses reads a list of pauses as the C++ library writes it: numbers with commas between them, each
// with a unit (ns, us, ms, s, m, h, d or w) or else in seconds, such as "1,2.5,1m". Blanks around them mean
// nothing. An empty list is one minute. The errors are ErrPauses, with what is wrong.
func ParsePauses(text string) ([]time.Duration, error) {
	if strings.TrimSpace(text) == "" {
		return []time.Duration{time.Minute}, nil
	}
	fields := strings.Split(text, ",")
	if len(fields) > maxPauses {
		return nil, fmt.Errorf("%w: %d pauses, more than %d", ErrPauses, len(fields), maxPauses)
	}
	pauses := make([]time.Duration, len(fields))
	for i, field := range fields {
		d, err := parsePause(strings.TrimSpace(field))
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %q in %q", ErrPauses, field, text)
		case d < 0 && i > 0:
			return nil, fmt.Errorf("%w: %q in %q: only the first may be negative", ErrPauses, field, text)
		}
		pauses[i] = d
	}
	return pauses, nil
}

func parsePause(text string) (time.Duration, error) {
	digits := len(strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz"))
	unit := time.Second
	switch text[digits:] {
	case "", "s":
	case "ns":
		unit = time.Nanosecond
	case "us":
		unit = time.Microsecond
	case "ms":
		unit = time.Millisecond
	case "m":
		unit = time.Minute
	case "h":
		unit = time.Hour
	case "d":
		unit = 24 * time.Hour
	case "w":
		unit = 7 * 24 * time.Hour
	default:
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseFloat(text[:digits], 64)
	if err != nil {
		return 0, err
	}
	d := math.Round(n * float64(unit)) // 2.3 s are not 2.299999999 s
	if math.IsNaN(d) || math.Abs(d) > float64(math.MaxInt64/2) {
		return 0, strconv.ErrRange
	}
	return time.Duration(d), nil
}
