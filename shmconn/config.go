//go:build linux

package shmconn

import (
	"fmt"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
)

const (
	// DefaultCapacity is how many bytes a ring holds.
	DefaultCapacity = 512 << 10
	// MinCapacity is the smallest Config.Capacity.
	MinCapacity = 4 << 10
	// MaxCapacity is the largest Config.Capacity.
	MaxCapacity = 1 << 30
	// DefaultMaxCapacity is how large a ring a peer may bring.
	DefaultMaxCapacity = 64 << 20
	// DefaultMaxRecord is how long a record of a peer may be.
	DefaultMaxRecord = 16 << 20
	// MaxLarge is how many records may be under way in one direction that have memory of their own.
	MaxLarge = 4
	// MaxSpin is the longest Config.Spin.
	MaxSpin = 50 * time.Microsecond
	// DefaultTimeout is how long a handshake may take.
	DefaultTimeout = 5 * time.Second
)

// Config says what this side's end of a connection is like. The two sides needn't agree. The zero value is right for
// most.
type Config struct {
	// Capacity is how many bytes the ring to the peer holds: a power of two from MinCapacity to MaxCapacity. It is this
	// process's memory, which is made at once, on the loop: allow a millisecond for each MiB. Records longer than a
	// quarter of it get memory of their own. A listener's ring is smaller for a peer that doesn't map as much. Zero:
	// DefaultCapacity.
	Capacity int
	// MaxCapacity is how large the ring from the peer may be, which is the peer's memory. A larger one is refused with
	// ErrCapacity. Zero: DefaultMaxCapacity.
	MaxCapacity int
	// MaxRecord is how long a record from the peer may be. A peer of this package is told, and returns ErrTooLong
	// for longer ones. Zero: DefaultMaxRecord.
	MaxRecord int
	// Spin is how long to look for more when all is read, before the connection sleeps. A peer that answers within
	// that time then finds it awake, which saves both sides system calls and the time it takes to wake up. It keeps the loop, and a
	// processor, busy; while that doesn't pay, because the peer answers later or has no processor of its own, it
	// is switched off. It is for a loop that has nothing else to do, on a machine with processors to spare. Zero: never.
	// More than MaxSpin is MaxSpin.
	Spin time.Duration
}

func (c Config) withDefaults() (Config, error) {
	if c.Capacity == 0 {
		c.Capacity = DefaultCapacity
	}
	if c.MaxCapacity <= 0 {
		c.MaxCapacity = DefaultMaxCapacity
	}
	if c.MaxRecord <= 0 {
		c.MaxRecord = DefaultMaxRecord
	}
	c.Spin = min(c.Spin, MaxSpin)
	if c.Capacity < MinCapacity || ring.CheckCapacity(c.Capacity) != nil {
		return c, fmt.Errorf("%w: %d bytes", ErrCapacity, c.Capacity)
	}
	return c, nil
}
