//go:build linux

// Command client keeps talking to examples/service, while that is stopped and started again:
//
//	go run ./examples/service --tcp 127.0.0.1:4040
//	go run ./examples/client --tcp 127.0.0.1:4040
//
// It sends a PING with a number at each interval, and prints a line for each answer, for each
// connection that comes up or goes down, and for each PING that was not delivered. What falls due while the
// service is away waits for it, two seconds at most. SIGINT and SIGTERM end the client, and so does --count.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/signals"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// validity is how long a PING waits for a service that is away.
const validity = 2 * time.Second

func main() {
	address := pflag.String("tcp", "127.0.0.1:4040", "the service's `ADDRESS`")
	path := pflag.String("unix", "", "the service's Unix socket, `PATH`, instead")
	every := pflag.Duration("every", time.Second, "the time between two PINGs")
	count := pflag.Int("count", 0, "end after so many answers; 0 is never")
	pflag.Parse()
	var dialer connection.Dialer = tcp.Dialer{Address: *address}
	if *path != "" {
		dialer = unixsock.Dialer{Path: *path}
	}
	if err := run(dialer, *every, *count); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func run(dialer connection.Dialer, every time.Duration, count int) error {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		return err
	}
	defer loop.Close()

	answers := 0
	pong := func(_ message.Sender, m *message.Message) error {
		fmt.Println(m)
		if answers++; answers == count {
			loop.Shutdown(6 * time.Second)
		}
		return nil
	}
	service, err := connection.NewPermanent(loop, dialer, message.HandlerFunc(pong), connection.PermanentConfig{
		Validity:     validity,
		Acknowledges: func(came, sent *message.Message) bool { return came.Get("number") == sent.Get("number") },
		OnUp: func(*connection.Permanent) error {
			fmt.Println("up")
			return nil
		},
		OnDown: func(_ *connection.Permanent, cause error) {
			if cause == nil {
				fmt.Println("down")
			} else {
				fmt.Println("down:", cause)
			}
		},
		OnAttemptFailed: func(_ *connection.Permanent, err error, pause time.Duration) {
			fmt.Printf("no connection, next attempt in %v: %v\n", pause.Round(time.Millisecond), err)
		},
		Undelivered: func(_ *connection.Permanent, m *message.Message, err error) {
			fmt.Printf("not delivered: %v: %v\n", m, err)
		},
	})
	if err != nil {
		return err
	}
	number := 0
	ping := func(*timer.Timer, int) error {
		number++
		if err := service.Send(message.New("PING").Set("number", strconv.Itoa(number))); err != nil {
			fmt.Printf("not sent: %d: %v\n", number, err)
		}
		return nil
	}
	_, err = timer.Every(loop, every, ping, communicator.Options{Name: "PING"})
	if err != nil {
		return err
	}
	if _, err := signals.Terminate(loop, 6*time.Second, nil, communicator.Options{}); err != nil {
		return err
	}
	return loop.Run(context.Background())
}
