//go:build linux

package command

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/fifo"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// pipes are the ends of a command's pipes: the command's own until it has started, ours until they are streams.
type pipes struct {
	theirs      []*os.File
	in          connection.Transport
	out, errOut *outlet
}

// open makes the pipes that are asked for, and gives the command its ends.
func (p *pipes) open(process *Process, cmd *exec.Cmd, c *Config) (err error) {
	if c.Input {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		p.theirs = append(p.theirs, r)
		if p.in, err = fifo.FromFile(nil, w); err != nil {
			return err
		}
		cmd.Stdin = r
	}
	if c.Stdout != nil {
		if p.out, cmd.Stdout, err = p.output(process); err != nil {
			return err
		}
	}
	switch {
	case c.Combined:
		cmd.Stderr = cmd.Stdout
	case c.Stderr != nil:
		p.errOut, cmd.Stderr, err = p.output(process)
	}
	return err
}

// output makes the pipe of an output.
func (p *pipes) output(process *Process) (*outlet, io.Writer, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	p.theirs = append(p.theirs, w)
	t, err := fifo.FromFile(r, nil)
	if err != nil {
		return nil, nil, err
	}
	o := &outlet{Reader: t.(*fifo.Reader), process: process}
	process.open++
	process.outlets = append(process.outlets, o)
	return o, w, nil
}

// started closes what is the command's: only then the ends of its pipes are seen.
func (p *pipes) started() {
	for _, f := range p.theirs {
		_ = f.Close()
	}
	p.theirs = nil
}

// close closes what is no stream.
func (p *pipes) close() {
	p.started()
	if p.in != nil {
		_ = p.in.Close()
	}
	for _, o := range []*outlet{p.out, p.errOut} {
		if o != nil {
			_ = o.Close()
		}
	}
}

// streams puts the streams on the pipes.
func (p *pipes) streams(process *Process) (err error) {
	loop, c := process.handle.Loop(), &process.config
	config := c.Stream
	config.Priority = c.Priority
	if t := p.out; t != nil {
		p.out = nil // the stream closes it, on an error too
		config.Name = process.title + " stdout"
		if process.stdout, err = connection.NewStream(loop, t, &taker{process, c.Stdout}, config); err != nil {
			return err
		}
		t.stream = process.stdout
	}
	if t := p.errOut; t != nil {
		p.errOut = nil
		config.Name = process.title + " stderr"
		if process.stderr, err = connection.NewStream(loop, t, &taker{process, c.Stderr}, config); err != nil {
			return err
		}
		t.stream = process.stderr
	}
	if t := p.in; t != nil {
		p.in = nil
		config.Name = process.title + " stdin"
		process.stdin, err = connection.NewStream(loop, t, (*input)(process), ofInput(config))
	}
	return err
}

// outlet is the transport of an output, which tells the process of its end.
type outlet struct {
	*fifo.Reader
	process *Process
	stream  *connection.Stream
	ended   bool // it was read to the end
	late    bool // it has been open for too long
	left    int  // of a late one: bytes that are still read
}

func (o *outlet) Read(p []byte) (int, error) {
	if o.late {
		p = p[:min(len(p), max(1, o.left))] // of none one, to see the end
	}
	n, err := o.Reader.Read(p)
	switch {
	case err == io.EOF: //nolint:errorlint // by contract the sentinel itself
		o.ended = true
		o.process.outputEnded()
	case !o.late:
	case o.left == 0 || n == 0:
		return 0, ErrWaitDelay
	default:
		o.left -= n
	}
	return n, err
}

// cut lets the output end behind what the pipe holds now. The stream reads that when it wants to: it may be paused,
// and hold back what it has read before.
func (o *outlet) cut() {
	if o.late || !o.stream.Handle().Active() {
		return
	}
	o.late, o.left = true, sys.Unread(o.FD())
	o.stream.Handle().MarkReadable()
}

// Readable tells the stream that a late output has its end to tell, though the descriptor may say nothing.
func (o *outlet) Readable() bool { return o.late || o.Reader.Readable() }

func (o *outlet) Close() error {
	o.process.open--
	o.process.outputEnded()
	return o.Reader.Close()
}

// StaysAtShutdown says that a shutdown of the loop leaves the stream alone: what the command writes while it ends
// is still read.
func (o *outlet) StaysAtShutdown() {}

// taker is the handler of an output: the user's, whose end is noted.
type taker struct {
	process *Process
	handler connection.StreamHandler
}

func (t *taker) HandleData(s *connection.Stream, data []byte) (int, error) {
	return t.handler.HandleData(s, data)
}

func (t *taker) HandleOpen(s *connection.Stream) error {
	if h, ok := t.handler.(connection.OpenHandler); ok {
		return h.HandleOpen(s)
	}
	return nil
}

// HandleEOF does what a stream does for a handler without it.
func (t *taker) HandleEOF(s *connection.Stream, rest []byte) error {
	if h, ok := t.handler.(connection.EOFHandler); ok {
		return h.HandleEOF(s, rest)
	}
	if len(rest) > 0 {
		return io.ErrUnexpectedEOF
	}
	s.Close()
	return nil
}

func (t *taker) HandleClose(s *connection.Stream, cause error) {
	failure := t.process.closed(cause)
	if h, ok := t.handler.(connection.CloseHandler); ok {
		h.HandleClose(s, cause)
	} else if failure {
		s.Loop().Logger().Info("the output of a command failed", "source", s.Handle().Name(), "error", cause)
	}
}

// lifetime is as good as for ever.
const lifetime = 100 * 365 * 24 * time.Hour

// ofInput is how the stream of the input behaves. Nothing ever comes from there, so it can't be idle.
func ofInput(s connection.StreamConfig) connection.StreamConfig {
	s.IdleTimeout = 0
	if s.CloseTimeout <= 0 {
		s.CloseTimeout = lifetime
	}
	return s
}

// input is a Process as the handler of its input.
type input Process

func (i *input) HandleData(_ *connection.Stream, data []byte) (int, error) { return len(data), nil }

func (i *input) HandleDrain(*connection.Stream) error {
	if i.config.Drain == nil {
		return nil
	}
	return i.config.Drain((*Process)(i))
}

func (i *input) HandleClose(s *connection.Stream, cause error) {
	if errors.Is(cause, syscall.EPIPE) {
		return // the command needn't read all of it
	}
	if (*Process)(i).closed(cause) {
		s.Loop().Logger().Warn("the input of a command failed", "source", s.Handle().Name(), "error", cause)
	}
}
