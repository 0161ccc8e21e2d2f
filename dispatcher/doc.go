// Package dispatcher calls the right function for each received message, by its command.
//
// A [Mux] is to messages what http.ServeMux is to requests: it is a message.Handler that knows others. Hand
// it to the message connections and datagram servers of a service, or call it yourself:
//
//	mux := dispatcher.New(dispatcher.Config{})
//	mux.HandleFunc("PING", func(from message.Sender, m *message.Message) error {
//		return from.Send(m.Reply("PONG"))
//	})
//	err := mux.AddDefaults(dispatcher.Service{Name: "demo", Stop: func(bool) { loop.Stop(nil) }})
//
// It needs no event loop. It is not needed for a client that waits for one reply, and it is no router
// between machines: it does not look at the destination of a message.
//
// # Which handler
//
// One handler is called for a message: the one with its command and the smallest [Priority] number; of
// several with that priority, the one added first. Without one it is the handler of [Mux.HandleDefault],
// then the UNKNOWN reply of [Mux.AddDefaults], and without these the message is logged as a warning, counted
// by [Mux.Unhandled] and dropped. What the handler returns is what [Mux.HandleMessage] returns.
//
// # Goroutines
//
// All methods may be called from several goroutines, and from a handler; a message that is being dispatched
// goes to the handler that was there when it came. Handlers run on the goroutine that calls
// [Mux.HandleMessage], for connections the one of their event loop, so they must not block it.
//
// Finding the handler takes the same time for any number of commands and allocates nothing. Adding and
// removing copy the table: they are for the start of a program and for rare changes.
package dispatcher
