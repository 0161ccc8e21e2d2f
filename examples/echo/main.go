//go:build linux

// Command echo sends back every byte that it gets, over TCP, UDP and Unix sockets, from one loop.
//
//	go run ./examples/echo --tcp 127.0.0.1:4040 --udp 127.0.0.1:4040 --unix /tmp/echo.sock
//
// Each flag can be repeated. It prints a line for each address once it listens, such as "listening
// tcp 127.0.0.1:4040", and ends on SIGINT or SIGTERM.
package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/spf13/pflag"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/signals"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
	"github.com/eventdispatcher-go/eventdispatcher/udp"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

func main() {
	tcps := pflag.StringArray("tcp", nil, "listen on TCP at `ADDRESS`")
	udps := pflag.StringArray("udp", nil, "listen on UDP at `ADDRESS`")
	paths := pflag.StringArray("unix", nil, "listen on a Unix stream socket at `PATH`")
	pflag.Parse()
	if len(*tcps)+len(*udps)+len(*paths) == 0 {
		*tcps = []string{"127.0.0.1:4040"}
	}
	if err := run(*tcps, *udps, *paths); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run(tcps, udps, paths []string) error {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		return err
	}
	defer loop.Close()

	var addrs []net.Addr
	streams := connection.Streams(connection.DataFunc(echo), connection.StreamConfig{})
	for _, address := range tcps {
		l, err := tcp.Listen(loop, address, streams, tcp.ListenConfig{})
		if err != nil {
			return err
		}
		addrs = append(addrs, l.Addr())
	}
	for _, path := range paths {
		l, err := unixsock.Listen(loop, path, streams, unixsock.ListenConfig{})
		if err != nil {
			return err
		}
		addrs = append(addrs, l.Addr())
	}
	for _, address := range udps {
		d, err := udp.Listen(loop, address, connection.DatagramFunc(echoDatagram), udp.ListenConfig{})
		if err != nil {
			return err
		}
		addrs = append(addrs, d.Addr())
	}
	if _, err := signals.Terminate(loop, 0, nil, communicator.Options{}); err != nil {
		return err
	}
	for _, addr := range addrs {
		fmt.Println("listening", addr.Network(), addr)
	}
	return loop.Run(context.Background())
}

func echo(s *connection.Stream, data []byte) (consumed int, err error) { return s.Write(data) }

func echoDatagram(d *connection.Datagram, data []byte, from connection.Peer) error {
	_ = d.WriteTo(data, from) // what finds no room is lost, as datagrams are
	return nil
}
