// Command load is the two generators of the benchmark storm.
//
//	load --port PORT --storm CLIENTS [--warmup 300ms]
//
// connects, shakes hands, exchanges 64 bytes and closes, with as many clients at the same time, as fast as the
// server and its CPU allow. It runs under SCHED_IDLE (sched(7)), so that it never makes others on its CPU wait.
// After the warm-up it prints "storming"; when standard input ends, or a minute or 200,000 connections are
// over, it prints the connections it has made since and the nanoseconds that took, as JSON.
//
//	load --port PORT --steady CONNS [--interval 5ms] [--warmup 300ms] [--window 2s]
//
// has one request of 64 bytes in flight on each connection every interval, and prints the latencies as JSON.
//
// Every reply is compared; a wrong one, or any error, ends it with status 1 and no figures.
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/secure"
)

const (
	size     = 64
	patience = 10 * time.Second // for one connection, or one reply

	maxTime        = time.Minute
	maxConnections = 200_000
)

var config = secure.Client()

type options struct {
	address          string
	interval         time.Duration
	warmup, window   time.Duration
	storming, steady int
}

func main() {
	var o options
	port := flag.String("port", "", "the server's port")
	flag.IntVar(&o.storming, "storm", 0, "clients that connect again and again")
	flag.IntVar(&o.steady, "steady", 0, "connections that stay")
	flag.DurationVar(&o.interval, "interval", 5*time.Millisecond, "time between the requests of a connection that stays")
	flag.DurationVar(&o.warmup, "warmup", 300*time.Millisecond, "time before the measured time")
	flag.DurationVar(&o.window, "window", 2*time.Second, "measured time")
	flag.Parse()
	log.SetFlags(0)
	o.address = net.JoinHostPort("127.0.0.1", *port)
	var err error
	switch {
	case *port == "" || o.interval <= 0 || o.window <= 0 || o.window > maxTime || flag.NArg() > 0 || (o.storming > 0) == (o.steady > 0):
		err = errors.New("usage: --port PORT and one of --storm N and --steady N, --window at most a minute, no arguments")
	case o.storming > 0:
		err = o.storm()
	default:
		err = o.stay()
	}
	if err != nil {
		log.Fatal(err)
	}
}

func dial(address string) (*tls.Conn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := tls.Client(conn, config)
	_ = c.SetDeadline(time.Now().Add(patience))
	return c, c.Handshake()
}

// exchange makes one request with the given content.
func exchange(c *tls.Conn, fill byte) error {
	var request, reply [size]byte
	copy(request[:], bytes.Repeat([]byte{fill}, size))
	if _, err := c.Write(request[:]); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, reply[:]); err != nil {
		return err
	}
	if reply != request {
		return errors.New("wrong bytes")
	}
	return nil
}

func (o *options) storm() error {
	if err := yieldCPU(); err != nil {
		return err
	}
	var made, ended atomic.Int64
	failed := make(chan error, o.storming)
	for range o.storming {
		go func() {
			for ended.Load() == 0 {
				c, err := dial(o.address)
				if err == nil {
					err = exchange(c, byte(made.Load()))
				}
				if err != nil {
					failed <- err
					return
				}
				_ = c.Close()
				if made.Add(1) >= maxConnections {
					break
				}
			}
			failed <- nil
		}()
	}
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	var begin time.Time
	var first int64
	warm, limit := time.After(o.warmup), time.After(maxTime)
	for left := o.storming; left > 0; {
		select {
		case err := <-failed:
			if err != nil {
				return err
			}
			left--
			continue
		case <-warm:
			begin, first = time.Now(), made.Load()
			fmt.Println("storming")
			continue
		case <-over:
		case <-limit:
		}
		if ended.Swap(1) == 0 {
			return json.NewEncoder(os.Stdout).Encode(run.Result{Requests: made.Load() - first, EndNS: int64(time.Since(begin))})
		}
	}
	return errors.New("too many connections")
}

// yieldCPU puts all threads of this process under SCHED_IDLE; those that come later inherit it.
func yieldCPU() error {
	for done, before := map[string]bool{}, -1; len(done) > before; {
		before = len(done)
		tasks, err := filepath.Glob("/proc/self/task/*")
		if err != nil {
			return err
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(filepath.Base(task))
			if err != nil {
				return err
			}
			const schedIdle = 5 // SCHED_IDLE of the kernel's sched.h
			attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: schedIdle}
			if err := unix.SchedSetAttr(tid, &attr, 0); err != nil {
				return os.NewSyscallError("sched_setattr", err)
			}
			done[task] = true
		}
	}
	return nil
}

// stay makes requests on connections that stay.
func (o *options) stay() error {
	conns := make([]*tls.Conn, o.steady)
	for i := range conns {
		c, err := dial(o.address)
		if err == nil {
			err = exchange(c, 0)
		}
		if err != nil {
			return err
		}
		conns[i] = c
	}
	begin := time.Now()
	type outcome struct {
		late []float64
		err  error
	}
	outcomes := make(chan outcome, len(conns))
	for i, c := range conns {
		offset := o.interval * time.Duration(i) / time.Duration(len(conns))
		go func() {
			late, err := o.steadily(c, begin.Add(offset))
			outcomes <- outcome{late, err}
		}()
	}
	var all []float64
	for range conns {
		out := <-outcomes
		if out.err != nil {
			return out.err
		}
		all = append(all, out.late...)
	}
	return json.NewEncoder(os.Stdout).Encode(run.Result{
		Requests: int64(len(all)), EndNS: int64(o.window),
		P50: run.Quantile(all, 0.5), P99: run.Quantile(all, 0.99), Max: run.Quantile(all, 1),
	})
}

// steadily makes the requests of a connection, and returns their latencies in microseconds. A request that is
// late because the reply before it was late counts from when it was due, or a server would be asked less the
// slower it is.
func (o *options) steadily(c *tls.Conn, begin time.Time) (latencies []float64, err error) {
	end := begin.Add(o.warmup + o.window)
	measured := begin.Add(o.warmup)
	replied := begin
	for due, n := begin, 0; due.Before(end); due, n = due.Add(o.interval), n+1 {
		from := due
		if replied.Before(due) || n == 0 {
			time.Sleep(time.Until(due))
			from = time.Now()
		}
		_ = c.SetDeadline(from.Add(patience))
		if err := exchange(c, byte(n)); err != nil {
			return nil, err
		}
		replied = time.Now()
		if !due.Before(measured) {
			latencies = append(latencies, float64(replied.Sub(from))/1e3)
		}
	}
	return latencies, nil
}
