//go:build linux

package connection_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// pairs is a Dialer of socketpairs, whose other ends are in the same loop, so that nothing is left to chance.
type pairs struct {
	tb     testing.TB
	room   int               // of the kernel's buffers, in bytes; zero: as it is
	refuse func(n int) error // what Dial returns the nth time, from 1 on; nil: no error
	fail   func(n int) error // what the nth dial ends with; nil: no error
	serve  func(p *peer)     // is given the other end when it is in the loop; nil: it is left to itself
	times  []time.Time       // of the dials
	peers  []*peer
}

var _ connection.Dialer = (*pairs)(nil)

func (d *pairs) Dial(loop connection.Loop, done func(connection.Transport, error)) (cancel func(), err error) {
	d.times = append(d.times, time.Now())
	n := len(d.times)
	if d.refuse != nil {
		if err := d.refuse(n); err != nil {
			return nil, err
		}
	}
	cancelled := false
	err = loop.Post(func() {
		if cancelled {
			return
		}
		if d.fail != nil {
			if err := d.fail(n); err != nil {
				done(nil, err)
				return
			}
		}
		ours, theirs := d.sockets()
		p := &peer{number: n}
		p.Stream = newStream(d.tb, loop, theirs, p, connection.StreamConfig{Name: fmt.Sprintf("peer %d", n)})
		d.peers = append(d.peers, p)
		if d.serve != nil {
			d.serve(p)
		}
		done(ours, nil)
	})
	return func() { cancelled = true }, err
}

func (d *pairs) sockets() (ours, theirs *connection.Socket) {
	d.tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		d.tb.Fatal(err)
	}
	var ends [2]*connection.Socket
	for i, fd := range fds {
		if d.room > 0 {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, d.room)
		}
		if err == nil {
			ends[i], err = connection.NewSocket(fd)
		}
		if err != nil {
			d.tb.Fatal(err)
		}
	}
	return ends[0], ends[1]
}

// text is what the nth peer, from 1 on, has got.
func (d *pairs) text(n int) string {
	if n > len(d.peers) {
		return ""
	}
	return d.peers[n-1].got.String()
}

// lines are the whole lines that all peers have got, in the order of the connections.
func (d *pairs) lines() (all []string) {
	for _, p := range d.peers {
		all = append(all, p.lines()...)
	}
	return all
}

// peer is the other end of a connection.
type peer struct {
	*connection.Stream
	number int // of the dial
	got    bytes.Buffer
	read   int               // bytes of got that were handed to line
	line   func(line string) // nil: nothing is to be done
}

func (p *peer) HandleData(_ *connection.Stream, data []byte) (int, error) {
	p.got.Write(data)
	for p.line != nil {
		end := bytes.IndexByte(p.got.Bytes()[p.read:], '\n')
		if end < 0 {
			break
		}
		line := string(p.got.Bytes()[p.read : p.read+end])
		p.read += end + 1
		p.line(line)
	}
	return len(data), nil
}

func (p *peer) HandleClose(*connection.Stream, error) {}

func (p *peer) lines() []string {
	lines := strings.Split(p.got.String(), "\n")
	return lines[:len(lines)-1]
}

func (p *peer) say(lines ...string) {
	_, _ = p.Write([]byte(strings.Join(lines, "\n") + "\n"))
}

// reset ends the connection in a way that the other end sees as an error: with something unread.
func (p *peer) reset() { p.Abort(errTest) }

// life is what a Permanent has told.
type life struct {
	p      *connection.Permanent
	events []string
	waited []time.Duration // the pauses it was told of
}

// live makes a Permanent and notes all it tells; the functions of config are called as well.
func live(tb testing.TB, loop connection.Loop, d connection.Dialer, h message.Handler, config connection.PermanentConfig) *life {
	tb.Helper()
	l := &life{}
	if h == nil {
		h = nobody
	}
	var err error
	if l.p, err = connection.NewPermanent(loop, d, h, l.noting(config)); err != nil {
		tb.Fatal(err)
	}
	return l
}

// nobody is a handler that does nothing.
var nobody = message.HandlerFunc(func(message.Sender, *message.Message) error { return nil })

func (l *life) note(what string, details ...string) {
	l.events = append(l.events, strings.Join(append([]string{what}, details...), " "))
}

func (l *life) noting(c connection.PermanentConfig) connection.PermanentConfig {
	up, down, failed, lost, closed := c.OnUp, c.OnDown, c.OnAttemptFailed, c.Undelivered, c.Closed
	c.OnUp = func(p *connection.Permanent) error {
		l.note("up")
		if up != nil {
			return up(p)
		}
		return nil
	}
	c.OnDown = func(p *connection.Permanent, cause error) {
		l.note("down", short(cause))
		if down != nil {
			down(p, cause)
		}
	}
	c.OnAttemptFailed = func(p *connection.Permanent, err error, pause time.Duration) {
		l.note("failed", short(err))
		l.waited = append(l.waited, pause)
		if failed != nil {
			failed(p, err, pause)
		}
	}
	c.Undelivered = func(p *connection.Permanent, m *message.Message, err error) {
		l.note("lost", m.Command(), short(err))
		if lost != nil {
			lost(p, m, err)
		}
	}
	c.Closed = func(p *connection.Permanent, cause error) {
		l.note("closed", short(cause))
		if closed != nil {
			closed(p, cause)
		}
	}
	return c
}

func (l *life) expect(tb testing.TB, want ...string) {
	tb.Helper()
	if !slices.Equal(l.events, want) {
		tb.Errorf("told\n%q\nwant\n%q", l.events, want)
	}
}

// short is an error in a word.
func short(err error) string {
	for _, known := range []struct {
		err  error
		name string
	}{
		{errTest, "test"},
		{errOther, "other"},
		{connection.ErrExpired, "expired"},
		{connection.ErrInDoubt, "doubt"},
		{connection.ErrCloseTimeout, "timeout"},
		{connection.ErrRefused, "refused"},
		{connection.ErrAcknowledgeTimeout, "unacknowledged"},
		{connection.ErrClosed, "ErrClosed"},
		{connection.ErrOutputLimit, "output"},
		{communicator.ErrClosed, "loop"},
		{syscall.ECONNRESET, "reset"},
		{syscall.EPIPE, "pipe"},
		{io.ErrUnexpectedEOF, "unfinished"},
	} {
		if errors.Is(err, known.err) {
			return known.name
		}
	}
	return fmt.Sprint(err)
}

var errOther = errors.New("another error of the test")

// say sends messages given as text.
func say(tb testing.TB, to message.Sender, lines ...string) {
	tb.Helper()
	for _, line := range lines {
		m, err := message.Parse(line)
		if err != nil {
			tb.Fatal(err)
		}
		if err := to.Send(m); err != nil {
			tb.Errorf("Send %.50s: %v", line, err)
		}
	}
}

// large is a message whose line is size bytes long.
func large(command string, size int) *message.Message {
	return message.New(command).Set("v", strings.Repeat("x", size-len(command+" v=\n")))
}

// numbered makes lines such as "N i=7", from first on.
func numbered(first, count int) (lines []string) {
	for i := range count {
		lines = append(lines, fmt.Sprintf("N i=%d", first+i))
	}
	return lines
}

// again is a Backoff that loses no time.
var again = connection.Backoff{First: time.Millisecond, Max: 2 * time.Millisecond, Jitter: -1}
