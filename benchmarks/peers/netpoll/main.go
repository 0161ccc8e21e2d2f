// Command netpoll is an echo server on github.com/cloudwego/netpoll with one
// poller, as the other servers of the benchmarks have one loop. The handler runs
// where that library runs it, in its goroutine pool, and WriteBinary copies or
// not as that library finds best.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/cloudwego/netpoll"
)

func main() {
	if err := netpoll.Configure(netpoll.Config{PollerNum: 1}); err != nil {
		log.Fatal(err)
	}
	ln, err := netpoll.CreateListener("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	loop, err := netpoll.NewEventLoop(echo)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening tcp", ln.Addr())
	log.Fatal(loop.Serve(ln))
}

func echo(_ context.Context, c netpoll.Connection) error {
	r, w := c.Reader(), c.Writer()
	data, err := r.Next(r.Len())
	if err != nil {
		return err
	}
	// The bytes stay valid until Release, and Flush has sent them by then.
	if _, err := w.WriteBinary(data); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return r.Release()
}
