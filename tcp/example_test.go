//go:build linux

package tcp_test

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// An echo server, and a client that talks to it.
func ExampleListen() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	echo := connection.DataFunc(func(s *connection.Stream, data []byte) (consumed int, err error) {
		return s.Write(data)
	})
	listener, err := tcp.Listen(loop, "127.0.0.1:0", connection.Streams(echo, connection.StreamConfig{}), tcp.ListenConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { // any TCP client would do
		defer loop.Stop(nil)
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			fmt.Println(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "hello")
		reply := make([]byte, 5)
		_, err = io.ReadFull(conn, reply)
		fmt.Println(string(reply), err)
	}()
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// hello <nil>
	// <nil>
}
