// Command textline is the baseline of the benchmark call: the text language by
// hand, with one goroutine and one level-triggered epoll set. It has what a correct
// server needs (lines in pieces, partial writes wait for EPOLLOUT, reading pauses
// meanwhile) and nothing else: one command, values without quotes and backslashes,
// and names that nobody checks.
package main

import (
	"bytes"
	"errors"
	"log"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/peer"
	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/store"
)

const (
	bufferSize = 64 << 10 // bytes; no line is longer
	batch      = 256      // events taken at once
	backlog    = 4096
)

type server struct {
	epoll, listener int
	conns           []conn // by descriptor
	in, out         []byte
}

type conn struct {
	part []byte // the beginning of a line
	out  []byte // what the kernel did not take; nothing is read meanwhile
}

func main() {
	path, err := peer.Path()
	if err != nil {
		log.Fatal(err)
	}
	s := &server{in: make([]byte, bufferSize)}
	if err := s.listen(path); err != nil {
		log.Fatal(err)
	}
	peer.Listening(path)
	log.Fatal(s.run())
}

func (s *server) listen(path string) (err error) {
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	s.listener, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(s.listener, &unix.SockaddrUnix{Name: path}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(s.listener, backlog); err != nil {
		return os.NewSyscallError("listen", err)
	}
	return s.watch(unix.EPOLL_CTL_ADD, s.listener, unix.EPOLLIN)
}

func (s *server) watch(op, fd int, events uint32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(s.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}))
}

func (s *server) run() error {
	events := make([]unix.EpollEvent, batch)
	for {
		n, err := unix.EpollWait(s.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("epoll_wait", err)
		}
		for i := range max(n, 0) {
			fd := int(events[i].Fd)
			switch {
			case fd == s.listener:
				err = s.accept()
			case s.conns[fd].out != nil:
				err = s.flush(fd)
			default:
				err = s.readable(fd)
			}
			if err != nil {
				return err
			}
		}
	}
}

func (s *server) accept() error {
	for range 64 {
		fd, _, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
		case unix.EAGAIN, unix.EINTR, unix.ECONNABORTED:
			return nil
		default:
			return os.NewSyscallError("accept4", err)
		}
		for fd >= len(s.conns) {
			s.conns = append(s.conns, conn{})
		}
		if err := s.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) drop(fd int) error {
	s.conns[fd] = conn{}
	return os.NewSyscallError("close", unix.Close(fd))
}

// transfer is a system call on a descriptor that doesn't block, so the Go scheduler
// need not be told of it.
func transfer(trap uintptr, fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), errno
}

// readable reads once, answers the lines and writes once.
func (s *server) readable(fd int) error {
	c := &s.conns[fd]
	n := copy(s.in, c.part)
	got, errno := transfer(unix.SYS_READ, fd, s.in[n:])
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return nil
	case errno != 0 || got == 0: // also when the buffer is full of one line
		return s.drop(fd)
	}
	data, out := s.in[:n+got], s.out[:0]
	for {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			break
		}
		var ok bool
		if out, ok = answer(out, data[:i]); !ok {
			return s.drop(fd)
		}
		data = data[i+1:]
	}
	c.part = append(c.part[:0], data...)
	s.out = out
	if len(out) == 0 {
		return nil
	}
	written, errno := transfer(unix.SYS_WRITE, fd, out)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		written = 0
	case errno != 0:
		return s.drop(fd)
	}
	if written == len(out) {
		return nil
	}
	c.out = bytes.Clone(out[written:])
	return s.watch(unix.EPOLL_CTL_MOD, fd, unix.EPOLLOUT)
}

// flush writes what the kernel did not take before.
func (s *server) flush(fd int) error {
	c := &s.conns[fd]
	n, errno := transfer(unix.SYS_WRITE, fd, c.out)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return nil
	case errno != 0:
		return s.drop(fd)
	}
	if c.out = c.out[n:]; len(c.out) > 0 {
		return nil
	}
	c.out = nil
	return s.watch(unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN)
}

// field is a parameter, in the buffer that was read into.
type field struct{ name, value []byte }

const maxFields = 8

// answer appends the reply to a line; false if there is none.
func answer(out, line []byte) ([]byte, bool) {
	sender, rest, ok := cut(line, ' ')
	if !ok || len(sender) == 0 || sender[0] != '<' {
		return out, false
	}
	head, rest, _ := cut(rest, ' ')
	if string(head[bytes.IndexByte(head, '/')+1:]) != "FETCH_USER" {
		return out, false
	}
	var all [maxFields]field
	n := 0
	for ; len(rest) > 0 && n < maxFields; n++ {
		var pair []byte
		pair, rest, _ = cut(rest, ';')
		if all[n].name, all[n].value, ok = cut(pair, '='); !ok {
			return out, false
		}
	}
	fields := all[:n]
	if len(get(fields, "lang")) == 0 || len(get(fields, "limit")) == 0 {
		return out, false
	}
	out = append(out, sender[1:]...)
	out = append(out, "/USER city="...)
	out = append(out, get(fields, "city")...)
	out = append(out, ";email="+store.Email+";id="...)
	out = append(out, get(fields, "id")...)
	out = append(out, ";name="+store.Name+";session="...)
	out = append(out, get(fields, "session")...)
	return append(out, '\n'), true
}

func get(fields []field, name string) []byte {
	for i := range fields {
		if string(fields[i].name) == name {
			return fields[i].value
		}
	}
	return nil
}

func cut(b []byte, at byte) (before, after []byte, found bool) {
	if i := bytes.IndexByte(b, at); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
}
