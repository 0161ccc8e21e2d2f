//go:build linux

package connection_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// pausesOf are the pauses after so many attempts that fail, as they are told.
func pausesOf(tb testing.TB, b connection.Backoff, count int) []time.Duration {
	tb.Helper()
	loop, _ := looptest.New(tb)
	d := &pairs{tb: tb, fail: func(int) error { return errTest }}
	l := live(tb, loop, d, nil, connection.PermanentConfig{
		Backoff: b,
		OnAttemptFailed: func(p *connection.Permanent, _ error, _ time.Duration) {
			if count--; count == 0 {
				p.Close()
			}
		},
	})
	run(tb, loop)
	return l.waited
}

// TestBackoff: each pause is twice the one before, up to Max, less the part that is left to chance.
func TestBackoff(t *testing.T) {
	const us = time.Microsecond
	for range 100 {
		b := connection.Backoff{
			First:  time.Duration(1+rand.IntN(50)) * us,
			Max:    time.Duration(1+rand.IntN(400)) * us,
			Jitter: []float64{-1, 0, 0.1, 0.5, 1, 3, rand.Float64()}[rand.IntN(7)],
		}
		jitter := min(max(b.Jitter, 0), 1)
		if b.Jitter == 0 {
			jitter = connection.DefaultJitter
		}
		full := min(b.First, b.Max)
		for i, pause := range pausesOf(t, b, 12) {
			least := time.Duration(float64(full)*(1-jitter)) - 1
			if pause < least || pause > full {
				t.Fatalf("%+v: pause %d is %v, want %v to %v", b, i+1, pause, least, full)
			}
			full = min(2*full, b.Max)
		}
	}
}

// TestBackoffDefaults: what zero and negative values stand for, and values that don't go together.
func TestBackoffDefaults(t *testing.T) {
	for _, c := range []struct {
		backoff     connection.Backoff
		least, most time.Duration // of the first pause
	}{
		{connection.Backoff{}, connection.DefaultFirstPause / 2, connection.DefaultFirstPause},
		{connection.Backoff{First: -1, Max: -1, Jitter: -1}, connection.DefaultFirstPause, connection.DefaultFirstPause},
		{connection.Backoff{Max: 10 * ms, Jitter: -1}, 10 * ms, 10 * ms},
		{connection.Backoff{First: time.Hour, Jitter: -1}, connection.DefaultMaxPause, connection.DefaultMaxPause},
		{connection.Backoff{First: time.Hour, Max: time.Minute, Jitter: 1}, 0, time.Minute},
		{connection.Backoff{First: math.MaxInt64, Max: math.MaxInt64, Jitter: -1}, math.MaxInt64, math.MaxInt64},
		{connection.Backoff{Jitter: math.NaN()}, 1, connection.DefaultMaxPause},
	} {
		for range 5 {
			if got := pausesOf(t, c.backoff, 1)[0]; got < c.least || got > c.most {
				t.Errorf("%+v: the first pause is %v, want %v to %v", c.backoff, got, c.least, c.most)
			}
		}
	}
}

// TestBackoffSpreads: clients that lose a server at the same time don't come back at the same time.
func TestBackoffSpreads(t *testing.T) {
	var all []time.Duration
	for range 50 {
		all = append(all, pausesOf(t, connection.Backoff{}, 1)[0])
	}
	slices.Sort(all)
	if different := len(slices.Compact(slices.Clone(all))); different < 40 || all[len(all)-1]-all[0] < 10*ms {
		t.Errorf("%d different pauses of %d, from %v to %v", different, len(all), all[0], all[len(all)-1])
	}
}

func TestParsePauses(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string][]time.Duration{
		"":                 {time.Minute},
		" \t ":             {time.Minute},
		"1":                {time.Second},
		"1,2.5,1m":         {time.Second, 2500 * ms, time.Minute},
		" 1 , 2s,\t3ms ":   {time.Second, 2 * time.Second, 3 * ms},
		"4us,5ns,6h,7d,1w": {4 * time.Microsecond, 5, 6 * time.Hour, 7 * day, 7 * day},
		"-3,1":             {-3 * time.Second, time.Second},
		"-0.5m":            {-30 * time.Second},
		"0":                {0},
		"-0,0":             {0, 0},
		"2.3":              {2300 * ms},
		"0.1,1.1,4.35":     {100 * ms, 1100 * ms, 4350 * ms},
		".5,1.":            {500 * ms, time.Second},
		"1e3ms":            {time.Second},
		"+1":               {time.Second},
		"0.4ns,0.6ns":      {0, 1},
	} {
		if got, err := connection.ParsePauses(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("ParsePauses(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		",", "1,", ",1", "1,,2", "x", "s", "1x", "1 s", "1S", "1min", "--1", "1,-2", "1;2", "1.2.3", "inf", "INF", "-INF", "NAN", "1e400",
		"999999999w", "1e30", "0x", "1\n,x", strings.Repeat("1,", 254) + "1",
	} {
		got, err := connection.ParsePauses(text)
		if !errors.Is(err, connection.ErrPauses) || got != nil {
			t.Errorf("ParsePauses(%.20q) = %v, %v", text, got, err)
		}
	}
	if got, err := connection.ParsePauses(strings.Repeat("1,", 253) + "1"); err != nil || len(got) != 254 {
		t.Errorf("254 pauses: %d, %v", len(got), err)
	}
	if _, err := connection.ParsePauses("1,two"); err == nil || !strings.Contains(err.Error(), `"two"`) {
		t.Errorf("the error doesn't say what is wrong: %v", err)
	}
}

// FuzzParsePauses: what is accepted can be used as it is, and read again when it is written.
func FuzzParsePauses(f *testing.F) {
	for _, seed := range []string{"", "1,2.5,1m", "-3,1ms", "7d,1w", " 1 , 2s", "1e3ms", "inf", "0x1p4", "1,-2", "1_0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pauses, err := connection.ParsePauses(text)
		if err != nil {
			if !errors.Is(err, connection.ErrPauses) || pauses != nil {
				t.Fatalf("%v, %v", pauses, err)
			}
			return
		}
		if len(pauses) == 0 || len(pauses) > 254 {
			t.Fatalf("%d pauses", len(pauses))
		}
		now := time.Now()
		var written []string
		for i, d := range pauses {
			if i > 0 && d < 0 {
				t.Fatalf("pause %d is %v", i, d)
			}
			if then := now.Add(max(d, -d)); then.Before(now) {
				t.Fatalf("pause %d, %v, ends before it begins", i, d)
			}
			written = append(written, fmt.Sprintf("%dns", d))
		}
		again, err := connection.ParsePauses(strings.Join(written, ","))
		if err != nil {
			t.Fatal(err)
		}
		for i := range pauses { // a float64 has 53 bits
			if diff := again[i] - pauses[i]; max(diff, -diff) > max(pauses[i], -pauses[i])>>50 {
				t.Fatalf("%v is %v when it was written and read", pauses[i], again[i])
			}
		}
	})
}
