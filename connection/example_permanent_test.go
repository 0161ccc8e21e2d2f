//go:build linux

package connection_test

import (
	"context"
	"fmt"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// A client that keeps its connection. Here the server ends each one after a message, and the client comes
// back until all its messages are delivered.
func ExamplePermanent() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := message.HandlerFunc(func(from message.Sender, m *message.Message) error {
		fmt.Println("server:", m)
		from.(*connection.MessageConn).Close()
		return nil
	})
	listener, err := tcp.Listen(loop, "127.0.0.1:0", connection.Messages(server, connection.MessageConfig{}), tcp.ListenConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	nothing := message.HandlerFunc(func(message.Sender, *message.Message) error { return nil })
	client, err := connection.NewPermanent(loop, tcp.Dialer{Address: listener.Addr().String()}, nothing, connection.PermanentConfig{
		Backoff: connection.Backoff{First: time.Millisecond},
		OnDown: func(p *connection.Permanent, _ error) {
			if p.Connections() == 1 {
				if err := p.Send(message.New("SECOND")); err != nil { // it waits for the next connection
					fmt.Println(err)
				}
				return
			}
			loop.Shutdown(time.Second)
		},
		Closed: func(_ *connection.Permanent, cause error) { fmt.Println("client closed:", cause) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.Send(message.New("FIRST")); err != nil { // it waits for the first one
		fmt.Println(err)
	}
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// server: FIRST
	// server: SECOND
	// client closed: <nil>
	// <nil>
}
