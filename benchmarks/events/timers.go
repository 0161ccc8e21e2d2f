package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

// The targets for a million timers, in ns, and in bytes for each.
const (
	targetAdd    = 120
	targetCancel = 250
	targetFire   = 400
	targetBytes  = 64
)

// lead is added to the delays of those that fire, so that all have been added before the first is due.
const lead = time.Second

// costs of one timer.
type costs struct{ add, cancel, fire, bytes float64 }

// million compares timer.Set with time.AfterFunc.
func (o *options) million(ctx context.Context) error {
	kinds := []struct {
		name    string
		measure func(delays []time.Duration) (costs, error)
		all     []costs
		others  []float64
	}{
		{name: "timer.Set, After", measure: func(d []time.Duration) (costs, error) { return ours(d, 0, false) }},
		{name: "timer.Set, Start", measure: func(d []time.Duration) (costs, error) { return ours(d, 0, true) }},
		{name: "timer.Set, After, slack of 1 ms", measure: func(d []time.Duration) (costs, error) { return ours(d, time.Millisecond, false) }},
		{name: "timer.Set, After, no slack", measure: func(d []time.Duration) (costs, error) { return ours(d, -1, false) }},
		{name: "time.AfterFunc", measure: theirs},
	}
	// Those that are cancelled are a minute away, those that fire are due within one second that begins later.
	for round := range o.rounds {
		delays := make([]time.Duration, o.timers)
		for i := range delays {
			delays[i] = time.Duration(rand.Int64N(int64(time.Second)))
		}
		for i := range kinds {
			k := &kinds[(i+round)%len(kinds)]
			if err := ctx.Err(); err != nil {
				return err
			}
			run.Progress("round %d of %d: %s", round+1, o.rounds, k.name)
			c, others, err := undisturbed(func() (costs, error) { return k.measure(delays) })
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			k.all, k.others = append(k.all, c), append(k.others, others)
		}
	}
	run.Progress("")
	fmt.Printf("%d timers at once, due within one second; medians of %d rounds; ns of CPU time for each\n\n", o.timers, o.rounds)
	fmt.Println("| timers | add | cancel | fire | bytes each | others' share of the CPUs |")
	fmt.Println("|---|---|---|---|---|---|")
	for i, k := range kinds {
		others := run.Quantile(k.others, 1)
		column := func(f func(costs) float64, target float64) string {
			var values []float64
			for _, c := range k.all {
				values = append(values, f(c))
			}
			figure := run.Median(values)
			if i == len(kinds)-1 {
				target = 0
			}
			return fmt.Sprintf("%.0f%s", figure, run.Verdict(figure, target, others > othersLimit))
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %.1f %% |\n", k.name,
			column(func(c costs) float64 { return c.add }, targetAdd),
			column(func(c costs) float64 { return c.cancel }, targetCancel),
			column(func(c costs) float64 { return c.fire }, targetFire),
			column(func(c costs) float64 { return c.bytes }, targetBytes), 100*others)
	}
	fmt.Println()
	return nil
}

// ours measures timer.Set: add and cancel on the loop's goroutine, fire by running the loop. With embedded the entries
// are the program's own memory, as they are when they are fields of its sessions: they are made before, and count
// as bytes all the same.
func ours(delays []time.Duration, slack time.Duration, embedded bool) (c costs, err error) {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		return c, err
	}
	defer loop.Close()
	set, err := timer.NewSet(loop, communicator.Options{Slack: slack})
	if err != nil {
		return c, err
	}
	fired := 0
	fire := func(*timer.Entry) { fired++ }
	entries := make([]*timer.Entry, len(delays))

	before := heap()
	if embedded {
		sessions := make([]timer.Entry, len(delays))
		for i := range sessions {
			entries[i] = &sessions[i]
		}
		c.add = each(len(delays), func(i int) { set.Start(entries[i], time.Minute+delays[i], fire) })
	} else {
		c.add = each(len(delays), func(i int) { entries[i] = set.After(time.Minute+delays[i], fire) })
	}
	c.bytes = (heap() - before) / float64(len(delays))
	order := rand.Perm(len(delays))
	c.cancel = each(len(delays), func(i int) { entries[order[i]].Stop() })
	if set.Len() != 0 {
		return c, fmt.Errorf("%d timers are left", set.Len())
	}
	for i, d := range delays {
		set.Start(entries[i], lead+d, fire)
	}
	cpu := startCPU()
	if err := loop.Run(context.Background()); err != nil { // ends when the set is empty
		return c, err
	}
	c.fire = cpu() / float64(len(delays))
	if fired != len(delays) {
		return c, fmt.Errorf("%d of %d timers fired", fired, len(delays))
	}
	return c, nil
}

// theirs measures time.AfterFunc, whose functions run on goroutines of their own.
func theirs(delays []time.Duration) (c costs, err error) {
	done := make(chan struct{}, len(delays))
	fire := func() { done <- struct{}{} }
	timers := make([]*time.Timer, len(delays))
	before := heap()
	c.add = each(len(delays), func(i int) { timers[i] = time.AfterFunc(time.Minute+delays[i], fire) })
	c.bytes = (heap() - before) / float64(len(delays))
	order := rand.Perm(len(delays))
	c.cancel = each(len(delays), func(i int) { timers[order[i]].Stop() })
	clear(timers)
	for i, d := range delays {
		timers[i] = time.AfterFunc(lead+d, fire)
	}
	if early := len(done); early > 0 {
		return c, fmt.Errorf("%d timers fired while others were added: that took more than %v", early, lead)
	}
	cpu := startCPU()
	for range delays {
		<-done
	}
	c.fire = cpu() / float64(len(delays))
	return c, nil
}

// each calls f n times and returns the CPU time of one call in ns.
func each(n int, f func(i int)) float64 {
	runtime.GC()
	cpu := startCPU()
	for i := range n {
		f(i)
	}
	return cpu() / float64(n)
}

// heap is what is in use on the heap, in bytes.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
