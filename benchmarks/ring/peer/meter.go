package main

import (
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

const (
	maxSamples = 4 << 20 // round trips with a latency; later ones only count

	// In a flow the clock is read once in so many messages: at ten million a second it would be a third of the work.
	clockEvery     = 64
	clockEverySize = 4096 // from this size on it is read for each
)

// meter is the measured time of a client, as in ../c/window.h. Unlike package window it has no lock, counts blocks of
// messages and what was allocated: ten million messages a second leave no room for more.
type meter struct {
	pid            int
	warmup, window time.Duration
	origin         time.Time

	started, open, over bool
	begin, end          time.Duration // since origin
	server, self        [2]time.Duration
	requests, total     int64
	samples             []uint32 // ns
	block, uncounted    int
	before              runtime.MemStats
	own                 counts
	err                 error
}

func newMeter(o *options) *meter {
	m := &meter{pid: o.pid, warmup: o.warmup, window: o.window, origin: time.Now(), block: clockEvery, own: counts{}}
	if o.size >= clockEverySize {
		m.block = 1
	}
	if !o.flow {
		m.samples = make([]uint32, maxSamples)
		for i := range m.samples {
			m.samples[i] = 1 // no page faults later
		}
		m.samples = m.samples[:0]
	}
	return m
}

// now is the time since the meter was made.
func (m *meter) now() time.Duration { return time.Since(m.origin) }

// answered counts a round trip by when it was sent and when its reply had come. It reports whether to go on.
func (m *meter) answered(sent, now time.Duration) bool {
	m.total++
	if m.open {
		m.requests++
		if len(m.samples) < maxSamples {
			m.samples = append(m.samples, uint32(min(now-sent, 1<<32-1)))
		}
	}
	return m.advance(now)
}

// passed counts a message of a flow. It reports whether to go on.
func (m *meter) passed() bool {
	m.uncounted++
	if m.uncounted < m.block {
		return !m.over
	}
	m.total += int64(m.uncounted)
	if m.open {
		m.requests += int64(m.uncounted)
	}
	m.uncounted = 0
	return m.advance(m.now())
}

// advance opens and closes the window.
func (m *meter) advance(now time.Duration) bool {
	switch {
	case m.over:
	case !m.started:
		m.started = true
		runtime.ReadMemStats(&m.before)
		m.begin = m.now() + m.warmup
	case m.open && now >= m.end:
		m.read(1)
		m.end, m.open, m.over = now, false, true
	case !m.open && now >= m.begin:
		m.read(0)
		m.begin, m.open = m.now(), true
		m.end = m.begin + m.window
	}
	return !m.over
}

// read reads the CPU clocks at one end.
func (m *meter) read(end int) {
	var err error
	if m.self[end], err = run.ProcessCPU(0); err != nil {
		m.err = err
	}
	if m.pid == 0 {
		return
	}
	if m.server[end], err = run.ProcessCPU(m.pid); err != nil {
		m.err = err
	}
}

// result returns the figures after the last message.
func (m *meter) result() (run.Result, error) {
	if m.err != nil || !m.over {
		return run.Result{}, errors.Join(errors.New("the window has not ended well"), m.err)
	}
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	m.own["mallocs"] = int64(after.Mallocs - m.before.Mallocs)
	slices.Sort(m.samples)
	quantile := func(q float64) float64 {
		if len(m.samples) == 0 {
			return 0
		}
		return float64(m.samples[int(q*float64(len(m.samples)-1))]) / 1e3
	}
	return run.Result{
		Requests: m.requests, Total: m.total,
		BeginNS: int64(m.begin), EndNS: int64(m.end),
		ServerCPU: int64(m.server[1] - m.server[0]), LoadCPU: int64(m.self[1] - m.self[0]),
		P50: quantile(0.5), P99: quantile(0.99), Max: quantile(1), Own: m.own,
	}, nil
}
