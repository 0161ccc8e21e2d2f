//go:build linux

package connection_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// A client that asks and waits, without a loop.
func ExampleBlocking() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	go func() { // a service that knows the time
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			fmt.Fprint(conn, "NEWS text=hello\nTIME is=noon\n")
		}
	}()

	client := connection.NewBlocking(func(ctx context.Context) (io.ReadWriteCloser, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
	}, connection.BlockingConfig{
		IsReply: func(_, came *message.Message) bool { return came.Command() == "TIME" },
		Other:   func(came *message.Message) { fmt.Println("besides:", came) },
	})
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	reply, err := client.Call(ctx, message.New("WHAT_TIME"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("it is", reply.Get("is"))
	// Output:
	// besides: NEWS text=hello
	// it is noon
}
