//go:build linux

package pressure

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

// Share is how much time was lost to stalls.
type Share struct {
	// Avg10, Avg60 and Avg300 are the share of the last 10, 60 and 300 seconds, in percent. The kernel works them
	// out every 2 s.
	Avg10, Avg60, Avg300 float64
	// Total is the time lost since the machine, or the cgroup, was started.
	Total time.Duration
}

// Stat is what a pressure file says.
type Stat struct {
	// Some is the time in which at least one task was stalled, Full that in which all that weren't idle were. For
	// the CPUs of a whole machine Full is zero.
	Some, Full Share
}

// Read returns what the kernel says of the whole machine. It may be called from any goroutine. The file of a cgroup
// is for os.ReadFile and Parse. Its errors are ErrUnsupported, ErrFormat and those of the file.
func Read(r Resource) (Stat, error) {
	text, err := os.ReadFile(r.file())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
		return Stat{}, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if err != nil {
		return Stat{}, fmt.Errorf("pressure: %w", err)
	}
	return Parse(string(text))
}

// Parse reads the text of a pressure file:
//
//	some avg10=0.00 avg60=0.13 avg300=0.05 total=71835415
//	full avg10=0.00 avg60=0.12 avg300=0.04 total=45914038
//
// One of the lines may be missing. Other lines, and other figures in them, are left out. Its error is ErrFormat.
func Parse(text string) (Stat, error) {
	var s Stat
	found := false
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		var err error
		switch fields[0] {
		case "some":
			s.Some, err = parseShare(fields[1:])
		case "full":
			s.Full, err = parseShare(fields[1:])
		default:
			continue
		}
		if err != nil {
			return Stat{}, fmt.Errorf("%w: %s", err, strconv.Quote(strings.TrimSuffix(line, "\n")))
		}
		found = true
	}
	if !found {
		return Stat{}, ErrFormat
	}
	return s, nil
}

func parseShare(fields []string) (s Share, err error) {
	var total uint64
	figures := 0
	for _, field := range fields {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "avg10":
			s.Avg10, err = parsePercent(value)
		case "avg60":
			s.Avg60, err = parsePercent(value)
		case "avg300":
			s.Avg300, err = parsePercent(value)
		case "total":
			total, err = strconv.ParseUint(value, 10, 64)
		default:
			continue
		}
		if err != nil || total > math.MaxInt64/uint64(time.Microsecond) {
			return Share{}, ErrFormat
		}
		figures++
	}
	if figures != 4 {
		return Share{}, ErrFormat
	}
	s.Total = time.Duration(total) * time.Microsecond
	return s, nil
}

func parsePercent(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0 && v <= 100) { // NaN is neither
		return 0, ErrFormat
	}
	return v, nil
}
