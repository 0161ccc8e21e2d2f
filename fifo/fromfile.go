//go:build linux

package fifo

import (
	"errors"
	"net"
	"os"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// FromFile makes a transport that reads from r and writes to w: standard input and output, a
// terminal, a pipe, a connected stream socket, a regular file, a device. They may be the same file,
// and one may be nil: what is written without w is dropped.
//
// The files belong to the transport from then on. It has descriptors of its own, and the files are
// closed at once, also on an error. Standard input, output and error are not closed: /dev/null is in
// their place then, so that what the program prints does not get between; on an error they stay as
// they are.
//
// A pipe and a terminal are opened again, so that their mode stays as it is for other processes, such
// as the shell that the terminal belongs to; a socket does not need another mode. Where that can't be
// done the file is made non-blocking for all who share it, and the transport's Close undoes that.
//
// A regular file, and a device that can't be waited for, is always ready: a stream reads it once a
// turn, writes to it all at once, and the loop waits for its disk.
func FromFile(r, w *os.File) (connection.Transport, error) {
	t, err := fromFile(r, w)
	if r != nil {
		release(r, err == nil)
	}
	if w != nil && w != r {
		release(w, err == nil)
	}
	if err != nil {
		return nil, &net.OpError{Op: "open", Net: "file", Err: err}
	}
	return t, nil
}

func fromFile(r, w *os.File) (connection.Transport, error) {
	in, out := noEnd, noEnd
	var pipe, again bool
	var err error
	if r != nil {
		if in, pipe, again, err = take(r, sys.ForReading); err != nil {
			return nil, err
		}
	}
	reader := Reader{label: label{network: "file"}, in: in, waits: pipe, unsure: pipe && again}
	if w != nil {
		if out, pipe, _, err = take(w, sys.ForWriting); err != nil {
			return nil, errors.Join(err, in.close())
		}
	}
	switch {
	case in.open() && out.open():
		return &Transport{Reader: reader, out: out}, nil
	case in.open():
		return &reader, nil
	case out.open():
		return newWriter(reader.label, out, pipe)
	}
	return nil, ErrNoFile
}

// take makes a descriptor of our own of a file's. It doesn't use File.Fd, which would change the
// file's mode. again is whether the file was opened again.
func take(f *os.File, a sys.Access) (e end, pipe, again bool, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return noEnd, false, false, err
	}
	e = noEnd
	if raw.Control(func(fd uintptr) { pipe, again, err = e.take(int(fd), a) }) != nil {
		err = os.ErrClosed // the one reason, for which package os has no public error here
	}
	if err != nil {
		return noEnd, false, false, errors.Join(&os.PathError{Op: "open", Path: f.Name(), Err: err}, e.close())
	}
	return e, pipe, again, nil
}

func (e *end) take(fd int, a sys.Access) (pipe, again bool, err error) {
	flags, err := sys.GetFlags(fd)
	if err != nil {
		return false, false, err
	}
	if !flags.Allow(a) {
		return false, false, ErrAccess
	}
	kind, err := sys.KindOf(fd)
	if err != nil {
		return false, false, err
	}
	pollable, err := sys.Pollable(fd)
	if err != nil {
		return false, false, err
	}
	terminal, master := sys.IsTerminal(fd)
	pipe = kind == sys.KindFIFO
	e.socket, e.steady, e.terminal = kind == sys.KindSocket, !pollable, terminal
	if e.socket {
		if err = sys.CheckKind(fd, sys.Stream); err != nil {
			return false, false, err
		}
	}
	asItIs := e.socket || e.steady || flags.Nonblocking()
	if !asItIs && (pipe || terminal && !master) {
		if e.fd, err = sys.Reopen(fd, "", a); err == nil {
			return pipe, true, nil
		}
	}
	if e.fd, err = sys.Dup(fd); err != nil || asItIs {
		return pipe, false, err
	}
	e.restored, e.flags = true, flags
	return pipe, false, sys.SetNonblock(e.fd)
}

// release lets go of a file whose descriptor was duplicated.
func release(f *os.File, done bool) {
	standard := false
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			if standard = fd <= 2; standard && done {
				_ = sys.Empty(int(fd))
			}
		})
	}
	if !standard {
		_ = f.Close() // its last duplicate, ours, may still have to tell of a failure
	}
}
