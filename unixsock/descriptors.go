//go:build linux

package unixsock

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// Write writes data to a stream, as Stream.Write does, and passes the files' descriptors along: they
// go with the first byte of data, whatever waits in front of it. The files stay the caller's, who
// may close them at once.
//
// The errors are those of Stream.Write; ErrNoDescriptors; ErrDescriptors when more descriptors
// would wait to be sent than the connection's limit allows, or one write has more than 253, which
// the kernel doesn't take; for a file that is closed os.ErrClosed; and ETOOMANYREFS when more
// descriptors of this user, over all sockets, were sent and not received yet than RLIMIT_NOFILE allows.
// After all but those of Stream.Write the stream goes on, and nothing of this was written. Descriptors
// that have to wait can meet ETOOMANYREFS later; that ends the stream. So does EPERM, of a peer that
// takes none, since Linux 6.16.
func Write(s *connection.Stream, data []byte, files ...*os.File) error {
	if len(data) == 0 && len(files) > 0 {
		return ErrNoDescriptors
	}
	return pass(s, files, func() error {
		_, err := s.Write(data)
		return err
	})
}

// Send sends a message, as MessageConn.Send does, and passes the files' descriptors along, as Write
// does. Its errors are those of both.
func Send(c *connection.MessageConn, m *message.Message, files ...*os.File) error {
	return pass(c.Stream(), files, func() error { return c.Send(m) })
}

// pass lets descriptors go with the first byte that write writes.
func pass(s *connection.Stream, files []*os.File, write func() error) error {
	if len(files) == 0 {
		return write()
	}
	t, ok := s.Transport().(*passing)
	switch {
	case s.Transport() == nil:
		return ErrDialling
	case !ok:
		return ErrNoDescriptors
	}
	if len(files) > sys.MaxDescriptors || len(files) > t.limit-t.leaving() {
		return ErrDescriptors
	}
	fds, err := dupAll(files)
	if err != nil {
		return err
	}
	if err = sys.CheckPassing(t.FD(), fds); err != nil {
		sys.CloseAll(fds)
		return t.wrap("write", err)
	}
	d := &departure{at: t.written + s.Written() - s.Sent(), fds: fds}
	t.out = append(t.out, d)
	if err = write(); err != nil {
		t.cancel(d)
	}
	return err
}

// Descriptors takes what has come along with the bytes of a stream: what the peer passed in one
// write, of several the first. It returns nil when there is nothing to take. The files are the
// caller's, who closes them, and close-on-exec.
//
// They are here when the byte that they came with is handed to the handler, together with what came
// before it in the same read; so a message has to tell that descriptors belong to it. Those that
// nobody has taken are closed when the handler has consumed all that came in that read, and at the
// latest with the connection. All are closed when there are more than the connection's limit.
func Descriptors(s *connection.Stream) []*os.File {
	t, ok := s.Transport().(*passing)
	if !ok || len(t.in) == 0 {
		return nil
	}
	n := t.group()
	files := make([]*os.File, n)
	for i, a := range t.in[:n] {
		files[i] = os.NewFile(uintptr(a.fd), "passed descriptor")
	}
	t.in = slices.Delete(t.in, 0, n)
	return files
}

// dupAll duplicates the files' descriptors, so that the files may be closed before these have gone.
func dupAll(files []*os.File) ([]int, error) {
	fds := make([]int, 0, len(files))
	for _, f := range files {
		fd, err := dup(f)
		if err != nil {
			sys.CloseAll(fds)
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func dup(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	if closed := raw.Control(func(orig uintptr) { fd, err = sys.Dup(int(orig)) }); closed != nil {
		return 0, &os.PathError{Op: "dup", Path: f.Name(), Err: os.ErrClosed}
	}
	return fd, err
}

// passing is the Transport of a Unix stream socket along whose bytes descriptors are passed. It
// counts the bytes both ways, and knows which descriptors belong to which.
type passing struct {
	*connection.Socket
	limit   int
	read    uint64
	written uint64
	in      []arrival    // in the order in which they came
	out     []*departure // in the order in which they go
	room    []int        // for what comes with one read
}

// arrival is a descriptor that has come and was not taken.
type arrival struct {
	fd  int
	end uint64 // of the read that brought it
}

// departure is descriptors that go with one byte.
type departure struct {
	at  uint64
	fds []int
}

// WithDescriptors lets descriptors be passed along the bytes of each connection, up to that many at a
// time: see ListenConfig.Descriptors, which Listen does it for. With limit 0, or less, a peer that sends
// some gets EPERM; before Linux 6.16 nothing is changed then. It is for connection.ListenFD and
// connection.ListenOn, whose Unix socket a service manager or package net has made. A transport that is
// no *connection.Socket of a Unix socket is served as it is.
//
// With a Filter too, that comes first: filter.Serve(unixsock.WithDescriptors(serve, n)).
func WithDescriptors(serve connection.Serve, limit int) connection.Serve {
	if serve == nil {
		return nil
	}
	return func(loop *communicator.Communicator, t connection.Transport) error {
		s, ok := t.(*connection.Socket)
		if !ok || sys.CheckUnix(s.FD()) != nil {
			return serve(loop, t)
		}
		var err error
		if limit > 0 {
			t, err = newPassing(s, limit), sys.AllowDescriptors(s.FD())
		} else {
			err = sys.RefuseDescriptors(s.FD())
		}
		if err != nil {
			return errors.Join(&net.OpError{Op: "accept", Net: "unix", Source: s.LocalAddr(), Err: err}, t.Close())
		}
		return serve(loop, t)
	}
}

func newPassing(s *connection.Socket, limit int) *passing {
	return &passing{Socket: s, limit: limit, room: make([]int, min(limit, sys.MaxDescriptors))}
}

// Read reads what there is, up to len(p), and keeps the descriptors that come along. The kernel ends
// a read behind the bytes that it had with descriptors, so that one read brings those of one write.
func (t *passing) Read(p []byte) (int, error) {
	n, nfds, _, err := sys.RecvMsg(t.FD(), p, nil, t.room[:min(len(t.room), t.limit-len(t.in))])
	if err != nil {
		return 0, t.wrap("read", err)
	}
	t.read += uint64(n)
	for _, fd := range t.room[:nfds] {
		t.in = append(t.in, arrival{fd, t.read})
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Consumed closes what was not taken of the descriptors of those reads of which nothing is left.
func (t *passing) Consumed(left int) error {
	if len(t.in) > 0 {
		done := t.read - uint64(left)
		t.drop(func(a arrival) bool { return a.end <= done })
	}
	return nil
}

func (t *passing) drop(which func(arrival) bool) {
	t.in = slices.DeleteFunc(t.in, func(a arrival) bool {
		if !which(a) {
			return false
		}
		sys.Discard([]int{a.fd})
		return true
	})
}

// group is how many descriptors came first, together.
func (t *passing) group() int {
	n := 1
	for n < len(t.in) && t.in[n].end == t.in[0].end {
		n++
	}
	return n
}

// Write writes what the kernel takes. It begins a message of its own with each byte that
// descriptors go with.
func (t *passing) Write(p []byte) (n int, err error) {
	for n < len(p) {
		end, fds := t.part(len(p) - n)
		var done int
		if fds == nil {
			done, err = sys.Send(t.FD(), p[n:n+end])
		} else {
			done, err = sys.SendMsg(t.FD(), p[n:n+end], nil, fds)
		}
		if err != nil {
			return n, t.wrap("write", err)
		}
		if done > 0 && fds != nil {
			sys.CloseAll(fds)
			t.out = slices.Delete(t.out, 0, 1)
		}
		n += done
		t.written += uint64(done)
		if done < end {
			break
		}
	}
	return n, nil
}

// part is how much of the next size bytes goes in one message, and with which descriptors.
func (t *passing) part(size int) (end int, fds []int) {
	next := t.out
	if len(next) > 0 && next[0].at == t.written {
		fds, next = next[0].fds, next[1:]
	}
	if len(next) > 0 && next[0].at-t.written < uint64(size) {
		size = int(next[0].at - t.written)
	}
	return size, fds
}

// leaving is how many descriptors wait to be sent.
func (t *passing) leaving() (n int) {
	for _, d := range t.out {
		n += len(d.fds)
	}
	return n
}

// cancel gives up descriptors whose bytes will not be written, if they haven't gone.
func (t *passing) cancel(d *departure) {
	if i := slices.Index(t.out, d); i >= 0 {
		sys.CloseAll(d.fds)
		t.out = slices.Delete(t.out, i, i+1)
	}
}

// Close closes the socket and all descriptors that were not taken, or not sent.
func (t *passing) Close() error {
	t.drop(func(arrival) bool { return true })
	for _, d := range t.out {
		sys.CloseAll(d.fds)
	}
	t.out = nil
	sys.DiscardUnread(t.FD())
	return t.Socket.Close()
}

func (t *passing) wrap(op string, err error) error {
	if err == connection.ErrWouldBlock { //nolint:errorlint // the sentinel itself, on the way of every read
		return err
	}
	return &net.OpError{Op: op, Net: "unix", Source: t.LocalAddr(), Addr: t.RemoteAddr(), Err: err}
}
