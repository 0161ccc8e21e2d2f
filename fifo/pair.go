//go:build linux

package fifo

import (
	"errors"
	"os"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Pair makes two pipes: what is written to one transport is read from the other. They may be in one
// loop or in two.
func Pair() (a, b *Transport, err error) {
	p, err := makePipes()
	if err != nil {
		return nil, nil, err
	}
	for _, fd := range p {
		if err == nil {
			err = sys.SetNonblock(fd)
		}
	}
	if err != nil {
		return nil, nil, pipeError(errors.Join(err, p.close()))
	}
	return newPipe(p[0], p[3]), newPipe(p[2], p[1]), nil
}

// ForChild makes two pipes to a child process. stdin and stdout are the child's ends, which block as
// a program expects of them: they are for the Stdin and Stdout, or ExtraFiles, of an exec.Cmd.
// Close both after its Start, or the child's end goes unnoticed.
//
// The stream ends when the child closes its ends, not when it exits: Wait of the exec.Cmd, on a goroutine, tells its status,
// and something must be in the loop until that has posted it. Output that the child no longer reads is EPIPE.
//
// A child that writes as it reads, such as a filter, needs a StreamConfig.HighWater above all that is
// written to it at once: a stream above the mark does not read, and then each waits for the other.
func ForChild() (t *Transport, stdin, stdout *os.File, err error) {
	p, err := makePipes()
	if err != nil {
		return nil, nil, nil, err
	}
	if err = sys.SetNonblock(p[1]); err == nil {
		err = sys.SetNonblock(p[2])
	}
	if err != nil {
		return nil, nil, nil, pipeError(errors.Join(err, p.close()))
	}
	return newPipe(p[2], p[1]), os.NewFile(uintptr(p[0]), "stdin"), os.NewFile(uintptr(p[3]), "stdout"), nil
}

// SocketPair makes two connected Unix stream sockets. child is for the Stdin and Stdout, or the
// ExtraFiles, of an exec.Cmd; close it after its Start.
func SocketPair() (s *connection.Socket, child *os.File, err error) {
	here, there, err := sys.SocketPair()
	if err != nil {
		return nil, nil, pipeError(err)
	}
	if s, err = connection.NewSocket(here); err != nil {
		return nil, nil, pipeError(errors.Join(err, sys.Close(there)))
	}
	return s, os.NewFile(uintptr(there), "socketpair"), nil
}

// pipes are the ends of two pipes: reading and writing of the first, then of the second.
type pipes [4]int

func makePipes() (p pipes, err error) {
	if p[0], p[1], err = sys.Pipe(); err != nil {
		return p, pipeError(err)
	}
	if p[2], p[3], err = sys.Pipe(); err != nil {
		return p, pipeError(errors.Join(err, sys.Close(p[0]), sys.Close(p[1])))
	}
	return p, nil
}

func (p *pipes) close() (err error) {
	for _, fd := range p {
		err = errors.Join(err, sys.Close(fd))
	}
	return err
}

func newPipe(r, w int) *Transport {
	return &Transport{Reader: Reader{label: label{network: "pipe"}, in: end{fd: r}}, out: end{fd: w}}
}

func pipeError(err error) error {
	l := label{network: "pipe"}
	return l.wrap("open", err)
}
