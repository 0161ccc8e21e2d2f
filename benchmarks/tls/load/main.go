// Command load is the generator of the benchmark tls: a closed loop in one thread with an epoll set. The
// handshakes are crypto/tls's. The records are made and read here, with the keys that crypto/tls tells, and
// sent and received with one system call each: a generator that costs more than the server would let the
// server sleep, and sleeping costs servers differently. It takes those flags of c/load.c that make sense
// here, and two besides:
//
//	load -p PORT [-c CONNS] [-s SIZE] [-d DEPTH] [-w WARMUP_MS] [-t MS] [-P SERVER_PID] [-r] [-x MICROS]
//	load -p PORT -I CONNS
//
// All that is answered at once is sent again with one write and as one record, or as few as it takes. With -r
// each request is a record of its own; DEPTH of them go to the socket together, the next ones when all are
// answered. -x makes it slower by that much for each request, to see what that does to the figures.
//
// Every byte that comes back is compared, and every byte sent has to come back; otherwise it ends with status
// 1 and no figures. One line of JSON on standard output holds the results: see package window.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/window"
)

// limit ends a generator that waits for what never comes.
const limit = 120 * time.Second

type options struct {
	port    string
	conns   int
	size    int
	depth   int
	records bool
	work    time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.port, "p", "", "the server's port")
	flag.IntVar(&o.conns, "c", 1, "connections")
	flag.IntVar(&o.size, "s", 64, "bytes in a request")
	flag.IntVar(&o.depth, "d", 1, "requests in flight on a connection")
	warmup := flag.Int("w", 200, "`milliseconds` before the measured time")
	length := flag.Int("t", 500, "`milliseconds` that are measured")
	pid := flag.Int("P", 0, "the server's process ID, whose CPU time is read; 0: none")
	flag.BoolVar(&o.records, "r", false, "a record for each request")
	work := flag.Int("x", 0, "`microseconds` of work for each request")
	idle := flag.Int("I", 0, "hold as many idle connections until standard input ends")
	flag.Parse()
	log.SetFlags(0)
	o.work = time.Duration(*work) * time.Microsecond
	time.AfterFunc(limit, func() { log.Fatal("it takes too long") })
	var err error
	switch {
	case o.port == "" || o.conns < 1 || o.size < 1 || o.depth < 1 || flag.NArg() > 0:
		err = errors.New("usage: -p PORT; -c, -s and -d are positive, no arguments")
	case *idle > 0:
		err = o.idle(*idle)
	default:
		err = o.load(window.New(*pid, time.Duration(*warmup)*time.Millisecond, time.Duration(*length)*time.Millisecond))
	}
	if err != nil {
		log.Fatal(err)
	}
}

// idle holds connections on which one request was exchanged.
func (o *options) idle(n int) error {
	if _, err := o.dialAll(n); err != nil {
		return err
	}
	fmt.Println("idle", n)
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// load loads the server until the window is over, and then waits for the last replies.
func (o *options) load(w *window.Window) error {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	conns, err := o.dialAll(o.conns)
	if err != nil {
		return err
	}
	for i, c := range conns {
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, c.fd, &event); err != nil {
			return os.NewSyscallError("epoll_ctl", err)
		}
	}
	w.Started()
	for _, c := range conns {
		if err := c.send(o.depth, w.Now()); err != nil {
			return err
		}
	}
	events := make([]unix.EpollEvent, 256)
	buf := make([]byte, bufferSize)
	for busy := len(conns); busy > 0; {
		n, err := unix.EpollWait(ep, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("epoll_wait", err)
		}
		for _, event := range events[:max(n, 0)] {
			c := conns[event.Fd]
			if err := c.event(w, buf); err != nil {
				return fmt.Errorf("connection %d: %w", event.Fd, err)
			}
			if c.over && c.read == c.queued {
				busy--
			}
		}
	}
	r, err := w.Result()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// bufferSize has room for what is left of a record and for a reading.
const bufferSize = 64<<10 + 2*maxRecord

// dialAll opens connections and exchanges one request on each.
func (o *options) dialAll(n int) ([]*client, error) {
	conns := make([]*client, n)
	buf := make([]byte, bufferSize)
	for i := range conns {
		c, err := o.dial(i)
		if err == nil {
			err = c.exchange(buf)
		}
		if err != nil {
			return nil, fmt.Errorf("connection %d: %w", i, err)
		}
		conns[i] = c
	}
	return conns, nil
}
