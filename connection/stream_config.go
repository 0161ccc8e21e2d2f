//go:build linux

package connection

import (
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
)

// The limits that a StreamConfig's zero values stand for.
const (
	DefaultMaxInput     = 1 << 20
	DefaultHighWater    = 256 << 10
	DefaultMaxOutput    = 16 << 20
	DefaultCloseTimeout = 5 * time.Second
)

// StreamConfig says how a stream behaves. The zero value is right for most.
type StreamConfig struct {
	// Name is for people. Empty: the network and the peer's address.
	Name string
	// Priority in the loop; smaller is served first.
	Priority int
	// MaxInput is how many bytes a handler may leave unconsumed while the stream reads; with more
	// the stream closes with ErrInputLimit. Zero: DefaultMaxInput, 1 MiB.
	MaxInput int
	// HighWater is how many bytes of output may wait before the stream stops reading from its peer;
	// it goes on when half of them have gone. Zero: DefaultHighWater, 256 KiB. More than half of
	// MaxOutput is taken for that half.
	HighWater int
	// MaxOutput is how many bytes of output may wait at all; with more the stream closes with
	// ErrOutputLimit. Zero: DefaultMaxOutput, 16 MiB. Less than twice communicator.BufferSize is less
	// than back-pressure needs for a handler that answers as much as it reads.
	MaxOutput int
	// CloseTimeout is how long Close may take to write what waits, and to wait for the peer's end.
	// Zero: DefaultCloseTimeout, 5 s.
	CloseTimeout time.Duration
	// IdleTimeout is how long nothing may come from the peer and nothing go to it before the stream
	// closes with ErrIdleTimeout. While the stream is paused, and no output waits, the time stands still; not so while
	// its Handle is disabled. Zero: for ever.
	IdleTimeout time.Duration
	// ReadTimeout is how long what the handler has left unconsumed may wait for the rest of its line
	// or frame before the stream closes with ErrReadTimeout: a peer that sends a byte now and then
	// is never idle. While the stream does not read, the time stands still. Zero: for ever.
	ReadTimeout time.Duration
	// ReadRate and WriteRate are how many bytes a second are read from the peer and written to it, on
	// average; a tenth of it may come at once. The loop sleeps in between, and what waits in the
	// kernel slows the peer down. Zero: as many as there are.
	ReadRate, WriteRate int
}

// limited tells whether a stream needs limits.
func (c *StreamConfig) limited() bool {
	return c.IdleTimeout > 0 || c.ReadTimeout > 0 || c.ReadRate > 0 || c.WriteRate > 0
}

// streamConfig is a StreamConfig as the streams of one Serve share it.
type streamConfig struct {
	StreamConfig
	failures logger.Limited
}

func (c StreamConfig) withDefaults() *streamConfig {
	setDefault(&c.MaxInput, DefaultMaxInput)
	setDefault(&c.HighWater, DefaultHighWater)
	setDefault(&c.MaxOutput, DefaultMaxOutput)
	setDefault(&c.CloseTimeout, DefaultCloseTimeout)
	c.HighWater = min(c.HighWater, c.MaxOutput/2)
	return &streamConfig{StreamConfig: c}
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}
