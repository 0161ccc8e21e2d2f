//go:build linux

package connection

// StreamHandler takes the bytes of a stream. It is called on the loop's goroutine; it may write to,
// pause and close any stream, this one too.
//
// HandleData returns how many bytes it has consumed. The others are kept and handed over again, in
// front of those that come next. An error closes the stream at once with that cause.
//
// What else can happen to a stream a handler learns by having the methods of OpenHandler,
// EOFHandler, DrainHandler and CloseHandler.
type StreamHandler interface {
	HandleData(s *Stream, data []byte) (consumed int, err error)
}

// DataFunc is a function as a StreamHandler.
type DataFunc func(s *Stream, data []byte) (consumed int, err error)

// HandleData calls f.
func (f DataFunc) HandleData(s *Stream, data []byte) (int, error) { return f(s, data) }

// OpenHandler is a StreamHandler that is told when the connection stands, before any data: within
// NewStream for an accepted one. An error closes the stream with that cause, as one from any
// callback does.
type OpenHandler interface {
	HandleOpen(s *Stream) error
}

// EOFHandler is a StreamHandler that is told when the peer has ended its side. rest is what was
// never consumed. The stream stays open for writing until Close. A stream whose handler has no
// HandleEOF closes gracefully by itself, with the cause io.ErrUnexpectedEOF if something was left.
type EOFHandler interface {
	HandleEOF(s *Stream, rest []byte) error
}

// DrainHandler is a StreamHandler that is told when the last byte of output that had to wait has
// gone to the kernel.
type DrainHandler interface {
	HandleDrain(s *Stream) error
}

// CloseHandler is a StreamHandler that is told, once and at the end of a turn, that the stream is
// closed. The cause is nil for an orderly end, from either side. Of a handler without it failures
// are logged, once a second at most.
type CloseHandler interface {
	HandleClose(s *Stream, cause error)
}
