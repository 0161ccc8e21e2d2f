//go:build linux

package pressure_test

import (
	"errors"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection/pressure"
)

const figures = "some avg10=0.44 avg60=0.75 avg300=2.00 total=4535967602\n" +
	"full avg10=0.01 avg60=100.00 avg300=0.00 total=7\n"

func TestParse(t *testing.T) {
	some := pressure.Share{Avg10: 0.44, Avg60: 0.75, Avg300: 2, Total: 4535967602 * time.Microsecond}
	full := pressure.Share{Avg10: 0.01, Avg60: 100, Total: 7 * time.Microsecond}
	for _, tt := range []struct {
		text string
		want pressure.Stat
	}{
		{figures, pressure.Stat{Some: some, Full: full}},
		{"some avg10=0.44 avg60=0.75 avg300=2.00 total=4535967602", pressure.Stat{Some: some}}, // cpu before Linux 5.13
		{"\nfull total=7 avg10=0.01 avg20=x avg60=100.00 avg300=0.00\n", pressure.Stat{Full: full}},
		{"none avg10=x\nfull avg10=0.01 avg60=100.00 avg300=0.00 total=7\n", pressure.Stat{Full: full}},
	} {
		if got, err := pressure.Parse(tt.text); got != tt.want || err != nil {
			t.Errorf("%q: %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
	}
	for _, text := range []string{
		"", "\n", "none avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
		"some\n",
		"some avg10=0.00 avg60=0.00 avg300=0.00\n",
		"some avg10=0.00 avg60=0.00 total=0\n",
		"some avg10=NaN avg60=0.00 avg300=0.00 total=0\n",
		"some avg10=0.00 avg60=-1 avg300=0.00 total=0\n",
		"some avg10=0.00 avg60=0.00 avg300=100.01 total=0\n",
		"some avg10= avg60=0.00 avg300=0.00 total=0\n",
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=-1\n",
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=9223372036854776\n", // in nanoseconds too much
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10\n",
	} {
		if got, err := pressure.Parse(text); !errors.Is(err, pressure.ErrFormat) || got != (pressure.Stat{}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(figures)
	f.Add("full total=7 avg10=1e1 avg60=0x1p-2 avg300=.5\nsome")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := pressure.Parse(text)
		if err != nil {
			if !errors.Is(err, pressure.ErrFormat) || s != (pressure.Stat{}) {
				t.Errorf("%q: %+v, %v", text, s, err)
			}
			return
		}
		for _, share := range []pressure.Share{s.Some, s.Full} {
			for _, v := range []float64{share.Avg10, share.Avg60, share.Avg300} {
				if !(v >= 0 && v <= 100) {
					t.Errorf("%q: %v percent", text, v)
				}
			}
			if share.Total < 0 {
				t.Errorf("%q: %v in all", text, share.Total)
			}
		}
	})
}

// TestRead asks the kernel. Its total never shrinks.
func TestRead(t *testing.T) {
	for _, r := range []pressure.Resource{pressure.Memory, pressure.CPU, pressure.IO} {
		first, err := pressure.Read(r)
		if errors.Is(err, pressure.ErrUnsupported) {
			t.Skip(err)
		}
		then, err2 := pressure.Read(r)
		if err != nil || err2 != nil || then.Some.Total < first.Some.Total || first.Some.Total < first.Full.Total {
			t.Errorf("%v: %+v, %v, then %+v, %v", r, first, err, then, err2)
		}
	}
	if _, err := pressure.Read(pressure.Resource(7)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("an unknown resource: %v", err)
	}
}
