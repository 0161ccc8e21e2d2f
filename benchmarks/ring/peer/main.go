// Command peer is both ends of what the benchmark ring compares, as far as it is written in Go: package net, and this
// project over a Unix socket and over a ring in shared memory. It takes the flags of ../c/window.h, and some besides:
//
//	peer -l PATH -k KIND [-m echo|flow] [-s SIZE] [-b BATCH] [-spin DURATION] [-x N]
//	peer -c PATH -k KIND [-m echo|flow] [-s SIZE] [-d DEPTH] [-spin DURATION] [-w WARMUP_MS] [-t MS] [-P SERVER_PID]
//
// The kinds are those of the function kinds; those that begin with text send text messages of the length they have, and
// ignore -s. -d is how many of these are in flight, -b how many records are made visible together. A server ends with a
// line of JSON, in which served is the number of messages that it has sent.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// limit ends an end that waits for what never comes.
const limit = 60 * time.Second

// maxSize is the longest message.
const maxSize = 1 << 20

type options struct {
	kind   string
	path   string
	client bool
	flow   bool
	size   int // bytes in a message
	batch  int // records that become visible together; 1: each at once
	depth  int // text messages in flight
	spin   time.Duration
	spoil  uint64 // the number of the message that a server spoils, from 1; 0: none

	pid            int
	warmup, window time.Duration
}

// kind is a way of sending messages. serve serves one client until the process ends; measure is the client.
type kind struct {
	serve   func(o *options) error
	measure func(o *options, m *meter) error
}

func kinds() map[string]kind {
	all := map[string]kind{"net": {serveNet, measureNet}, "records": shm().records()}
	for name, n := range networks() {
		all["stream-"+name] = n.streams()
		all["text-"+name] = n.texts()
	}
	return all
}

func main() {
	log.SetFlags(0)
	time.AfterFunc(limit, func() { log.Fatal("it takes too long") })
	if err := peer(); err != nil {
		log.Fatal(err)
	}
}

func peer() error {
	var o options
	listen := flag.String("l", "", "be the server, at this `path`")
	dial := flag.String("c", "", "be the client of the server at this `path`")
	flag.StringVar(&o.kind, "k", "", fmt.Sprint("one of ", slices.Sorted(maps.Keys(kinds()))))
	mode := flag.String("m", "echo", "echo or flow")
	flag.IntVar(&o.size, "s", 64, "bytes in a message, a multiple of 8")
	flag.IntVar(&o.batch, "b", 1, "records that become visible together")
	flag.IntVar(&o.depth, "d", 1, "text messages in flight")
	flag.DurationVar(&o.spin, "spin", 0, "the longest that a ring's reader looks for more before it sleeps")
	flag.Uint64Var(&o.spoil, "x", 0, "the `number` of the message that a server spoils, from 1")
	flag.IntVar(&o.pid, "P", 0, "the server's process ID, whose CPU time is read; 0: none")
	warmup := flag.Int("w", 100, "`milliseconds` before the measured time")
	length := flag.Int("t", 300, "`milliseconds` that are measured")
	flag.Parse()
	o.flow, o.client, o.path = *mode == "flow", *dial != "", *listen+*dial
	o.warmup, o.window = time.Duration(*warmup)*time.Millisecond, time.Duration(*length)*time.Millisecond
	k, known := kinds()[o.kind]
	switch {
	case !known || (*listen == "") == (*dial == "") || (*mode != "flow" && *mode != "echo") || flag.NArg() > 0:
		return errors.New("usage: -l PATH or -c PATH, -k KIND, -m echo or flow, no arguments")
	case o.size < 8 || o.size > maxSize || o.size%8 != 0 || o.batch < 1 || o.depth < 1:
		return errors.New("usage: -s is a multiple of 8; -b and -d are positive")
	case !o.client:
		return k.serve(&o)
	}
	o.spoil = 0 // only servers do
	m := newMeter(&o)
	if err := k.measure(&o, m); err != nil {
		return err
	}
	r, err := m.result()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// counts is what an end has counted, by name.
type counts map[string]int64

// listening says that the server listens. When SIGTERM comes it prints what read returns, with what the process has
// allocated since this call, and ends the process. Until then it costs nothing.
func (o *options) listening(read func() (counts, error)) {
	var before, after runtime.MemStats
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	runtime.ReadMemStats(&before)
	go func() {
		<-end
		runtime.ReadMemStats(&after)
		c, err := read()
		if err == nil {
			c["mallocs"] = int64(after.Mallocs - before.Mallocs)
			err = json.NewEncoder(os.Stdout).Encode(c)
		}
		if err != nil {
			log.Fatal(err)
		}
		os.Exit(0)
	}()
	fmt.Println("listening unix", o.path)
}
