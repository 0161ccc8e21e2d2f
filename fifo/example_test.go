//go:build linux

package fifo_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/fifo"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// A service that takes commands from a FIFO, as from a shell: echo RELOAD > service.fifo
func ExampleListen() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "service.fifo")

	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		log.Fatal(err)
	}
	commands := message.HandlerFunc(func(_ message.Sender, m *message.Message) error {
		fmt.Println("command", m.Command())
		if m.Command() == "STOP" {
			loop.Stop(nil)
		}
		return nil
	})
	if _, err = fifo.Listen(loop, path, connection.Messages(commands, connection.MessageConfig{}), fifo.ListenConfig{}); err != nil {
		log.Fatal(err)
	}

	shell := exec.Command("sh", "-c", `echo RELOAD > "$0" && echo STOP > "$0"`, path)
	if err = shell.Start(); err != nil {
		log.Fatal(err)
	}
	if err = loop.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	_ = shell.Wait()
	// Output:
	// command RELOAD
	// command STOP
}

// A child process that is talked to by its standard input and output.
func ExampleForChild() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		log.Fatal(err)
	}
	transport, stdin, stdout, err := fifo.ForChild()
	if err != nil {
		log.Fatal(err)
	}
	child := exec.Command("tr", "a-z", "A-Z")
	child.Stdin, child.Stdout = stdin, stdout
	err = child.Start()
	stdin.Close()
	stdout.Close()
	if err != nil {
		log.Fatal(err)
	}
	stream, err := connection.NewStream(loop, transport, connection.DataFunc(func(_ *connection.Stream, data []byte) (int, error) {
		fmt.Printf("the child says %s", data)
		return len(data), nil
	}), connection.StreamConfig{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(stream, "hello")
	stream.CloseWrite() // the child ends when it has read all
	if err = loop.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	_ = child.Wait()
	// Output: the child says HELLO
}
