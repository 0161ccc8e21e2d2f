// Command server is this project in the benchmark call: a service as the README
// shows it, with nothing tuned.
package main

import (
	"context"
	"log"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/peer"
	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/store"
	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

func main() {
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	path, err := peer.Path()
	if err != nil {
		return err
	}
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		return err
	}
	mux := dispatcher.New(dispatcher.Config{})
	mux.HandleFunc("FETCH_USER", fetchUser)
	if err := mux.AddDefaults(dispatcher.Service{Name: "store", Stop: func(quitting bool) {
		if !quitting {
			loop.Stop(nil)
		}
	}}); err != nil {
		return err
	}
	if _, err := unixsock.Listen(loop, path, connection.Messages(mux, connection.MessageConfig{}), unixsock.ListenConfig{}); err != nil {
		return err
	}
	peer.Listening(path)
	return loop.Run(context.Background())
}

func fetchUser(from message.Sender, m *message.Message) error {
	if m.Get("lang") == "" || m.Get("limit") == "" {
		return from.Send(m.ReplyInvalid(store.ErrMissing.Error()))
	}
	return from.Send(m.Reply("USER").
		Set("city", m.Get("city")).
		Set("email", store.Email).
		Set("id", m.Get("id")).
		Set("name", store.Name).
		Set("session", m.Get("session")))
}
