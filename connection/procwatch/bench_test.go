//go:build linux

package procwatch_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

// now is the kernel's monotonic clock, which processes have in common.
func now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

// stamp is a child that writes the time at which it exits, when its standard input ends.
func stamp() error {
	if _, err := os.Stdout.Write([]byte{'\n'}); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	text := fmt.Appendf(nil, "%d", now())
	_, err := unix.Write(1, text)
	unix.Exit(0)
	return err
}

// BenchmarkExit is the time from a child's exit to the callback, and for comparison to the return of Process.Wait in
// a goroutine. The child takes its time right before it exits, so what the kernel does to end it is part of the
// figure: "p50-µs" and "p99-µs".
func BenchmarkExit(b *testing.B) {
	b.Run("callback", func(b *testing.B) {
		loop, err := communicator.New(communicator.Config{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := timer.After(loop, time.Hour, func(*timer.Timer) error { return nil }, communicator.Options{}); err != nil {
			b.Fatal(err)
		}
		done, stop := make(chan error), make(chan int64)
		go func() { done <- loop.Run(context.Background()) }()
		defer func() {
			loop.Stop(nil)
			if err := <-done; err != nil {
				b.Error(err)
			}
		}()
		benchmarkExit(b, func(p *os.Process) <-chan int64 {
			err := loop.Do(context.Background(), func() error {
				_, err := procwatch.Child(loop, p, func(*procwatch.Watch, procwatch.Event) error {
					ended := now()
					stop <- ended
					return nil
				}, procwatch.Options{})
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			return stop
		})
	})
	b.Run("wait", func(b *testing.B) {
		stop := make(chan int64)
		benchmarkExit(b, func(p *os.Process) <-chan int64 {
			go func() {
				_, err := p.Wait()
				ended := now()
				if err != nil {
					b.Error(err)
				}
				stop <- ended
			}()
			return stop
		})
	})
}

func benchmarkExit(b *testing.B, watch func(*os.Process) <-chan int64) {
	var took []float64
	for b.Loop() {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), roleVariable+"=stamp", "GOMAXPROCS=1")
		in, err := c.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		r, w, err := os.Pipe()
		if err != nil {
			b.Fatal(err)
		}
		c.Stdout = w
		if err := c.Start(); err != nil {
			b.Fatal(err)
		}
		_ = w.Close()
		if _, err := r.Read(make([]byte, 1)); err != nil { // it runs
			b.Fatal(err)
		}
		stop := watch(c.Process)
		_ = in.Close()
		ended := <-stop
		text, err := io.ReadAll(r)
		if err != nil {
			b.Fatal(err)
		}
		_ = r.Close()
		began, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, float64(ended-began)/1e3)
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2], "p50-µs")
	b.ReportMetric(took[len(took)*99/100], "p99-µs")
}
