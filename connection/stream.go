//go:build linux

package connection

import (
	"net"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// Loop is the run loop that connections live in.
type Loop = *communicator.Communicator

// Stream is a connection as a stream of bytes.
type Stream struct {
	handle    *communicator.Handle
	transport Transport // nil while dialling
	handler   StreamHandler
	config    *streamConfig
	cancel    func() // ends the dialling
	in        []byte // not consumed yet
	out       *output
	writer    *communicator.Handle // of a transport with a descriptor of its own for writing
	limits    *limits              // nil: none
	received  uint64
	sent      uint64
	state     streamState
}

type streamState uint32

const (
	paused      streamState = 1 << iota // by the user
	held                                // the output is above the high-water mark
	again                               // what is in s.in must be handed over again
	eof                                 // the peer has ended its side
	corking                             // output is collected in the loop's write buffer
	endWriting                          // CloseWrite was called
	wroteEnd                            // and has reached the transport
	closing                             // Close was called
	unfinished                          // the peer ended in the middle of something
	slowed                              // reading waits for its rate
	writeSlowed                         // writing waits for its rate
	keeping                             // the transport is a keeper
	minding                             // the transport is a consumer
	steered                             // the layer above ends it at a shutdown
	brief                               // closed by a shutdown of the loop
	cutOff                              // the transport has been closed with output that it had taken
	announced                           // the transport is an announcer
)

// NewStream puts a stream on a connected transport, which it owns from then on: also when it
// returns an error the transport is closed.
func NewStream(loop Loop, t Transport, h StreamHandler, config StreamConfig) (*Stream, error) {
	s := &Stream{}
	if err := s.open(loop, t, h, config.withDefaults()); err != nil {
		return nil, err
	}
	return s, nil
}

// Streams returns a Serve that puts a stream on each transport; all share the handler. For a
// handler of each connection's own, with state, write the Serve yourself:
//
//	func(loop connection.Loop, t connection.Transport) error {
//		_, err := connection.NewStream(loop, t, &session{}, connection.StreamConfig{})
//		return err
//	}
func Streams(h StreamHandler, config StreamConfig) Serve {
	mustNotBeNil(h)
	shared := config.withDefaults()
	return func(loop Loop, t Transport) error {
		return new(Stream).open(loop, t, h, shared)
	}
}

func (s *Stream) open(loop Loop, t Transport, h StreamHandler, config *streamConfig) error {
	mustNotBeNil(h)
	s.handler, s.config, s.transport = h, config, t
	s.look()
	if err := s.add(loop); err != nil {
		_ = t.Close()
		return err
	}
	if err := s.addWriter(); err != nil {
		s.handle.Detach()
		_ = t.Close()
		return err
	}
	if err := s.opened(); err != nil {
		s.Abort(err)
	}
	return nil
}

// look notes once what the transport can do.
func (s *Stream) look() {
	if _, ok := s.transport.(keeper); ok {
		s.state |= keeping
	}
	if _, ok := s.transport.(consumer); ok {
		s.state |= minding
	}
	if _, ok := s.transport.(stayer); ok {
		s.state |= steered
	}
	if _, ok := s.transport.(announcer); ok {
		s.state |= announced
	}
}

// mustNotBeNil panics for a handler that was forgotten, where it was, as package net/http does.
func mustNotBeNil(handler any) {
	if handler == nil {
		panic("connection: nil handler")
	}
}

// add puts the stream into the loop, with what descriptor it has.
func (s *Stream) add(loop Loop) (err error) {
	want := communicator.Read
	if s.state&announced != 0 {
		want |= communicator.EdgeTriggered
	}
	s.handle, err = loop.Add((*streamSource)(s), communicator.Options{Name: s.config.Name, Priority: s.config.Priority, Want: want})
	if err == nil {
		s.beAnnounced()
	}
	return err
}

// beAnnounced tells a transport that announces by itself how.
func (s *Stream) beAnnounced() {
	if s.state&announced != 0 {
		s.transport.(announcer).Announce(s.handle.MarkReadable)
	}
}

// addWriter adds the descriptor for writing of a transport that has one.
func (s *Stream) addWriter() (err error) {
	if _, ok := s.transport.(writeDescriptor); ok {
		s.writer, err = s.Loop().Add((*streamWriter)(s), communicator.Options{Beside: s.handle})
		if err == nil {
			s.writer.Want(communicator.Nothing)
		}
	}
	return err
}

// opened is what follows when the connection stands.
func (s *Stream) opened() error {
	if s.limits != nil || s.config.limited() {
		s.limit()
	}
	s.readOn()
	if h, ok := s.handler.(OpenHandler); ok {
		return h.HandleOpen(s)
	}
	return nil
}

// Handle is the stream's place in its loop: its name, priority and enabled state. What it waits for
// and its deadline are the stream's own business.
func (s *Stream) Handle() *communicator.Handle { return s.handle }

// Loop is the loop that the stream lives in.
func (s *Stream) Loop() Loop { return s.handle.Loop() }

// Transport is what the stream runs on; nil while dialling. It must be neither read, written nor
// closed.
func (s *Stream) Transport() Transport { return s.transport }

// LocalAddr is the address on this side; nil if the transport has none.
func (s *Stream) LocalAddr() net.Addr {
	if t, ok := s.transport.(addresses); ok {
		return t.LocalAddr()
	}
	return nil
}

// RemoteAddr is the peer's address; nil if the transport has none.
func (s *Stream) RemoteAddr() net.Addr {
	if t, ok := s.transport.(addresses); ok {
		return t.RemoteAddr()
	}
	return nil
}

// Received is how many bytes have come from the peer.
func (s *Stream) Received() uint64 { return s.received }

// Sent is how many bytes have gone to the kernel, or were taken by a transport that makes something else
// of them, as TLS.
func (s *Stream) Sent() uint64 { return s.sent }

// Pause stops reading; nothing is handed to the handler until Resume. The peer's end goes unnoticed
// meanwhile.
func (s *Stream) Pause() {
	s.state |= paused
	s.update()
	if s.state&announced != 0 {
		s.transport.(announcer).Rest()
	}
}

// Resume goes on reading, beginning with what the handler hasn't consumed yet, in the next turn.
func (s *Stream) Resume() {
	if s.state&paused == 0 {
		return
	}
	s.state &^= paused
	s.limits.resumed(s)
	s.update()
	s.handAgain()
}

// handAgain hands over what is kept in the next turn, even if nothing new comes. In a handler
// nothing is kept yet.
func (s *Stream) handAgain() {
	s.state |= again
	s.handle.MarkReadable()
}

// readOn sees to it that what the transport keeps moves on: that input is read though the descriptor
// may have nothing, and that what reading has made it send is sent.
func (s *Stream) readOn() {
	if s.state&keeping == 0 {
		return
	}
	t := s.transport.(keeper)
	if s.listens() && t.Readable() {
		s.handle.MarkReadable()
	}
	if t.Unsent() > 0 {
		s.update()
	}
}

// Reading tells whether the stream takes bytes from its peer.
func (s *Stream) Reading() bool {
	return s.state&(paused|held|slowed|eof|closing) == 0 && s.handle.Active()
}

// listens tells whether the stream reads, if only to find the peer's end.
func (s *Stream) listens() bool { return s.Reading() || s.state&(closing|eof) == closing }

// update makes the loop listen to what the stream waits for.
func (s *Stream) update() {
	if s.transport == nil {
		return
	}
	if s.state&announced != 0 { // it announces nothing that isn't waited for
		if want := communicator.Read | communicator.EdgeTriggered; want != s.handle.Interest() {
			s.handle.Want(want)
		}
		return
	}
	read, write := communicator.Nothing, communicator.Nothing
	if s.listens() {
		read = communicator.Read
	}
	if s.state&writeSlowed == 0 && s.waits() {
		write = communicator.Write
	}
	if s.writer != nil {
		if write != s.writer.Interest() {
			s.writer.Want(write)
		}
		write = communicator.Nothing
	}
	if want := read | write; want != s.handle.Interest() {
		s.handle.Want(want)
	}
}
