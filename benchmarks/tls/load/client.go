package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/secure"
	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/window"
)

// client is a connection.
type client struct {
	*options
	fd        int
	seal      *half
	open      *half
	pattern   []byte // request n begins at n modulo period
	sent      []time.Duration
	queued    int    // bytes sent
	read      int    // bytes that have come back
	part      []byte // of a record that has not come as a whole
	text, out []byte // scratch
	over      bool   // nothing more is sent
}

// period is after how many requests their content comes again.
const period = 251

// dial connects and shakes hands.
func (o *options) dial(i int) (*client, error) {
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", o.port))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var log secrets
	config := secure.Client()
	config.KeyLogWriter = &log
	t := tls.Client(conn, config)
	if err := t.Handshake(); err != nil {
		return nil, err
	}
	c := &client{options: o, sent: make([]time.Duration, o.depth), pattern: make([]byte, period+o.size)}
	for k := range c.pattern {
		c.pattern[k] = byte((i+1)*31 + k%period*7)
	}
	if c.seal, c.open, err = log.halves(t.ConnectionState()); err != nil {
		return nil, err
	}
	// A descriptor of its own, of which the Go scheduler knows nothing; it blocks.
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	if e := raw.Control(func(fd uintptr) { c.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); e != nil || err != nil {
		return nil, errors.Join(e, os.NewSyscallError("fcntl", err))
	}
	return c, os.NewSyscallError("fcntl", unix.SetNonblock(c.fd, false))
}

// request is the text of a request, by its number.
func (c *client) request(n int) []byte {
	n %= period
	return c.pattern[n : n+c.size]
}

// transfer is a system call of which the Go scheduler is not told: this program has nothing else to run
// meanwhile.
func transfer(trap uintptr, fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), errno
}

// send sends n requests.
func (c *client) send(n int, now time.Duration) error {
	c.text, c.out = c.text[:0], c.out[:0]
	for range n {
		k := c.queued / c.size
		c.sent[k%c.depth] = now
		c.queued += c.size
		c.text = append(c.text, c.request(k)...)
		if c.records {
			c.flush()
		}
	}
	c.flush()
	for rest := c.out; len(rest) > 0; {
		n, errno := transfer(unix.SYS_WRITE, c.fd, rest)
		if errno != 0 && errno != unix.EINTR {
			return os.NewSyscallError("write", errno)
		}
		rest = rest[max(n, 0):]
	}
	return nil
}

// flush makes records of the text.
func (c *client) flush() {
	for rest := c.text; len(rest) > 0; {
		n := min(len(rest), maxRecord)
		c.out = c.seal.seal(c.out, rest[:n])
		rest = rest[n:]
	}
	c.text = c.text[:0]
}

// receive reads once, into buf behind what it has of a record, and checks the text of all whole records. It
// returns how many requests that has answered.
func (c *client) receive(buf []byte) (answered int, err error) {
	had := copy(buf, c.part)
	n, errno := transfer(unix.SYS_READ, c.fd, buf[had:])
	switch {
	case errno == unix.EINTR:
		return 0, nil
	case errno != 0:
		return 0, os.NewSyscallError("read", errno)
	case n == 0:
		return 0, errors.New("the server closed")
	}
	before := c.read / c.size
	in := buf[:had+n]
	for {
		text, rest, err := c.open.open(in)
		if err == nil {
			err = c.check(text)
		}
		if err != nil {
			return 0, err
		}
		if len(rest) == len(in) {
			break
		}
		in = rest
	}
	c.part = append(c.part[:0], in...)
	return c.read/c.size - before, nil
}

// check compares what has come with what has to come.
func (c *client) check(got []byte) error {
	if c.read+len(got) > c.queued {
		return errors.New("more bytes than were sent")
	}
	for len(got) > 0 {
		want := c.request(c.read / c.size)[c.read%c.size:]
		n := min(len(want), len(got))
		if !bytes.Equal(want[:n], got[:n]) {
			return errors.New("wrong bytes")
		}
		got = got[n:]
		c.read += n
	}
	return nil
}

// exchange makes one request, waiting for the reply.
func (c *client) exchange(buf []byte) error {
	if err := c.send(1, 0); err != nil {
		return err
	}
	for c.read < c.queued {
		if _, err := c.receive(buf); err != nil {
			return err
		}
	}
	return nil
}

// event reads once, and sends as much as was answered.
func (c *client) event(w *window.Window, buf []byte) error {
	first := c.read / c.size
	n, err := c.receive(buf)
	if err != nil {
		return fmt.Errorf("at byte %d: %w", c.read, err)
	}
	now := w.Now()
	for k := first; k < first+n; k++ {
		for begin := time.Now(); c.work > 0 && time.Since(begin) < c.work; {
		}
		c.over = !w.Answered(c.sent[k%c.depth], now) || c.over
	}
	if c.records {
		n = 0
		if c.read == c.queued {
			n = c.depth
		}
	}
	if n == 0 || c.over {
		return nil
	}
	return c.send(n, now)
}
