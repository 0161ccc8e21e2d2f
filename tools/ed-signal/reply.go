package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

// reply is something that came back.
type reply struct {
	text    []byte           // as it was on the wire
	message *message.Message // nil: it is none
	err     error            // why it is none
}

// awaitReply waits for the reply and prints it.
func (s *signaller) awaitReply(conn net.Conn) error {
	var from inbox = &lineReader{r: conn}
	if s.target.Datagrams() {
		from = &datagramReader{r: conn}
	}
	replies, err := s.choose(from)
	if err == nil || s.value == "" {
		err = errors.Join(s.printReplies(replies), err)
	}
	return err
}

// choose waits for the reply that is asked for. With an error it returns what has come instead.
func (s *signaller) choose(from inbox) ([]reply, error) {
	var passed []reply
	for {
		texts, err := from.next()
		if errors.Is(err, io.EOF) && !s.picky() {
			s.tool.Log.Info("hung up without a reply")
			return nil, nil
		}
		if err != nil {
			return passed, s.unanswered(err)
		}
		replies := s.read(texts)
		if !s.picky() {
			return replies, s.refusal(replies)
		}
		for i, r := range replies {
			switch {
			case s.expect != "" && r.message != nil && r.message.Command() == s.expect:
				return replies[i : i+1], nil
			case s.refusal(replies[i:i+1]) != nil:
				return append(passed, r), s.refusal(replies[i : i+1])
			case s.expect == "" && r.message == nil:
				return append(passed, r), fmt.Errorf("%s: the reply: %w", s.target.Address, r.err)
			case s.expect == "":
				return replies[i : i+1], nil
			}
			s.tool.Log.WithField("bytes", len(r.text)).Debug("not the reply that is expected")
			passed = append(passed, r)
		}
	}
}

// read parses what came.
func (s *signaller) read(texts [][]byte) (replies []reply) {
	parser := message.Parser{MaxSize: maxReply}
	for _, text := range texts {
		m, err := parser.ParseBytes(text)
		s.tool.Log.WithField("bytes", len(text)).Debug("reply")
		replies = append(replies, reply{text: text, message: m, err: err})
	}
	return replies
}

// unanswered is the error for a reply that didn't come.
func (s *signaller) unanswered(err error) error {
	what := "reply"
	if s.expect != "" {
		what = s.expect
	}
	switch {
	case timedOut(err):
		return fmt.Errorf("%s: no %s within %v", s.target.Address, what, s.timeout)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s: no %s: the other side hung up", s.target.Address, what)
	case errors.Is(err, errHalfLine):
		return fmt.Errorf("%s: %w", s.target.Address, err)
	case errors.Is(err, errLongReply) || errors.Is(err, errLongFrame):
		return fmt.Errorf("%s: the reply: %w", s.target.Address, err)
	}
	return s.torn(err) // of package net, which names the connection
}

// torn puts into words that TLS ends where it can't.
func (s *signaller) torn(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: %w", s.target.Address, errHalfTLS)
	}
	return err
}

// refusal is the error for replies with which a service says that it didn't do what the message asks for.
func (s *signaller) refusal(replies []reply) error {
	for _, r := range replies {
		if r.message == nil {
			continue
		}
		switch r.message.Command() {
		case message.CommandInvalid, message.CommandUnknown, message.CommandServiceUnavailable:
			return fmt.Errorf("%s: refused: %s", s.target.Address, r.message.LogValue())
		}
	}
	return nil
}

// printReplies prints replies as the options say.
func (s *signaller) printReplies(replies []reply) error {
	var out []byte
	for _, r := range replies {
		switch {
		case s.value != "":
			value, found := r.message.Lookup(s.value)
			if !found {
				return fmt.Errorf("%s: %s has no parameter %s", s.target.Address, r.message.Command(), s.value)
			}
			out = append(out, value...)
		case !bool(s.json):
			out = append(out, r.text...)
		case r.message == nil:
			continue // the error, or the log, tells
		default:
			var err error
			if out, err = r.message.AppendJSON(out, message.JSONOptions{}); err != nil {
				return fmt.Errorf("%s: the reply: %w", s.target.Address, err)
			}
		}
		if !bytes.HasSuffix(out, []byte("\n")) {
			out = append(out, '\n')
		}
	}
	return s.print(out)
}

// print writes lines to the standard output: as they are to a program, without what would control it to a terminal.
func (s *signaller) print(text []byte) error {
	if cli.IsTerminal(s.tool.Stdout) {
		text = forTerminal(text)
	}
	_, err := s.tool.Stdout.Write(text)
	return err
}

// forTerminal makes each line printable.
func forTerminal(text []byte) (printable []byte) {
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		printable = append(printable, cli.Printable(string(line))...)
		printable = append(printable, '\n')
	}
	return printable
}

// awaitEnd waits until the other side shows that it has read the message: by a line, or by hanging up, which it can do
// at once as our side ends here. That it does neither in time is no error.
func (s *signaller) awaitEnd(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		// It fails when the connection is gone already; how it went, the read tells.
		_ = half.CloseWrite()
	}
	_, err := (&lineReader{r: conn}).next()
	switch {
	case timedOut(err):
		s.tool.Log.WithField("timeout", s.timeout).Info("neither a line nor the end came")
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errHalfLine) && !errors.Is(err, errLongReply):
		return s.torn(err)
	}
	return nil
}
