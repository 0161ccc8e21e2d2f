//go:build linux

package connection

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// BlockingConfig says how a blocking client behaves. The zero value is right for most.
type BlockingConfig struct {
	// IsReply tells whether what has come is the reply to a request. What is none goes to Other. Nil: the
	// first message that comes is the reply, as with a peer that speaks only when it is spoken to.
	IsReply func(request, came *message.Message) bool
	// Other is called, on the goroutine of the call, for each message that is no reply; it must not make a
	// call itself. Nil: it is dropped.
	Other func(came *message.Message)
	// MaxInput is the longest line that is read, in bytes; a longer one ends the connection with
	// ErrInputLimit. Zero: DefaultMaxInput.
	MaxInput int
	// Parser says what is accepted as a message; a line that is none is an error of the call. Zero: what
	// message.Parse accepts, but with MaxInput as the longest message.
	Parser message.Parser
	// Form is the form of the messages that are sent. Zero: text.
	Form message.Form
}

// Blocking is a client that sends a message and waits for the reply. It needs no loop, and all its methods
// may be called from any goroutine: for a program that has one thing to ask, a test, or a goroutine beside
// a loop. On a loop it would hold up everything: use Permanent there.
//
// Messages carry no number that a reply could be known by, so one call is made at a time, and the others
// wait. When a call fails, or its context ends, its connection is closed, because its reply may still come;
// the next call dials. A call is never repeated: the peer may have handled the request.
type Blocking struct {
	dial   func(context.Context) (io.ReadWriteCloser, error)
	config BlockingConfig
	turn   chan struct{} // whose it is holds what is in it

	mu     sync.Mutex
	conn   *blockingConn      // nil: none
	cancel context.CancelFunc // ends the dialling that is under way
	closed bool

	buf []byte // belongs to who has the turn
}

// blockingConn is a connection, and what was read from it.
type blockingConn struct {
	io.ReadWriteCloser
	lines *bufio.Reader // belongs to who has the turn
}

// NewBlocking makes a client that dials when it is first used. dial makes a blocking connection of any
// kind; its context is that of the call, and ends when it returns. Close of the connection is called once,
// and has to end a Read and a Write under way, as that of a net.Conn does:
//
//	client := connection.NewBlocking(func(ctx context.Context) (io.ReadWriteCloser, error) {
//		return new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:4040") // or a tls.Dialer
//	}, connection.BlockingConfig{})
func NewBlocking(dial func(context.Context) (io.ReadWriteCloser, error), config BlockingConfig) *Blocking {
	if dial == nil {
		panic("connection: nil dial function")
	}
	setDefault(&config.MaxInput, DefaultMaxInput)
	setDefault(&config.Parser.MaxSize, config.MaxInput)
	return &Blocking{dial: dial, config: config, turn: make(chan struct{}, 1)}
}

// Call sends a message and waits for the reply. Its errors are context.Cause(ctx), a *message.Error for a
// message that can't be written or a line that is none, ErrInputLimit, ErrClosed after Close,
// io.ErrUnexpectedEOF when the peer has ended the connection, and those of the connection. As long as
// nothing of the message has been written, because the call had no turn yet or there was no connection,
// errors.Is(err, ErrNotSent) holds too: such a call can be made again, any other may have been handled. A
// peer that didn't understand replies INVALID or UNKNOWN, which is no error here.
func (b *Blocking) Call(ctx context.Context, m *message.Message) (reply *message.Message, err error) {
	err = b.talk(ctx, m, func(conn *blockingConn) error {
		var err error
		reply, err = b.reply(conn, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	return reply, nil
}

// Send sends a message and waits for no reply. A reply that comes all the same would be taken for that of
// the next Call, unless IsReply knows better. Its errors are those of Call.
func (b *Blocking) Send(ctx context.Context, m *message.Message) error {
	return b.talk(ctx, m, func(*blockingConn) error { return nil })
}

// Close closes the connection, and lets a call that is under way, and those that follow, fail with ErrClosed.
func (b *Blocking) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.cancel != nil {
		b.cancel()
	}
	return b.hangUp()
}

// hangUp closes the connection, if there is one. The caller holds the lock.
func (b *Blocking) hangUp() error {
	if b.conn == nil {
		return nil
	}
	conn := b.conn
	b.conn = nil
	return conn.Close()
}

// talk sends a message, and does what is to be done after it, when it is this call's turn.
func (b *Blocking) talk(ctx context.Context, m *message.Message, then func(*blockingConn) error) error {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrNotSent, context.Cause(ctx))
	}
	text, err := appendMessage(b.buf[:0], m, b.config.Form)
	if err != nil {
		return err
	}
	b.buf = append(text, '\n')
	conn, err := b.connect(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotSent, b.fail(ctx, err))
	}
	stop := context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.conn == conn {
			_ = b.hangUp()
		}
	})
	if _, err = conn.Write(b.buf); err == nil {
		err = then(conn)
	}
	if !stop() && err == nil {
		err = context.Cause(ctx) // the connection is closed; what has come is complete, but the caller has given up
	}
	if err != nil {
		return b.fail(ctx, err)
	}
	if cap(b.buf) > DefaultMaxInput {
		b.buf = nil
	}
	return nil
}

// fail hangs up, and says why.
func (b *Blocking) fail(ctx context.Context, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.hangUp()
	switch {
	case b.closed:
		return ErrClosed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// connect returns the connection, or makes one.
func (b *Blocking) connect(ctx context.Context) (*blockingConn, error) {
	conn, ctx, err := b.connected(ctx)
	if conn != nil || err != nil {
		return conn, err
	}
	dialled, err := b.dial(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cancel()
	b.cancel = nil
	switch {
	case err != nil:
		return nil, err
	case b.closed:
		return nil, errors.Join(ErrClosed, dialled.Close())
	}
	b.conn = &blockingConn{dialled, bufio.NewReaderSize(dialled, min(readAhead-1, b.config.MaxInput)+1)}
	return b.conn, nil
}

// readAhead is how many bytes are read at once; a line that is too long is known to be so after that many more.
const readAhead = 4096

// connected returns the connection, or the context to dial with, which Close ends.
func (b *Blocking) connected(ctx context.Context) (*blockingConn, context.Context, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nil, ErrClosed
	}
	if b.conn == nil {
		ctx, b.cancel = context.WithCancel(ctx)
	}
	return b.conn, ctx, nil
}

// reply reads until the reply has come.
func (b *Blocking) reply(conn *blockingConn, request *message.Message) (*message.Message, error) {
	for {
		line, err := b.line(conn)
		if err != nil {
			return nil, err
		}
		m, err := b.config.Parser.ParseBytes(line)
		switch {
		case errors.Is(err, message.ErrEmpty):
			continue
		case err != nil:
			return nil, err
		case b.config.IsReply == nil || b.config.IsReply(request, m):
			return m, nil
		case b.config.Other != nil:
			b.config.Other(m)
		}
	}
}

// line reads a line, without its end.
func (b *Blocking) line(conn *blockingConn) ([]byte, error) {
	var long []byte
	for {
		piece, err := conn.lines.ReadSlice('\n')
		if err == nil && long == nil && len(piece) <= b.config.MaxInput {
			return bytes.TrimSuffix(piece, []byte("\n")), nil
		}
		size := len(long) + len(piece)
		if err == nil {
			size-- // its end doesn't count
		}
		if size > b.config.MaxInput {
			return nil, ErrInputLimit
		}
		long = append(long, piece...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(long, []byte("\n")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}
