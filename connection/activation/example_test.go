//go:build linux

package activation_test

import (
	"fmt"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/activation"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// A service that takes what its manager has opened, and listens by itself when people start it.
func Example() {
	sockets, err := activation.Sockets()
	if err != nil {
		fmt.Println(err)
		return
	}
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer loop.Close()
	echo := connection.Streams(connection.DataFunc(func(s *connection.Stream, data []byte) (consumed int, err error) {
		return s.Write(data)
	}), connection.StreamConfig{})
	count := connection.DatagramFunc(func(d *connection.Datagram, data []byte, from connection.Peer) error {
		return d.WriteTo([]byte("4711"), from)
	})

	for _, s := range sockets {
		switch s.Name {
		case "commands":
			_, err = connection.ListenFD(loop, s.FD, echo, connection.ListenConfig{Name: s.Name})
		case "stats":
			_, err = connection.NewDatagram(loop, s.FD, count, connection.DatagramConfig{Name: s.Name})
		default:
			err = fmt.Errorf("nobody knows the socket %q", s.Name)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	if len(sockets) == 0 {
		if _, err := tcp.Listen(loop, "127.0.0.1:0", echo, tcp.ListenConfig{}); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("no service manager: listening by itself")
	}
	// Output: no service manager: listening by itself
}
