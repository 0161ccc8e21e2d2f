//go:build linux

package connection_test

import (
	"bufio"
	"context"
	"fmt"
	"net"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// A message service over TCP, and a client in the same loop.
func ExampleMessages() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	service := dispatcher.New(dispatcher.Config{})
	service.HandleFunc("GREET", func(from message.Sender, m *message.Message) error {
		return from.Send(m.Reply("HELLO").Set("name", m.Get("name")))
	})
	listener, err := tcp.Listen(loop, "127.0.0.1:0", connection.Messages(service, connection.MessageConfig{}), tcp.ListenConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	replies := dispatcher.New(dispatcher.Config{})
	replies.HandleFunc("HELLO", func(_ message.Sender, m *message.Message) error {
		fmt.Println(m)
		loop.Stop(nil)
		return nil
	})
	conn, err := connection.DialMessages(loop, tcp.Dialer{Address: listener.Addr().String()}, replies, connection.MessageConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := conn.Send(message.New("GREET").Set("name", "Ada")); err != nil {
		fmt.Println(err)
	}
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// HELLO name=Ada
	// <nil>
}

// A service that answers each word, however the bytes arrive.
func ExampleSplit() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	count := 0
	words := connection.Split(bufio.ScanWords, connection.FrameFunc(func(s *connection.Stream, word []byte) error {
		count++
		fmt.Printf("%d %s\n", count, word)
		if count == 3 {
			loop.Stop(nil)
		}
		return nil
	}))
	listener, err := tcp.Listen(loop, "127.0.0.1:0", connection.Streams(words, connection.StreamConfig{}), tcp.ListenConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	for _, piece := range []string{"one tw", "o th", "ree "} {
		fmt.Fprint(conn, piece)
	}
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// 1 one
	// 2 two
	// 3 three
	// <nil>
}

// greeting is the client's side of a connection. All methods but HandleData are optional.
type greeting struct{}

func (greeting) HandleOpen(s *connection.Stream) error {
	_, err := fmt.Fprint(s, "hello")
	s.CloseWrite() // that is all
	return err
}

func (greeting) HandleData(_ *connection.Stream, data []byte) (consumed int, err error) {
	if len(data) < len("hello") {
		return 0, nil // not all yet: what isn't consumed comes again
	}
	fmt.Printf("%s\n", data)
	return len(data), nil
}

func (greeting) HandleClose(s *connection.Stream, cause error) {
	fmt.Println("closed:", cause)
	s.Loop().Stop(nil)
}

// A client, and an echo server in the same loop for it.
func ExampleDialStream() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	echo := connection.DataFunc(func(s *connection.Stream, data []byte) (int, error) { return s.Write(data) })
	listener, err := tcp.Listen(loop, "127.0.0.1:0", connection.Streams(echo, connection.StreamConfig{}), tcp.ListenConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = connection.DialStream(loop, tcp.Dialer{Address: listener.Addr().String()}, greeting{}, connection.StreamConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// hello
	// closed: <nil>
	// <nil>
}
