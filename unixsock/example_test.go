//go:build linux

package unixsock_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// A service that greets by line, and a client in the same loop.
func ExampleListen() {
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
	greet := connection.Split(bufio.ScanLines, connection.FrameFunc(func(s *connection.Stream, line []byte) error {
		_, err := fmt.Fprintf(s, "hello %s\n", line)
		return err
	}))
	if _, err := unixsock.Listen(loop, path, connection.Streams(greet, connection.StreamConfig{}), unixsock.ListenConfig{}); err != nil {
		fmt.Println(err)
		return
	}
	show := connection.Split(bufio.ScanLines, connection.FrameFunc(func(s *connection.Stream, line []byte) error {
		fmt.Printf("%s\n", line)
		loop.Stop(nil)
		return nil
	}))
	client, err := connection.DialStream(loop, unixsock.Dialer{Path: path}, show, connection.StreamConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprintln(client, "Ada") // waits until the connection stands
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// hello Ada
	// <nil>
}
