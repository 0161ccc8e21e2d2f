package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/store"
	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/window"
)

// textConn is a connection with one call in flight.
type textConn struct {
	fd      int
	session string
	id      uint64
	sent    time.Duration
	in      []byte // what has come of the reply
}

// textClient is light on purpose: one epoll set, one reading and one writing a
// call, and replies compared as bytes, so that the server is the bottleneck.
type textClient struct {
	w           *window.Window
	conns       []textConn
	step        uint64 // between the ids of a connection
	line, reply []byte // scratch
}

// replySize is more than a reply has, in bytes.
const replySize = 256

// text makes calls in the text language until the window is over, conns at a time,
// beside idle connections. Package os has raised RLIMIT_NOFILE to its hard limit
// already.
func text(w *window.Window, path string, conns, idle int, spin bool) error {
	c := &textClient{w: w, conns: make([]textConn, conns+idle), step: uint64(conns + idle)}
	for i := range c.conns {
		t := &c.conns[i]
		*t = textConn{session: session(i), id: firstID + uint64(i), in: make([]byte, 0, replySize)}
		if err := t.dial(path); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		if i >= conns {
			if err := c.once(t); err != nil {
				return fmt.Errorf("idle connection %d: %w", i-conns, err)
			}
		}
	}
	wait := -1
	if spin {
		wait = 0
	}
	return c.run(conns, wait)
}

func (t *textConn) dial(path string) (err error) {
	if t.fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return os.NewSyscallError("socket", err)
	}
	return os.NewSyscallError("connect", unix.Connect(t.fd, &unix.SockaddrUnix{Name: path}))
}

// once makes one call, waiting for the reply.
func (c *textClient) once(t *textConn) error {
	if err := c.send(t, c.w.Now()); err != nil {
		return err
	}
	for {
		if done, err := c.receive(t); done || err != nil {
			return err
		}
	}
}

// run makes the calls; wait is the time-out of epoll, 0 or -1.
func (c *textClient) run(conns, wait int) error {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	for i := range conns {
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, c.conns[i].fd, &event); err != nil {
			return os.NewSyscallError("epoll_ctl", err)
		}
	}
	c.w.Started()
	for i := range conns {
		if err := c.send(&c.conns[i], c.w.Now()); err != nil {
			return err
		}
	}
	events := make([]unix.EpollEvent, 256)
	for inFlight := conns; inFlight > 0; {
		n, err := unix.EpollWait(ep, events, wait)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("epoll_wait", err)
		}
		for i := range max(n, 0) {
			t := &c.conns[events[i].Fd]
			done, err := c.receive(t)
			if err != nil {
				return fmt.Errorf("connection %d: %w", events[i].Fd, err)
			}
			if !done {
				continue
			}
			now := c.w.Now()
			if !c.w.Answered(t.sent, now) {
				inFlight--
			} else if err := c.send(t, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// transfer is a system call of which the Go scheduler is not told: this program has
// nothing else to run meanwhile.
func transfer(trap uintptr, fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), errno
}

// send sends the next call of a connection.
func (c *textClient) send(t *textConn, now time.Duration) error {
	t.id += c.step
	t.sent = now
	t.in = t.in[:0]
	c.line = append(c.line[:0], "<web1:frontend db1:store/FETCH_USER city="+city+";id="...)
	c.line = strconv.AppendUint(c.line, t.id, 10)
	c.line = append(c.line, ";lang="+lang+";limit="+limit+";session="...)
	c.line = append(append(c.line, t.session...), '\n')
	n, errno := transfer(unix.SYS_WRITE, t.fd, c.line)
	if errno != 0 {
		return os.NewSyscallError("write", errno)
	}
	if n < len(c.line) {
		return fmt.Errorf("wrote %d of %d bytes", n, len(c.line))
	}
	return nil
}

// receive reads once, and tells whether the whole reply has come.
func (c *textClient) receive(t *textConn) (done bool, err error) {
	n, errno := transfer(unix.SYS_READ, t.fd, t.in[len(t.in):cap(t.in)])
	if errno != 0 {
		return false, os.NewSyscallError("read", errno)
	}
	if n == 0 {
		return false, fmt.Errorf("the server closed, after %q", t.in)
	}
	t.in = t.in[:len(t.in)+n]
	c.reply = append(c.reply[:0], "web1:frontend/USER city="+city+";email="+store.Email+";id="...)
	c.reply = strconv.AppendUint(c.reply, t.id, 10)
	c.reply = append(c.reply, ";name="+store.Name+";session="...)
	c.reply = append(append(c.reply, t.session...), '\n')
	if !bytes.HasPrefix(c.reply, t.in) {
		return false, fmt.Errorf("wrong reply: %q, want %q", t.in, c.reply)
	}
	return len(t.in) == len(c.reply), nil
}
