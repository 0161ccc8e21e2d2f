package message

import (
	"errors"
	"fmt"
	"iter"
	"reflect"
)

// Sender is where a message can be sent: a connection, a datagram socket with an address, a fake in a test.
type Sender interface {
	// Send writes m, or queues it, whole. It neither changes nor keeps m. It fails with what
	// [Message.AppendText], or AppendJSON, refuses, with a message too long for the transport, or with the error of a
	// connection that is closed. The implementation says from which goroutines it may be called.
	Send(m *Message) error
}

// Handler handles received messages, as an http.Handler handles requests.
type Handler interface {
	// HandleMessage is called for each received message; from is where its sender can be answered.
	//
	// A connection calls it on the goroutine of its event loop: it must not block, and it may close or
	// remove the connection. A fresh Message is made for each received one, so a handler that returns nil may
	// change m and keep it; one that returns an error must not have handed m to another goroutine, because m may
	// be logged and answered afterwards. (A dispatcher's observers share m.) A returned error is logged; it ends
	// a stream connection, while a datagram server goes on with the next datagram. A dispatcher answers some
	// errors with INVALID instead of returning them.
	HandleMessage(from Sender, m *Message) error
}

// HandlerFunc makes a [Handler] of a function.
type HandlerFunc func(from Sender, m *Message) error

// HandleMessage calls f(from, m).
func (f HandlerFunc) HandleMessage(from Sender, m *Message) error { return f(from, m) }

// maxFailures is how many errors Broadcast returns.
const maxFailures = 10

// Broadcast sends m to each of the senders, nil ones excepted, for instance the connections of a slice:
//
//	sent, err := message.Broadcast(m, slices.Values(conns))
//
// A sender that fails does not keep m from the others. Broadcast returns how many took it, and the errors of the first ten
// that did not, joined, each with the position of the sender; a message that nobody could take, because it can't be
// written, is one error.
func Broadcast[S Sender](m *Message, to iter.Seq[S]) (sent int, err error) {
	if _, err := m.AppendText(nil); err != nil {
		if _, inJSON := m.AppendJSON(nil, JSONOptions{}); inJSON != nil {
			return 0, err
		}
	}
	var failures []error
	position := -1
	for sender := range to {
		position++
		if v := reflect.ValueOf(sender); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
			continue
		}
		err := sender.Send(m)
		switch {
		case err == nil:
			sent++
		case len(failures) < maxFailures:
			failures = append(failures, fmt.Errorf("sender %d: %w", position, err))
		}
	}
	return sent, errors.Join(failures...)
}
