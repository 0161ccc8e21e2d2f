package dispatcher_test

import (
	"fmt"
	"log/slog"

	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// The functions of a service for the commands that every service understands.
func ExampleService() {
	mux := dispatcher.New(dispatcher.Config{Logger: slog.New(slog.DiscardHandler)})
	mux.HandleFunc("EVENT*", func(message.Sender, *message.Message) error { return nil })
	err := mux.AddDefaults(dispatcher.Service{
		Name: "demo",
		Ready: func(from message.Sender, m *message.Message) {
			fmt.Println("registered, seen as", m.Get(message.ParameterMyAddress))
		},
		Stop: func(quitting bool) {
			fmt.Println("stop, the peer is leaving:", quitting)
		},
		Help: func() []string { return []string{"EVENT_BEGIN", "EVENT_END"} }, // what EVENT* stands for
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, line := range []string{"READY my_address=192.0.2.7:4040", "QUITTING", "HELP"} {
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
	// registered, seen as 192.0.2.7:4040
	// stop, the peer is leaving: true
	// COMMANDS list=ALIVE,EVENT_BEGIN,EVENT_END,HELP,INVALID,LEAK,LOG_ROTATE,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STOP,UNKNOWN
}

// An earlier handler for one command, in front of the one that others have for it.
func ExamplePriority() {
	mux := dispatcher.New(dispatcher.Config{})
	say := func(text string) message.Handler {
		return message.HandlerFunc(func(message.Sender, *message.Message) error {
			fmt.Println(text)
			return nil
		})
	}
	mux.Handle("PING", say("handler"))
	for _, m := range []dispatcher.Match{
		{Command: "PING", Priority: dispatcher.PriorityLast, Handler: say("never")},
		{Command: "*", Priority: dispatcher.PriorityCallback, Observer: true, Handler: say("first")},
	} {
		if err := mux.Add(m); err != nil {
			fmt.Println(err)
		}
	}
	if err := mux.HandleMessage(nil, message.New("PING")); err != nil {
		fmt.Println(err)
	}
	// Output:
	// first
	// handler
}
