// Package dispatcher calls the right function for each received message, by its command.
//
// A [Mux] is to messages what http.ServeMux is to requests: it is a message.Handler that knows others. Hand
// it to the message connections and datagram servers of a service, or call it yourself:
//
//	mux := dispatcher.New(dispatcher.Config{})
//	mux.HandleFunc("PING", func(from message.Sender, m *message.Message) error {
//		return from.Send(m.Reply("PONG"))
//	})
//	err := mux.AddDefaults(dispatcher.Service{Name: "demo", Stop: func(quitting bool) {
//		if !quitting { // a client that goes away sends QUITTING
//			loop.Stop(nil)
//		}
//	}})
//
// It needs no event loop. It is not needed for a client that waits for one reply, and it is no router
// between machines: it does not look at the destination of a message.
//
// # Which handler
//
// A [Match] is a command, a pattern of commands such as EVENT*, a regular expression, or a function of the message. The
// matches are tried by [Priority], the smallest number first, and in the order in which they were added where that is
// the same. The first one that matches gets the message. If it is an observer the search goes on: the later ones get
// the message too, until one of them is no observer.
//
// A message that no match wants, not even an observer, goes to the handler of [Mux.HandleUnknown]. Without one, the
// UNKNOWN reply of [Mux.AddDefaults] answers it; without these the message is logged as a warning, counted by
// [Mux.Unhandled] and dropped.
//
// To see every message, whatever becomes of it, put your own handler in front of the Mux:
//
//	h := message.HandlerFunc(func(from message.Sender, m *message.Message) error {
//		seen(m)
//		return mux.HandleMessage(from, m)
//	})
//
// # Wrong messages
//
// A handler refuses a message by returning the error of a getter:
//
//	mux.HandleFunc("FETCH_USER", func(from message.Sender, m *message.Message) error {
//		id, err := message.GetInt[int64](m, "id")
//		if err != nil {
//			return err
//		}
//		...
//
// A value that only the handler can judge is refused with message.BadValue. These errors refuse, and what wraps or joins
// them:
//
//	message.ErrMissing, ErrValue, ErrVersion   of the getters, also those of another message than this one
//	message.ErrUnsendable                      the answer can't be written, because of what it took from the message
//	definition.Error                           of a check that the handler made itself
//
// The sender is answered by INVALID with the parameters command and message, the reason: what is wrong with the
// parameter, and nothing that the handler has wrapped it in. A refused message goes to no further handler; it is
// counted by [Mux.Refused] and logged, once a second at most, and it is no error for the connection. Other errors are
// returned, and what they mean is up to the caller: a stream connection ends.
//
// With [Config.Definitions] the parameters of a message are checked once, before its first handler. If they are wrong no
// handler is called, and the message is refused in the same way.
//
// # What was seen
//
// [Config.Trace] logs what is received; the log at debug level has the matches as they are added and removed; and
// [Config.Coverage] counts which commands were ever received, so that a test can tell which of [Mux.Commands] it has
// forgotten. What is sent is counted by the connections, with the same Coverage.
//
// # Goroutines
//
// All methods may be called from several goroutines, and from a handler. A message that is being dispatched goes to the
// handlers that were there when it came, without those that are removed meanwhile, and with those that are added in place
// of them: to replace a handler, add the new one and then remove the old one. Handlers run on the goroutine that calls
// [Mux.HandleMessage], for connections the one of their event loop, so they must not block it.
//
// Finding an exact command takes the same time for any number of them and allocates nothing. The first change after a
// message copies the table: changes are for the start of a program, and for rare occasions.
package dispatcher
