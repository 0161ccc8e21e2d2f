package dispatcher

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/message/definition"
)

// maxAnswer is the most bytes of an INVALID: a datagram of 1024 bytes is what the C++ library reads.
const maxAnswer = 1000

// refusal returns the part of a handler's error that refuses the message instead of telling of a failure: the error of a
// getter or of a definition, or of an answer that can't be written because of what it took from the message. It is nil if
// there is none.
func refusal(err error) error {
	//nolint:errorlint // it goes through the tree itself, for the part that refuses
	switch err {
	case nil:
		return nil
	case message.ErrMissing, message.ErrValue, message.ErrVersion, message.ErrUnsendable:
		return err
	}
	switch e := err.(type) { //nolint:errorlint // as above
	case *definition.Error:
		return e
	case *message.Error:
		if refusal(e.Err) != nil {
			return e
		}
	case interface{ Unwrap() error }:
		return refusal(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			if found := refusal(part); found != nil {
				return found
			}
		}
	}
	return nil
}

// refuse answers INVALID. INVALID and UNKNOWN are never answered, or two services could send them to each other for ever.
func (mux *Mux) refuse(from message.Sender, m *message.Message, err error) error {
	mux.refused.Add(1)
	mux.refusedLog.Log(mux.log, slog.LevelWarn, "message refused", "message", m, "error", err)
	if c := m.Command(); from == nil || c == message.CommandInvalid || c == message.CommandUnknown {
		return nil
	}
	err = from.Send(invalid(m, reasonOf(refusal(err))))
	if errors.Is(err, message.ErrUnsendable) {
		err = from.Send(m.ReplyInvalid("the reason can't be written"))
	}
	if errors.Is(err, message.ErrUnsendable) {
		return nil // because of an address, or a command, that a lenient parser let through
	}
	return err
}

// invalid returns an INVALID that fits in either form, with as much of the reason as that allows.
func invalid(m *message.Message, reason string) *message.Message {
	reply := m.ReplyInvalid(reason)
	if len(reason) > maxAnswer {
		reason = cut(reason, len(reason)-maxAnswer)
		reply = m.ReplyInvalid(reason + "...")
	}
	for reason != "" {
		text, _ := reply.AppendText(nil) // nothing, if it can't be written
		object, _ := reply.AppendJSON(nil, message.JSONOptions{})
		excess := max(len(text), len(object)) - maxAnswer
		if excess <= 0 {
			break
		}
		reason = cut(reason, (excess+5)/6) // each byte may have taken six
		reply = m.ReplyInvalid(reason + "...")
	}
	return reply
}

// cut cuts n bytes, or a little more, from the end.
func cut(s string, n int) string {
	return strings.ToValidUTF8(s[:max(0, len(s)-n)], "")
}

// reasonOf returns what the peer is told of a refusal: nothing but what is wrong with its message, whatever the handler has
// wrapped that in.
func reasonOf(refusal error) string {
	if errors.Is(refusal, message.ErrUnsendable) {
		return "the answer can't be written"
	}
	text := refusal.Error()
	text = strings.TrimPrefix(text, "definition: ")
	return strings.TrimPrefix(text, "message: ")
}
