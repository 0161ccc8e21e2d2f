package dispatcher_test

import (
	"fmt"

	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/message/definition"
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

// A pattern that only looks on, in front of the handler of one command.
func ExampleMatch() {
	mux := dispatcher.New(dispatcher.Config{})
	count := 0
	counting := message.HandlerFunc(func(message.Sender, *message.Message) error {
		count++
		return nil
	})
	if err := mux.Add(dispatcher.Match{Command: "EVENT*", Observer: true, Handler: counting}); err != nil {
		fmt.Println(err)
	}
	mux.HandleFunc("EVENT_DONE", func(message.Sender, *message.Message) error {
		fmt.Println("done, events so far:", count)
		return nil
	})
	for _, command := range []string{"EVENT_UP", "OTHER_DONE", "EVENT_DONE"} {
		if err := mux.HandleMessage(stdout{}, message.New(command)); err != nil {
			fmt.Println(err)
		}
	}
	// Output: done, events so far: 2
}

func ExampleConfig_definitions() {
	definitions, err := definition.Load(definition.Config{}) // with a Path for those of your own in files
	if err != nil {
		fmt.Println(err)
		return
	}
	err = definitions.Add(&definition.Definition{Command: "FETCH_USER", Parameters: []definition.Parameter{
		{Name: "id", Type: definition.Integer, Required: true},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := dispatcher.New(dispatcher.Config{Definitions: definitions})
	mux.HandleFunc("FETCH_USER", func(from message.Sender, m *message.Message) error {
		return from.Send(m.Reply("USER").Set("id", m.Get("id"))) // it is an integer
	})
	for _, line := range []string{"<web1:shop FETCH_USER id=42", "<web1:shop FETCH_USER"} {
		m, err := message.Parse(line)
		if err != nil {
			fmt.Println(err)
			continue
		}
		if err := mux.HandleMessage(stdout{}, m); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("refused:", mux.Refused())
	// Output:
	// web1:shop/USER id=42
	// web1:shop/INVALID command=FETCH_USER;message=FETCH_USER: parameter "id": missing
	// refused: 1
}

// A part of a program that comes and goes has one tag for all it adds.
func ExampleMux_Remove() {
	mux := dispatcher.New(dispatcher.Config{})
	h := message.HandlerFunc(func(_ message.Sender, m *message.Message) error {
		fmt.Println("to the plugin:", m)
		return nil
	})
	for _, match := range []dispatcher.Match{{Command: "LOGIN"}, {Command: "LOG*"}, {Regexp: "USER|GROUP"}} {
		match.Handler, match.Tag = h, "plugin"
		if err := mux.Add(match); err != nil {
			fmt.Println(err)
		}
	}
	for range 2 {
		if err := mux.HandleMessage(stdout{}, message.New("GROUP")); err != nil {
			fmt.Println(err)
		}
		fmt.Println("removed:", mux.Remove("plugin"))
	}
	// Output:
	// to the plugin: GROUP
	// removed: 3
	// removed: 0
}
