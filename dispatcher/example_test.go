package dispatcher_test

import (
	"fmt"

	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// stdout is a Sender that prints. In a service the connection is one.
type stdout struct{}

func (stdout) Send(m *message.Message) error {
	text, err := m.MarshalText()
	fmt.Printf("%s\n", text)
	return err
}

func Example() {
	mux := dispatcher.New(dispatcher.Config{})
	mux.HandleFunc("PING", func(from message.Sender, m *message.Message) error {
		return from.Send(m.Reply("PONG"))
	})
	if err := mux.AddDefaults(dispatcher.Service{Name: "demo"}); err != nil {
		fmt.Println(err)
		return
	}

	// What a connection does with each line it reads:
	for _, line := range []string{"<web1:shop demo/PING", "demo/HELP", "demo/DANCE"} {
		m, err := message.Parse(line)
		if err != nil {
			fmt.Println(err)
			continue
		}
		if err := mux.HandleMessage(stdout{}, m); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// web1:shop/PONG
	// COMMANDS list=ALIVE,HELP,INVALID,LEAK,LOG_ROTATE,PING,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STOP,UNKNOWN
	// UNKNOWN command=DANCE
}

func ExampleMux_Add() {
	mux := dispatcher.New(dispatcher.Config{})
	login := message.HandlerFunc(func(from message.Sender, m *message.Message) error {
		return from.Send(m.Reply("WELCOME"))
	})
	if err := mux.Add(dispatcher.Match{Command: "LOGIN", Handler: login, Tag: "accounts"}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(mux.Commands(), mux.Remove("accounts"), mux.Commands())
	// Output: [LOGIN] 1 []
}
