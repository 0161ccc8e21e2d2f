//go:build linux

package shmconn_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// A service that answers messages, and a client in the same loop: as over a Unix socket, but for the package's name.
func ExampleListen() {
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
	service.HandleFunc("GREET", func(from message.Sender, m *message.Message) error {
		return from.(*connection.MessageConn).Send(message.New("HELLO").Set("name", m.Get("name")))
	})
	if _, err := shmconn.Listen(loop, path, connection.Messages(service, connection.MessageConfig{}), shmconn.ListenConfig{}); err != nil {
		fmt.Println(err)
		return
	}
	show := dispatcher.New(dispatcher.Config{})
	show.HandleFunc("HELLO", func(_ message.Sender, m *message.Message) error {
		fmt.Println(m)
		loop.Stop(nil)
		return nil
	})
	client, err := connection.DialMessages(loop, shmconn.Dialer{Path: path}, show, connection.MessageConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.Send(message.New("GREET").Set("name", "Ada")); err != nil { // waits until the connection stands
		fmt.Println(err)
		return
	}
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// HELLO name=Ada
	// <nil>
}

// greeter sends a record when its connection stands, and shows what comes back.
type greeter struct{ text string }

func (g greeter) HandleOpen(c *shmconn.RecordConn) error { return c.Send([]byte(g.text)) }

func (g greeter) HandleRecords(c *shmconn.RecordConn) error {
	for record, ok := c.Next(); ok; record, ok = c.Next() {
		fmt.Printf("%s\n", record)
	}
	c.Release()
	c.Loop().Stop(nil)
	return nil
}

// An echo of records. What the ring has no room for now comes again when it has, because the function says so by
// returning ErrFull, which it gets from Send.
func ExampleRecords() {
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
	echo := shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error { return c.Send(record) })
	if _, err := shmconn.Listen(loop, path, shmconn.Records(echo, shmconn.RecordConfig{}), shmconn.ListenConfig{}); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := shmconn.DialRecords(loop, shmconn.Dialer{Path: path}, greeter{"hello"}, shmconn.RecordConfig{}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// hello
	// <nil>
}

// counter sends numbers that it writes into the ring itself, many before the peer is woken, and as many as there is
// room for.
type counter struct{ next, end uint64 }

func (n *counter) HandleOpen(c *shmconn.RecordConn) error { return n.HandleRoom(c) }

func (n *counter) HandleRoom(c *shmconn.RecordConn) error {
	for ; n.next < n.end; n.next++ {
		room, err := c.Reserve(8)
		if errors.Is(err, shmconn.ErrFull) {
			return nil // HandleRoom is called again
		}
		if err != nil {
			return err
		}
		binary.NativeEndian.PutUint64(room, n.next)
		if err := c.Stage(8); err != nil {
			return err
		}
	}
	c.Close() // what was staged is delivered
	return nil
}

func (n *counter) HandleRecords(*shmconn.RecordConn) error { return errors.New("nothing was to come") }

// A hundred thousand numbers through a ring that holds some thousands, without a copy.
func ExampleDialRecords() {
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
	const count = 100_000
	var got, sum uint64
	add := shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error {
		sum += binary.NativeEndian.Uint64(record)
		if got++; got == count {
			c.Loop().Stop(nil)
		}
		return nil
	})
	if _, err := shmconn.Listen(loop, path, shmconn.Records(add, shmconn.RecordConfig{}), shmconn.ListenConfig{}); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := shmconn.DialRecords(loop, shmconn.Dialer{Path: path}, &counter{end: count}, shmconn.RecordConfig{}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(loop.Run(context.Background()))
	fmt.Println(got, sum)
	// Output:
	// <nil>
	// 100000 4999950000
}
