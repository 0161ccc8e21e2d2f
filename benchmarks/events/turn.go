package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/fifo"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

// targetTurn is what a turn beside many sources may cost, in turns beside few. It ought to be 1; differences
// of up to 10 % mean nothing.
const targetTurn = 1.1

// turn compares a turn with one event beside 10 sources with one beside 10,000.
func (o *options) turn(ctx context.Context) error {
	const turns = 200_000
	counts := []int{10, 10_000}
	costs := make([][]float64, len(counts))
	var disturbed []float64
	for round := range o.rounds {
		for i := range counts {
			n := (i + round) % len(counts)
			run.Progress("round %d of %d: a turn beside %d sources", round+1, o.rounds, counts[n])
			cost, others, err := undisturbed(func() (float64, error) { return oneTurn(ctx, counts[n], turns) })
			if err != nil {
				return err
			}
			costs[n], disturbed = append(costs[n], cost), append(disturbed, others)
		}
	}
	run.Progress("")
	few, many := run.Median(costs[0]), run.Median(costs[1])
	fmt.Printf("A turn with one event, beside sources of mixed kinds that are silent; medians of %d rounds of %d turns\n\n", o.rounds, turns)
	fmt.Println("| sources | ns of CPU time |")
	fmt.Println("|---|---|")
	for i, n := range counts {
		fmt.Printf("| %d | %.0f |\n", n, run.Median(costs[i]))
	}
	fmt.Printf("\nRatio %.2f%s.\n\n", many/few, run.Verdict(many/few, targetTurn, run.Quantile(disturbed, 1) > othersLimit))
	return nil
}

// oneTurn is the CPU time of a turn in ns.
func oneTurn(ctx context.Context, sources, turns int) (cost float64, err error) {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		return 0, err
	}
	defer loop.Close()
	if err := silent(loop, sources); err != nil {
		return 0, err
	}
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	one := binary.NativeEndian.AppendUint64(nil, 1)
	left := turns
	var cpu func() float64
	var buf [8]byte
	ping := communicator.ReadFunc(fd, func(*communicator.Handle) error {
		if _, err := unix.Read(fd, buf[:]); err != nil {
			return err
		}
		switch left--; left {
		case 0:
			cost = cpu() / float64(turns)
			loop.Stop(nil)
			return nil
		case turns - 1:
			cpu = startCPU()
		}
		_, err := unix.Write(fd, one)
		return err
	})
	if _, err := loop.Add(ping, communicator.Options{}); err != nil {
		return 0, err
	}
	if _, err := unix.Write(fd, one); err != nil {
		return 0, err
	}
	return cost, loop.Run(ctx)
}

// silent fills a loop with sources of mixed kinds that have nothing to say: eventfds, streams, timers, some of
// them urgent or disabled.
func silent(loop *communicator.Communicator, n int) error {
	nothing := connection.DataFunc(func(_ *connection.Stream, data []byte) (int, error) { return len(data), nil })
	for i := 0; i < n; {
		o := communicator.Options{Priority: i%3*10 - 10, Disabled: i%10 == 9}
		switch i % 4 {
		case 0:
			fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
			if err != nil {
				return err
			}
			if _, err := loop.Add(&event{fd}, o); err != nil {
				return err
			}
			i++
		case 1:
			a, b, err := fifo.Pair()
			if err != nil {
				return err
			}
			for _, t := range []connection.Transport{a, b} {
				if _, err := connection.NewStream(loop, t, nothing, connection.StreamConfig{IdleTimeout: time.Hour}); err != nil {
					return err
				}
			}
			i += 2
		default:
			if _, err := timer.After(loop, time.Hour, func(*timer.Timer) error { return nil }, o); err != nil {
				return err
			}
			i++
		}
	}
	return nil
}

// event is an eventfd that nobody writes to.
type event struct{ fd int }

func (e *event) FD() int                               { return e.fd }
func (e *event) HandleRead(*communicator.Handle) error { return nil }
func (e *event) Close() error                          { return unix.Close(e.fd) }
