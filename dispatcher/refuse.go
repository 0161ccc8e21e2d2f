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

// refuses reports whether the error of a handler refuses the message instead of telling of a failure: the error of a
// getter, or of an answer that can't be written because of what it took from the message.
func refuses(err error) bool {
	return err != nil && (errors.Is(err, message.ErrMissing) || errors.Is(err, message.ErrValue) ||
		errors.Is(err, message.ErrVersion) || errors.Is(err, message.ErrUnsendable))
}

// refuse answers INVALID. INVALID and UNKNOWN are never answered, or two services could send them to each other for ever.
func (mux *Mux) refuse(from message.Sender, m *message.Message, err error) error {
	mux.refused.Add(1)
	mux.refusedLog.Log(mux.log, slog.LevelWarn, "message refused", "message", m, "error", err)
	if c := m.Command(); from == nil || c == message.CommandInvalid || c == message.CommandUnknown {
		return nil
	}
	if reply := invalid(m, reasonOf(err)); reply != nil {
		return from.Send(reply)
	}
	return nil
}

// invalid returns an INVALID that fits, with as much of the reason as that allows; nil if none can be written, because of
// an address, or a command, that a lenient parser let through.
func invalid(m *message.Message, reason string) *message.Message {
	reply := m.ReplyInvalid(reason)
	for {
		text, err := reply.MarshalText()
		if err != nil {
			return nil
		}
		excess := len(text) - maxAnswer
		if excess <= 0 || reason == "" {
			return reply
		}
		reason = strings.ToValidUTF8(reason[:max(0, len(reason)-excess)], "")
		reply = m.ReplyInvalid(reason + "...")
	}
}

// reasonOf returns what the peer is told: nothing but what is wrong with its message, whatever the handler has wrapped
// that in.
func reasonOf(err error) string {
	var all *definition.Error
	var one *message.Error
	switch {
	case errors.Is(err, message.ErrUnsendable):
		return "the answer can't be written"
	case errors.As(err, &all):
		return strings.TrimPrefix(all.Error(), "definition: ")
	case errors.As(err, &one):
		return strings.TrimPrefix(one.Error(), "message: ")
	}
	return "wrong"
}
