package compare

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// idleBase is how many connections are there already when counting begins, so
// that what a server allocates once is not charged to the connections.
const idleBase = 100

// idleCost is the growth of a server's memory, in bytes per idle connection.
type idleCost struct {
	Server       string  `json:"server"`
	Round        int     `json:"round"`
	RSS          float64 `json:"rss"`
	PrivateDirty float64 `json:"private_dirty"`
}

// idle measures three times at most: the figure varies little.
func (b *bench) idle(ctx context.Context) ([]idleCost, error) {
	var all []idleCost
	for round := range min(b.Options.Rounds, 3) {
		for i := range b.Servers {
			s := b.Servers[(i+round)%len(b.Servers)]
			c, err := b.idleOne(ctx, s)
			if err != nil {
				return nil, fmt.Errorf("%s, idle: %w", s.Name, err)
			}
			c.Round = round
			all = append(all, c)
			run.Progress("idle, round %d: %s", round+1, s.Name)
		}
	}
	run.Progress("")
	return all, nil
}

func (b *bench) idleOne(ctx context.Context, s Server) (cost idleCost, err error) {
	cost = idleCost{Server: s.Name}
	srv, err := b.start(ctx, s)
	if err != nil {
		return cost, err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	var memory [2]run.Memory
	for i, n := range []int{idleBase, b.Idle} {
		conns, err := run.OpenIdle(ctx, b.load, srv.Addrs[0], b.LoadCPU, n)
		if err != nil {
			return cost, err
		}
		defer conns.Close()
		if memory[i], err = settled(ctx, srv.PID()); err != nil {
			return cost, err
		}
	}
	n := float64(b.Idle)
	cost.RSS = float64(memory[1].RSS-memory[0].RSS) / n
	cost.PrivateDirty = float64(memory[1].PrivateDirty-memory[0].PrivateDirty) / n
	return cost, nil
}

// settled reads the memory once it is the same as a moment before.
func settled(ctx context.Context, pid int) (run.Memory, error) {
	var last run.Memory
	for range 20 {
		m, err := run.ReadMemory(pid)
		if err != nil || m == last {
			return m, err
		}
		last = m
		select {
		case <-ctx.Done():
			return m, ctx.Err()
		case <-time.After(150 * time.Millisecond):
		}
	}
	return last, nil
}
