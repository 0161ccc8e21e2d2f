//go:build linux

package unixsock_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// A service for one user only, which tells each client who it is.
func ExamplePeerCredentials() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "demo.sock")
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	who := dispatcher.New(dispatcher.Config{})
	who.HandleFunc("WHO", func(from message.Sender, _ *message.Message) error {
		conn := from.(*connection.MessageConn)
		peer, err := unixsock.PeerCredentials(conn.Stream().Transport())
		if err != nil {
			return err
		}
		return conn.Send(message.New("YOU").Set("self", fmt.Sprint(peer.PID == os.Getpid())))
	})
	_, err = unixsock.Listen(loop, path, connection.Messages(who, connection.MessageConfig{}), unixsock.ListenConfig{
		Filter: &unixsock.Filter{Accept: func(c unixsock.Credentials) bool { return c.UID == os.Geteuid() }},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	show := dispatcher.New(dispatcher.Config{})
	show.HandleFunc("YOU", func(_ message.Sender, m *message.Message) error {
		fmt.Println(m)
		loop.Stop(nil)
		return nil
	})
	client, err := connection.DialMessages(loop, unixsock.Dialer{Path: path}, show, connection.MessageConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.Send(message.New("WHO")); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// YOU self=true
	// <nil>
}

// A logger that is handed the file to write to, by a client that may open it where the logger may
// not.
func ExampleSend() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path, log := filepath.Join(dir, "demo.sock"), filepath.Join(dir, "log")
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	logger := dispatcher.New(dispatcher.Config{})
	logger.HandleFunc("LOG", func(from message.Sender, m *message.Message) error {
		conn := from.(*connection.MessageConn)
		for _, file := range unixsock.Descriptors(conn.Stream()) {
			if _, err := fmt.Fprintln(file, m.Get("text")); err != nil {
				return err
			}
			if err := file.Close(); err != nil {
				return err
			}
		}
		loop.Stop(nil)
		return nil
	})
	_, err = unixsock.Listen(loop, path, connection.Messages(logger, connection.MessageConfig{}), unixsock.ListenConfig{Descriptors: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := os.Create(log)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	_, err = connection.DialMessages(loop, unixsock.Dialer{Path: path, Descriptors: 1}, logger, connection.MessageConfig{
		Opened: func(c *connection.MessageConn) error {
			return unixsock.Send(c, message.New("LOG").Set("text", "hello"), file)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(loop.Run(context.Background()))
	text, err := os.ReadFile(log)
	fmt.Printf("%s%v\n", text, err)
	// Output:
	// <nil>
	// hello
	// <nil>
}
