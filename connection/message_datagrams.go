//go:build linux

package connection

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"

	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

const (
	// DefaultMaxMessage is the longest message in a UDP datagram, in bytes. The C++ library cuts
	// what is longer.
	DefaultMaxMessage = 1024
	// DefaultMaxUnixMessage is the longest message in a datagram or packet of a Unix socket, in
	// bytes, as in the C++ library.
	DefaultMaxUnixMessage = 65536
)

// MessageDatagramConfig says how messages travel in datagrams. The zero value is right for most.
type MessageDatagramConfig struct {
	// MaxSend is the longest message that is sent, in bytes; Send answers ErrSize to longer ones.
	// What comes may be as long as the Parser and DatagramConfig.MaxSize allow. A dispatcher's
	// INVALID may have 1000 bytes. Zero: DefaultMaxMessage over UDP, DefaultMaxUnixMessage over a
	// Unix socket.
	MaxSend int
	// Secret is shared with the peers, as in the C++ library: a message that comes must have it as
	// the parameter secret_code, or it is ignored, and a message that is sent gets it. The handler
	// finds the parameter in the message. It is no encryption: who can read the datagrams, knows it.
	// Empty: none is asked for; a message that has one is taken, with a warning.
	Secret string
	// Form is the form of the messages that are sent. Zero: text.
	Form message.Form
	// Parser says what is accepted as a message. Zero: what message.Parse accepts.
	Parser message.Parser
	// Coverage counts the messages sent. Nil: they are not counted.
	Coverage *message.Coverage
}

// NewMessageDatagrams returns a DatagramHandler that takes each datagram as a message and hands it
// to h. The sender that h is given is a *PeerSender: it answers to where the datagram came from,
// and can be kept.
//
// A datagram that is no message is counted, and the first one logged; it is never answered, because
// anybody can forge a datagram's sender. Nor is a message without the Secret. An error that h
// returns is logged, once a second at most; the socket goes on.
func NewMessageDatagrams(h message.Handler, config MessageDatagramConfig) *MessageDatagrams {
	mustNotBeNil(h)
	l := &MessageDatagrams{handler: h, config: config}
	if config.Secret != "" {
		l.secret = sha256.Sum256([]byte(config.Secret))
	}
	return l
}

// MessageDatagrams is the layer that takes datagrams as messages.
type MessageDatagrams struct {
	handler  message.Handler
	config   MessageDatagramConfig
	secret   [sha256.Size]byte
	skipped  uint64
	rejected uint64
	oversize uint64

	failures, rejections, needless logger.Limited
}

// Skipped is how many datagrams were no message.
func (l *MessageDatagrams) Skipped() uint64 { return l.skipped }

// Rejected is how many messages were ignored for their secret: none, or a wrong one.
func (l *MessageDatagrams) Rejected() uint64 { return l.rejected }

// Oversize is how many messages were not sent because they were longer than MaxSend.
func (l *MessageDatagrams) Oversize() uint64 { return l.oversize }

// HandleDatagram takes a datagram as a message.
func (l *MessageDatagrams) HandleDatagram(d *Datagram, data []byte, from Peer) error {
	log := d.handle.Loop().Logger()
	m, err := l.config.Parser.ParseBytes(data)
	if err != nil {
		l.skipped++
		if l.skipped == 1 {
			log.Warn("a datagram was no message", "socket", d.handle.Name(), "from", from, "error", err)
		}
		return nil
	}
	command := m.Command() // now: the handler may keep m
	if !l.admits(m) {
		l.rejected++
		l.rejections.Log(log, slog.LevelWarn, "a message had no secret, or a wrong one",
			"socket", d.handle, "from", from, "command", command, "rejected", l.rejected)
		return nil
	}
	if l.config.Secret == "" && m.Has(message.ParameterSecretCode) {
		l.needless.Log(log, slog.LevelWarn, "a message had a secret, and none was asked for",
			"socket", d.handle, "from", from, "command", command)
	}
	if err := l.handler.HandleMessage(l.SenderTo(d, from), m); err != nil {
		l.failures.Log(log, slog.LevelWarn, "a message failed", "socket", d.handle.Name(), "from", from, "command", command, "error", err)
	}
	return nil
}

// admits tells whether a message has the secret. The sums are of one length, so that the time tells
// nothing of the secret, nor of how long it is.
func (l *MessageDatagrams) admits(m *message.Message) bool {
	if l.config.Secret == "" {
		return true
	}
	value, found := m.Lookup(message.ParameterSecretCode)
	sum := sha256.Sum256([]byte(value))
	return subtle.ConstantTimeCompare(sum[:], l.secret[:]) == 1 && found
}

// SenderTo returns a sender of messages to a peer; the zero Peer is whom the socket is connected to.
func (l *MessageDatagrams) SenderTo(d *Datagram, to Peer) *PeerSender {
	return &PeerSender{datagram: d, peer: to, layer: l}
}

// PeerSender sends messages to one peer of a datagram socket; it is a message.Sender.
type PeerSender struct {
	datagram *Datagram
	peer     Peer
	layer    *MessageDatagrams
}

// Peer is to whom the messages go.
func (p *PeerSender) Peer() Peer { return p.peer }

// Datagram is the socket.
func (p *PeerSender) Datagram() *Datagram { return p.datagram }

// Send sends a message, with the secret if there is one; m stays as it was. Its errors are a
// *message.Error for one that can't be written, ErrSize, and those of Datagram.WriteTo.
func (p *PeerSender) Send(m *message.Message) error {
	l := p.layer
	if l.config.Secret != "" {
		m = m.Clone().Set(message.ParameterSecretCode, l.config.Secret)
	}
	buf := p.datagram.handle.Loop().WriteBuffer()
	start := len(*buf)
	text, err := appendMessage(*buf, m, l.config.Form)
	if err != nil {
		return err
	}
	if size, limit := len(text)-start, l.limit(p.datagram); size > limit {
		l.oversize++
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrSize, size, limit)
	}
	if err := p.datagram.WriteTo(text[start:], p.peer); err != nil {
		if p.peer.unix && p.peer.path == "" {
			err = fmt.Errorf("%s can't be sent to a socket without a name: %w", m.Command(), err)
		}
		return err
	}
	l.config.Coverage.AddSent(m)
	return nil
}

// limit is the longest message that is sent over a socket.
func (l *MessageDatagrams) limit(d *Datagram) int {
	switch {
	case l.config.MaxSend > 0:
		return l.config.MaxSend
	case d.network == networkUDP:
		return DefaultMaxMessage
	}
	return DefaultMaxUnixMessage
}

// String is the peer's address, for logs.
func (p *PeerSender) String() string { return p.peer.String() }
