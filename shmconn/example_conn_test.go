//go:build linux

package shmconn_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// A client that asks and waits, without a loop of its own: the service has one, on another goroutine here, and in another
// process elsewhere.
func ExampleDialer_DialConn() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "demo.ring")
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	service := dispatcher.New(dispatcher.Config{})
	service.HandleFunc("WHAT_TIME", func(from message.Sender, _ *message.Message) error {
		return from.(*connection.MessageConn).Send(message.New("TIME").Set("is", "noon"))
	})
	if _, err := shmconn.Listen(loop, path, connection.Messages(service, connection.MessageConfig{}), shmconn.ListenConfig{}); err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- loop.Run(context.Background()) }()

	client := connection.NewBlocking(func(ctx context.Context) (io.ReadWriteCloser, error) {
		return shmconn.Dialer{Path: path}.DialConn(ctx)
	}, connection.BlockingConfig{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	reply, err := client.Call(ctx, message.New("WHAT_TIME"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("it is", reply.Get("is"))
	fmt.Println(client.Close())

	loop.Stop(nil)
	fmt.Println(<-ended)
	// Output:
	// it is noon
	// <nil>
	// <nil>
}
