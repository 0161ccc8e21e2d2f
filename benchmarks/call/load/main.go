// Command load is the generator of the benchmark call: a closed loop, so each
// connection has one call in flight, over a Unix stream socket, in the text
// language, with net/rpc or with gRPC. Every call has an id of its own, every
// reply is compared with what has to come, and every call that was sent has to be
// answered; otherwise it ends with status 1 and no figures.
//
// One line of JSON on standard output holds the results: see package window.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/store"
	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/window"
)

// What all calls have in common.
const (
	city  = "Berlin"
	lang  = "de"
	limit = "10"

	firstID = 100000 // so that all ids have the same length, and differ
)

type options struct {
	protocol string
	path     string
	pid      int
	conns    int
	idle     int
	warmup   time.Duration
	window   time.Duration
	spin     bool
}

func main() {
	var o options
	flag.StringVar(&o.protocol, "protocol", "text", "text, gob or grpc")
	flag.StringVar(&o.path, "path", "", "the server's Unix stream socket")
	flag.IntVar(&o.pid, "pid", 0, "the server's process ID, whose CPU time is read; 0: none")
	flag.IntVar(&o.conns, "conns", 1, "connections with a call in flight each")
	flag.IntVar(&o.idle, "idle", 0, "connections beside them that make one call and are silent then; text only")
	flag.DurationVar(&o.warmup, "warmup", 200*time.Millisecond, "time before the measured time")
	flag.DurationVar(&o.window, "window", 500*time.Millisecond, "measured time")
	flag.BoolVar(&o.spin, "spin", false, "never sleep, so that the server has no sleeping CPU to wake; text only")
	flag.Parse()
	log.SetFlags(0)
	if err := generate(o); err != nil {
		log.Fatal(err)
	}
}

func generate(o options) error {
	if o.path == "" || o.conns < 1 || o.idle < 0 || flag.NArg() > 0 {
		return errors.New("usage: --path PATH; --conns is positive, no arguments")
	}
	w := window.New(o.pid, o.warmup, o.window)
	var err error
	switch {
	case o.protocol == "text":
		err = text(w, o.path, o.conns, o.idle, o.spin)
	case o.idle > 0 || o.spin:
		err = errors.New("--idle and --spin are for --protocol text")
	case o.protocol == "gob":
		err = closedLoop(w, o.conns, func() (caller, error) { return dialGob(o.path) })
	case o.protocol == "grpc":
		err = closedLoop(w, o.conns, func() (caller, error) { return dialGRPC(o.path) })
	default:
		err = fmt.Errorf("--protocol %s: want text, gob or grpc", o.protocol)
	}
	if err != nil {
		return err
	}
	r, err := w.Result()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// session returns what tells connection i from the others.
func session(i int) string {
	const golden = 2654435761 // Knuth's multiplier: numbers in a row become far apart
	return fmt.Sprintf("%06x", uint32(i*golden)&0xffffff)
}

// expected is the right reply to a query.
func expected(q *store.Query) store.User {
	return store.User{City: q.City, Email: store.Email, ID: q.ID, Name: store.Name, Session: q.Session}
}
