//go:build linux

package connection

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

const (
	// DefaultDialTimeout is how long a connection may take to come about.
	DefaultDialTimeout = 10 * time.Second
	// DefaultAttemptDelay is the Connection Attempt Delay of RFC 8305, section 5.
	DefaultAttemptDelay = 250 * time.Millisecond
)

// Dialer makes connections of one kind to one place: tcp.Dialer, unixsock.Dialer. It can be used
// any number of times.
//
// Dial begins a connection and does not block. Later, never from within Dial, it calls done exactly
// once on the loop's goroutine, with a transport or an error; but not after cancel, which releases
// what the attempt holds.
type Dialer interface {
	Dial(loop Loop, done func(Transport, error)) (cancel func(), err error)
}

// DialStream begins a connection and puts a stream on it. The stream can be written to at once: its
// output waits for the connection. When that stands HandleOpen is called, when it doesn't come
// about HandleClose; a handler without HandleClose leaves the failure to the log. A stream without
// a name in its config is named after a dialer that has a String method.
func DialStream(loop Loop, d Dialer, h StreamHandler, config StreamConfig) (*Stream, error) {
	mustNotBeNil(h)
	if named, ok := d.(fmt.Stringer); ok && config.Name == "" {
		config.Name = named.String()
	}
	s := &Stream{handler: h, config: config.withDefaults()}
	if err := s.add(loop); err != nil {
		return nil, err
	}
	cancel, err := d.Dial(loop, s.attach)
	if err != nil {
		s.handle.Detach()
		return nil, err
	}
	s.cancel = cancel
	return s, nil
}

// attach is the outcome of dialling.
func (s *Stream) attach(t Transport, err error) {
	s.cancel = nil
	if err != nil {
		s.handle.Remove(err)
		return
	}
	s.transport = t
	s.look()
	s.beAnnounced()
	if err = s.handle.Rebind(); err == nil {
		err = s.addWriter()
	}
	if err == nil {
		s.update()
		if s.state&closing == 0 {
			err = s.opened()
		} else {
			s.readOn()
		}
	}
	if err == nil && s.handle.Active() {
		switch {
		case s.waits():
			err = s.flush()
		case s.state&closing != 0:
			err = s.linger()
		case s.state&endWriting != 0:
			err = s.endWrite()
		}
	}
	if err != nil {
		s.handle.Remove(err)
	}
}

// Connect is the work of a Dialer for sockets. It is for packages that bring a transport.
type Connect struct {
	// Lookup finds what to try. It runs on a goroutine of its own and should return when its
	// context ends. Nil: Attempts are known.
	Lookup func(context.Context) ([]Attempt, error)
	// Attempts are tried in their order: each when one before has failed, or beside those before when
	// AttemptDelay has passed. The first to connect is taken and the others are closed.
	Attempts []Attempt
	// Timeout bounds all of it. Zero: DefaultDialTimeout.
	Timeout time.Duration
	// AttemptDelay is how long an attempt goes on alone before the next one begins beside it. Zero:
	// DefaultAttemptDelay.
	AttemptDelay time.Duration
	// Name and Priority are those of the sources that do the work.
	Name     string
	Priority int
}

// Attempt makes a socket and begins to connect it. It returns a connected socket and no error; a
// socket and ErrInProgress if it will be decided when it becomes writable; no socket and an error
// that is ErrWouldBlock if it is to be called again after a pause; or no socket and another error.
type Attempt func() (*Socket, error)

// TCPAttempt connects to an address. setup, if not nil, sets options of the socket before; an error
// from it is the outcome.
func TCPAttempt(addr netip.AddrPort, setup func(fd int) error) Attempt {
	return func() (*Socket, error) {
		var sa sys.Sockaddr
		if err := sa.SetAddrPort(addr); err != nil {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
		}
		return attempt(&sa, sys.Stream, setup)
	}
}

// UnixAttempt connects to a Unix stream socket; a path that begins with @ is an abstract name.
func UnixAttempt(path string, setup func(fd int) error) Attempt {
	return unixAttempt(path, sys.Stream, setup)
}

// UnixPacketAttempt is UnixAttempt for a socket of the kind SOCK_SEQPACKET: each Write is a packet.
func UnixPacketAttempt(path string, setup func(fd int) error) Attempt {
	return unixAttempt(path, sys.SeqPacket, setup)
}

func unixAttempt(path string, kind int, setup func(fd int) error) Attempt {
	return func() (*Socket, error) {
		var sa sys.Sockaddr
		if err := sa.SetPath(path); err != nil {
			return nil, &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: path, Net: "unix"}, Err: err}
		}
		return attempt(&sa, kind, setup)
	}
}

func attempt(sa *sys.Sockaddr, kind int, setup func(fd int) error) (*Socket, error) {
	fd, err := sys.Socket(sa, kind)
	if err != nil {
		return nil, newSocket(sys.NoFD, sa).dialError(sa, err)
	}
	s := newSocket(fd, sa)
	if setup != nil {
		err = setup(fd)
	}
	if err == nil {
		err = sys.Connect(fd, sa)
	}
	if err == nil || errors.Is(err, ErrInProgress) {
		return s, err
	}
	_ = s.Close()
	return nil, s.dialError(sa, err)
}

// dialError says which address it was that couldn't be reached.
func (s *Socket) dialError(sa *sys.Sockaddr, err error) error {
	return &net.OpError{Op: "dial", Net: s.network(), Addr: s.addr(sa), Err: err}
}

// connectPause is how long an attempt waits that is to be called again: the backlog of a Unix
// socket was full, and nothing tells when it has room.
const connectPause = 10 * time.Millisecond

// Dial does the work, as Dialer says.
func (c Connect) Dial(loop Loop, done func(Transport, error)) (cancel func(), err error) {
	setDefault(&c.Timeout, DefaultDialTimeout)
	setDefault(&c.AttemptDelay, DefaultAttemptDelay)
	d := &dialling{work: c, done: done, end: time.Now().Add(c.Timeout)}
	options := communicator.Options{Name: c.Name, Priority: c.Priority, Deadline: time.Now()}
	if c.Lookup != nil {
		options.Deadline = d.end
	}
	if d.handle, err = loop.Add(d, options); err != nil {
		return nil, err
	}
	if c.Lookup != nil {
		d.lookup(loop)
	}
	return func() { d.finish(nil, nil) }, nil
}

// dialling is one dial under way. As a source it has a deadline: the next attempt, or the time
// limit.
type dialling struct {
	work     Connect
	done     func(Transport, error)
	end      time.Time
	handle   *communicator.Handle
	trying   []*trying // in progress, side by side
	failures []error
	pausing  error              // why the attempt has to be made again
	stop     context.CancelFunc // of the look-up; nil when it has ended
}

func (d *dialling) FD() int { return communicator.NoFD }

// lookup runs Lookup and takes its outcome back to the loop.
func (d *dialling) lookup(loop Loop) {
	ctx, stop := context.WithDeadline(context.Background(), d.end)
	d.stop = stop
	go func() {
		attempts, err := d.work.Lookup(ctx)
		postUntil(ctx, loop, func() {
			if d.stop == nil {
				return
			}
			d.stop()
			d.stop = nil
			if err != nil {
				if !time.Now().Before(d.end) {
					err = errors.Join(err, ErrDialTimeout)
				}
				d.finish(nil, err)
				return
			}
			d.work.Attempts = attempts
			d.handle.SetDeadline(time.Now())
		})
	}()
}

// postUntil posts f, and tries again while the queue is full and the context lasts. After the end of the
// loop nobody is interested.
func postUntil(ctx context.Context, loop Loop, f func()) {
	for errors.Is(loop.Post(f), communicator.ErrQueueFull) {
		select {
		case <-time.After(connectPause):
		case <-ctx.Done():
			return
		}
	}
}

// HandleTimeout makes the next attempt, or ends the dialling.
func (d *dialling) HandleTimeout(*communicator.Handle) error {
	if d.stop == nil && time.Now().Before(d.end) {
		d.next()
		return nil
	}
	if len(d.trying) == 0 {
		d.failures = append(d.failures, ErrDialTimeout)
	}
	for _, t := range d.trying {
		t.fail(ErrDialTimeout)
	}
	d.finish(nil, errors.Join(append(d.failures, d.pausing)...))
	return nil
}

// next makes attempts until one more is in progress, or succeeds, or none is left.
func (d *dialling) next() {
	for len(d.work.Attempts) > 0 {
		socket, err := d.work.Attempts[0]()
		d.pausing = nil
		switch {
		case err == nil:
			d.finish(socket, nil)
			return
		case errors.Is(err, ErrWouldBlock):
			d.pausing = err
			d.handle.SetDeadline(time.Now().Add(connectPause))
			return
		case errors.Is(err, ErrInProgress):
			d.work.Attempts = d.work.Attempts[1:]
			t := &trying{dialling: d, socket: socket}
			t.handle, err = d.handle.Loop().Add(t, communicator.Options{Name: d.work.Name, Priority: d.work.Priority})
			if err == nil {
				d.trying = append(d.trying, t)
				d.handle.SetDeadline(d.nextTime())
				return
			}
			_ = socket.Close()
		default:
			d.work.Attempts = d.work.Attempts[1:]
		}
		d.failures = append(d.failures, err)
	}
	if len(d.trying) > 0 {
		d.handle.SetDeadline(d.end)
		return
	}
	if d.failures == nil {
		d.failures = []error{ErrNoAddress}
	}
	d.finish(nil, errors.Join(d.failures...))
}

// nextTime is when the next attempt begins, if there is one.
func (d *dialling) nextTime() time.Time {
	next := time.Now().Add(d.work.AttemptDelay)
	if len(d.work.Attempts) > 0 && next.Before(d.end) {
		return next
	}
	return d.end
}

// finish ends the dialling; with neither a socket nor an error nobody wants to hear of it.
func (d *dialling) finish(socket *Socket, err error) {
	if d.done == nil {
		return
	}
	done := d.done
	d.done = nil
	if d.stop != nil {
		d.stop()
		d.stop = nil
	}
	for _, t := range d.trying {
		t.handle.Remove(nil)
	}
	d.trying = nil
	d.handle.Remove(nil)
	switch {
	case socket != nil:
		done(socket, nil)
	case err != nil:
		done(nil, err)
	}
}

// HandleShutdown leaves it to who dials.
func (d *dialling) HandleShutdown(*communicator.Handle) {}

// HandleClose ends the dialling when the loop ends.
func (d *dialling) HandleClose(_ *communicator.Handle, cause error) { d.finish(nil, cause) }

// trying is an attempt in progress: a socket that becomes writable when it is decided.
type trying struct {
	dialling *dialling
	socket   *Socket
	handle   *communicator.Handle
}

func (t *trying) FD() int { return t.socket.FD() }

func (t *trying) Close() error { return t.socket.Close() }

func (t *trying) HandleShutdown(*communicator.Handle) {}

func (t *trying) HandleWrite(h *communicator.Handle) error {
	d := t.dialling
	d.trying = slices.DeleteFunc(d.trying, func(other *trying) bool { return other == t })
	err := sys.ConnectError(t.socket.FD())
	if err == nil && !t.socket.unix && t.socket.LocalAddr().String() == t.socket.RemoteAddr().String() {
		// TCP connects a socket to itself when the kernel has chosen the very port that is dialled.
		err = syscall.ECONNREFUSED
	}
	if err == nil {
		h.Detach()
		d.finish(t.socket, nil)
		return nil
	}
	t.fail(err)
	d.next()
	return nil
}

// fail notes that the attempt has failed.
func (t *trying) fail(err error) {
	addr := t.socket.RemoteAddr()
	t.dialling.failures = append(t.dialling.failures, &net.OpError{Op: "dial", Net: addr.Network(), Addr: addr, Err: err})
	t.handle.Remove(nil)
}
