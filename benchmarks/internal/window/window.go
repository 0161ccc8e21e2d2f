// Package window is the measured time of the generators that are written in Go.
package window

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// maxSamples is more than a second's calls; later ones count without a latency.
const maxSamples = 1 << 20

// Window is the measured time. It begins and ends with the first answer after the
// warm-up and after its length: at both the CPU time of the server and of this
// process is read. It has a lock because calls may end on several goroutines.
type Window struct {
	pid            int
	warmup, length time.Duration
	start          time.Time

	mu           sync.Mutex
	open, over   bool
	begin, end   time.Duration // since start
	server, self [2]time.Duration
	requests     int64
	total        int64
	samples      []uint32 // ns
	err          error
}

// New makes a window that reads the CPU time of pid, or of nobody if that is 0.
func New(pid int, warmup, length time.Duration) *Window {
	return &Window{pid: pid, warmup: warmup, length: length, start: time.Now(), samples: make([]uint32, 0, maxSamples)}
}

// Started says that all connections are up; the warm-up begins.
func (w *Window) Started() { w.begin = w.Now() + w.warmup }

// Now is the time since the window was made.
func (w *Window) Now() time.Duration { return time.Since(w.start) }

// Answered counts a call by when it was sent and when its reply had come. It
// reports whether to send another one.
func (w *Window) Answered(sent, now time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total++
	if w.open {
		w.requests++
		if len(w.samples) < maxSamples {
			w.samples = append(w.samples, uint32(min(now-sent, 1<<32-1)))
		}
	}
	switch {
	case w.over:
	case w.open && now >= w.end:
		w.read(1)
		w.end, w.open, w.over = now, false, true
	case !w.open && now >= w.begin:
		w.read(0)
		w.begin, w.open = w.Now(), true
		w.end = w.begin + w.length
	}
	return !w.over
}

// read reads the CPU clocks at one end.
func (w *Window) read(end int) {
	var err error
	if w.self[end], err = run.ProcessCPU(0); err != nil {
		w.err = err
	}
	if w.pid == 0 {
		return
	}
	if w.server[end], err = run.ProcessCPU(w.pid); err != nil {
		w.err = err
	}
}

// Result returns the figures after the last call.
func (w *Window) Result() (run.Result, error) {
	if w.err != nil || !w.over {
		return run.Result{}, errors.Join(errors.New("the window has not ended well"), w.err)
	}
	slices.Sort(w.samples)
	quantile := func(q float64) float64 {
		if len(w.samples) == 0 {
			return 0
		}
		return float64(w.samples[int(q*float64(len(w.samples)-1))]) / 1e3
	}
	return run.Result{
		Requests: w.requests, Total: w.total,
		BeginNS: int64(w.begin), EndNS: int64(w.end),
		ServerCPU: int64(w.server[1] - w.server[0]), LoadCPU: int64(w.self[1] - w.self[0]),
		P50: quantile(0.5), P99: quantile(0.99), Max: quantile(1),
	}, nil
}
