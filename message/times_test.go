package message_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

func TestSetTime(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	for _, tt := range []struct {
		when time.Time
		want string
	}{
		{time.Unix(0, 0), "0"},
		{time.Unix(0, 1), "0.000000001"},
		{time.Unix(0, -1), "-1.999999999"},
		{time.Unix(1, 500_000_000), "1.5"},
		{time.Unix(-2, 500_000_000), "-2.5"},
		{time.Unix(-1, 500_000_000), "-1.5"},
		{time.Unix(-1, 0), "-1"},
		{time.Unix(-1, 1), "-1.000000001"},
		{time.Unix(-1, 999_999_999), "-1.999999999"},
		{time.Unix(1795218395, 13_200_000), "1795218395.0132"},
		{time.Date(1970, 1, 1, 1, 0, 1, 0, berlin), "1"}, // in UTC
		{time.Time{}, "-62135596800"},
		{time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), "253402300799.999999999"},
		{time.Unix(math.MaxInt64-62135596800, 999_999_999), "9223371974719179007.999999999"},
		{time.Unix(-math.MaxInt64, 0), "-9223372036854775807"},
	} {
		m := message.New("CMD").SetTime("v", tt.when)
		if got := m.Get("v"); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.when, got, tt.want)
		}
		if back, err := m.GetTime("v"); err != nil || !back.Equal(tt.when) {
			t.Errorf("%v came back as %v, %v", tt.when, back, err)
		}
	}
	if back, err := message.New("CMD").SetTime("v", time.Time{}).GetTime("v"); err != nil || !back.IsZero() {
		t.Errorf("the zero time came back as %v, %v", back, err)
	}
}

// seconds are what GetTime and GetDuration read, beyond what is written.
var seconds = map[string]time.Duration{
	"0": 0, "-0": 0, "+0": 0, "0.0": 0, "-0.0": 0, "00": 0, "1.": time.Second, "-1.s": -time.Second, "007": 7 * time.Second,
	"+1.5": 1500 * time.Millisecond, "-1.5": -500 * time.Millisecond, "-2.5": -1500 * time.Millisecond, "0.25s": 250 * time.Millisecond,
	" \t\n\v\f\r1.5 \t\n\v\f\r": 1500 * time.Millisecond, " 2s ": 2 * time.Second,
	"0.000000001": 1, "-1.999999999": -1, "0.0000000019": 1, "-1.9999999999": -1, "-0.0000000009": 0, "0.0000000009": 0, "1.00000000000000000000": time.Second,
}

var noSeconds = []string{
	"", " ", "s", "-", "+", "-s", ".", ".5", "-.5", "1..5", "1.5.5", "1,5", "1e3", "0x10", "1ss", "1m", "1.5ms", "1 .5", "1. 5", "1 5",
	"--1", "+-1", "- 1", "1.-5", "1.+5", "abc", "inf", "nan", "1\x00", "1_0", "1\u00a0", "１",
	"9223372036854775808", "-9223372036854775809", "-0.5", "-0.000000001", "12345678901234567890", "99999999999999999999999",
}

func TestGetTime(t *testing.T) {
	for value, want := range seconds {
		got, err := message.New("CMD").Set("v", value).GetTime("v")
		if err != nil || !got.Equal(time.Unix(0, int64(want))) {
			t.Errorf("%q: got %v, %v, want %v", value, got.UTC(), err, want)
		}
	}
	for _, value := range noSeconds {
		_, err := message.New("CMD").Set("v", value).GetTime("v")
		wantBad(t, value, err)
	}
}

func TestDurations(t *testing.T) {
	for value, want := range seconds {
		if got, err := message.New("CMD").Set("v", value).GetDuration("v"); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", value, got, err, want)
		}
	}
	tooLong := []string{
		"9223372036.854775808", "-9223372037.145224191", "9223372037", "-9223372037", "9223372036.9", "-9223372037.1", "-9223372038.9",
		"18446744073", "18446744074", "18446744073.709551616", "36893488147419", "9223372036854775807", "-9223372036854775807",
	}
	for _, value := range append(tooLong, noSeconds...) {
		_, err := message.New("CMD").Set("v", value).GetDuration("v")
		wantBad(t, value, err)
	}
	for value, want := range map[time.Duration]string{
		0: "0", 1: "0.000000001", -1: "-1.999999999", 250 * time.Millisecond: "0.25", -1500 * time.Millisecond: "-2.5", -500 * time.Millisecond: "-1.5",
		time.Hour: "3600", math.MaxInt64: "9223372036.854775807", math.MinInt64: "-9223372037.145224192",
	} {
		m := message.New("CMD").SetDuration("v", value)
		if got := m.Get("v"); got != want {
			t.Errorf("%v: got %s, want %s", value, got, want)
		}
		if back, err := m.GetDuration("v"); err != nil || back != value {
			t.Errorf("%v came back as %v, %v", value, back, err)
		}
	}
}

func TestTimesAndDurationsComeBack(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		// Seconds of any length, of either sign.
		sec := int64(random.Uint64()>>2) >> random.IntN(62)
		if random.IntN(2) == 0 {
			sec = -sec
		}
		nsec := int64(random.IntN(1e9))
		if random.IntN(2) == 0 {
			nsec -= nsec % 1e6
		}
		when := time.Unix(sec, nsec)
		d := time.Duration(int64(random.Uint64()) >> random.IntN(64))

		back, err := message.Parse(message.New("CMD").SetTime("t", when).SetDuration("d", d).String())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := back.GetTime("t"); err != nil || !got.Equal(when) {
			t.Errorf("%v: %d.%09d came back as %v, %v", back, sec, nsec, got, err)
		}
		if got, err := back.GetDuration("d"); err != nil || got != d {
			t.Errorf("%v: %d ns came back as %v, %v", back, d, got, err)
		}
	}
}

func TestSmallestTime(t *testing.T) {
	first := time.Unix(math.MinInt64, 0)
	if got, err := message.New("CMD").SetTime("t", first).GetTime("t"); err != nil || got != first {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestTooFarAway: what a time.Time can't hold does not become another time.
func TestTooFarAway(t *testing.T) {
	for _, value := range []string{"9223372036854775807", "9223372036854775807.5", "9223371974719179008"} {
		_, err := message.New("CMD").Set("v", value).GetTime("v")
		wantBad(t, value, err)
	}
	for _, value := range []string{"-9223372036854775808", "-9223372036854775808.5", "9223371974719179007.999999999"} {
		got, err := message.New("CMD").Set("v", value).GetTime("v")
		if err != nil || got.Before(time.Unix(0, 0)) != (value[0] == '-') {
			t.Errorf("%s: got %v, %v", value, got, err)
		}
	}
}
