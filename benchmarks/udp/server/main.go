// Command server is this project's server in the benchmark udp: it sends back every datagram.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/udp"
)

func main() {
	batch := flag.Bool("batch", false, "send what one callback writes with one call")
	flag.Parse()
	if err := serve(*batch); err != nil {
		log.Fatal(err)
	}
}

func serve(batch bool) error {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		return err
	}
	d, err := udp.Listen(loop, "127.0.0.1:0", connection.DatagramFunc(echo),
		udp.ListenConfig{Datagram: connection.DatagramConfig{BatchWrites: batch}})
	if err != nil {
		return err
	}
	fmt.Println("listening udp", d.Addr())
	return loop.Run(context.Background())
}

func echo(d *connection.Datagram, data []byte, from connection.Peer) error {
	_ = d.WriteTo(data, from) // what finds no room is lost, as datagrams are
	return nil
}
