//go:build linux

package shmconn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// blocking is what DialConn returns.
type blocking interface {
	net.Conn
	CloseWrite() error
}

// serves has a service on a loop of its own, and returns what dials it.
func serves(tb testing.TB, serve connection.Serve) (shmconn.Dialer, *communicator.Communicator) {
	tb.Helper()
	loop, _ := runs(tb)
	d := shmconn.Dialer{Path: ringPath(tb), Ring: shmconn.Config{Capacity: suiteCapacity}}
	looptest.Do(tb, loop, func() {
		if _, err := shmconn.Listen(loop, d.Path, serve, shmconn.ListenConfig{Ring: d.Ring}); err != nil {
			tb.Error(err)
		}
	})
	return d, loop
}

func servesBytes(tb testing.TB, h connection.StreamHandler) (shmconn.Dialer, *communicator.Communicator) {
	tb.Helper()
	return serves(tb, connection.Streams(h, connection.StreamConfig{}))
}

func dialConn(tb testing.TB, d shmconn.Dialer) blocking {
	tb.Helper()
	conn, err := d.DialConn(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn.(blocking)
}

// await returns what a call returns that may wait for ever.
func await(tb testing.TB, what string, call func() (int, error)) (n int, err error) {
	tb.Helper()
	done := begun(call)
	return done(tb, what)
}

// begun begins a call, and returns what waits for its end.
func begun(call func() (int, error)) func(tb testing.TB, what string) (n int, err error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := call()
		done <- result{n, err}
	}()
	return func(tb testing.TB, what string) (n int, err error) {
		tb.Helper()
		r := looptest.Await(tb, done, what)
		return r.n, r.err
	}
}

func reading(c net.Conn) func() (int, error) {
	return func() (int, error) { return c.Read(make([]byte, 1)) }
}

func writing(c net.Conn, size int) func() (int, error) {
	return func() (int, error) { return c.Write(make([]byte, size)) }
}

// isOp holds that an error is one of package net, of that operation over a ring, and of that cause.
func isOp(tb testing.TB, what string, err error, op string, cause error) {
	tb.Helper()
	if operation := (*net.OpError)(nil); !errors.Is(err, cause) || !errors.As(err, &operation) ||
		operation.Op != op || operation.Net != "shm" || strings.Contains(err.Error(), "\n") {
		tb.Errorf("%s: %v; want that it can't %s because of: %v", what, err, op, cause)
	}
}

var echoStream = connection.DataFunc(func(s *connection.Stream, data []byte) (int, error) { return s.Write(data) })

// TestDialConnBytes: what is written comes back, however much, and the end after it.
func TestDialConnBytes(t *testing.T) {
	d, _ := servesBytes(t, echoStream)
	for name, config := range map[string]shmconn.Config{
		"as it is": {}, "small": {Capacity: shmconn.MinCapacity}, "spinning": {Capacity: suiteCapacity, Spin: 20 * time.Microsecond},
	} {
		for _, length := range []int{0, 1, 1 << 16, 1<<20 + 1} {
			t.Run(fmt.Sprint(name, " ", length), func(t *testing.T) {
				d := d
				d.Ring = config
				conn := dialConn(t, d)
				if a := conn.RemoteAddr(); a != shmconn.Addr(d.Path) || conn.LocalAddr() != shmconn.Addr("") {
					t.Errorf("connected from %v to %v", conn.LocalAddr(), a)
				}
				text := bytes.Repeat([]byte("x1y"), length/3+1)[:length]
				written := begun(func() (int, error) {
					n, err := conn.Write(text)
					return n, errors.Join(err, conn.CloseWrite())
				})
				got, err := io.ReadAll(conn)
				if !bytes.Equal(got, text) || err != nil {
					t.Errorf("%d bytes came back, %v", len(got), err)
				}
				if n, err := written(t, "Write"); n != length || err != nil {
					t.Errorf("Write: %d, %v", n, err)
				}
				n, err := conn.Write([]byte("x"))
				isOp(t, fmt.Sprint("after CloseWrite ", n), err, "write", syscall.EPIPE)
				if err := errors.Join(conn.CloseWrite(), conn.Close()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// pauser reads nothing until it is told to, and then hands over all that it gets until the end.
type pauser struct {
	opened chan *connection.Stream
	text   []byte
	got    chan string
}

func newPauser() *pauser {
	return &pauser{opened: make(chan *connection.Stream, 1), got: make(chan string, 1)}
}

func (p *pauser) HandleOpen(s *connection.Stream) error {
	s.Pause()
	p.opened <- s
	return nil
}

func (p *pauser) HandleData(_ *connection.Stream, data []byte) (int, error) {
	p.text = append(p.text, data...)
	return len(data), nil
}

func (p *pauser) HandleClose(_ *connection.Stream, cause error) {
	if cause != nil {
		p.text = append(p.text, cause.Error()...)
	}
	p.got <- string(p.text)
}

func (p *pauser) resume(tb testing.TB) {
	tb.Helper()
	s := looptest.Await(tb, p.opened, "the peer's beginning")
	looptest.Do(tb, s.Loop(), s.Resume)
}

// all is all that it has got, when it has ended.
func (p *pauser) all(tb testing.TB) string {
	tb.Helper()
	return looptest.Await(tb, p.got, "the peer's end")
}

// TestDialConnClose: Close delivers what was written, ends what is under way, and all that follows. A Write that was ended
// says how much of it is delivered.
func TestDialConnClose(t *testing.T) {
	fdtest.Check(t)
	nothingMapped(t)
	p := newPauser()
	d, _ := servesBytes(t, p)
	conn := dialConn(t, d)
	if _, err := io.WriteString(conn, "last words"); err != nil {
		t.Fatal(err)
	}
	isRead, isWritten, waits := begun(reading(conn)), begun(writing(conn, 10*suiteCapacity)), begun(writing(conn, 1))
	_ = conn.SetReadDeadline(time.Now()) // Write has begun when the ring is full: nothing tells that but time
	_, err := isRead(t, "Read")
	isOp(t, "Read", err, "read", os.ErrDeadlineExceeded)
	_ = conn.SetReadDeadline(time.Time{})
	isRead = begun(reading(conn))
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	written, err := isWritten(t, "Write")
	isOp(t, "Write", err, "write", net.ErrClosed)
	m, err := waits(t, "the other Write")
	if m == 0 { // else it was first
		isOp(t, "the other Write", err, "write", net.ErrClosed)
	}
	_, err = isRead(t, "Read")
	isOp(t, "Read", err, "read", net.ErrClosed)
	_, err = conn.Read(nil)
	isOp(t, "Read", err, "read", net.ErrClosed)
	_, err = conn.Write(nil)
	isOp(t, "Write", err, "write", net.ErrClosed)
	isOp(t, "Close", conn.Close(), "close", net.ErrClosed)
	isOp(t, "CloseWrite", conn.CloseWrite(), "close", net.ErrClosed)
	isOp(t, "SetDeadline", conn.SetDeadline(time.Now()), "set", net.ErrClosed)
	p.resume(t)
	if got, want := p.all(t), "last words"+strings.Repeat("\x00", written+m); got != want {
		t.Errorf("of %d bytes %d have arrived: %.20q...", len(want), len(got), got)
	}
}

// TestDialConnDeadlines: deadlines end what waits, also what began before they were set, and can be moved.
func TestDialConnDeadlines(t *testing.T) {
	const large = 10 * suiteCapacity
	for name, call := range map[string]func(net.Conn) func() (int, error){
		"read":  reading,
		"write": func(c net.Conn) func() (int, error) { return writing(c, large) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPauser()
			d, _ := servesBytes(t, p)
			conn := dialConn(t, d)
			set := conn.SetReadDeadline
			if name == "write" {
				set = conn.SetWriteDeadline
			}
			total := 0
			passes := func(what string, n int, err error) {
				t.Helper()
				var timeout net.Error
				if isOp(t, what, err, name, os.ErrDeadlineExceeded); !errors.As(err, &timeout) || !timeout.Timeout() {
					t.Errorf("%s: %v is no timeout", what, err)
				}
				if total += n; n >= large {
					t.Errorf("%s: %d bytes", what, n)
				}
			}
			for _, tt := range []struct {
				what string
				at   time.Time
			}{
				{"passed", time.Now().Add(-time.Second)},
				{"long ago", time.Unix(0, 1)},
				{"soon", time.Now().Add(10 * time.Millisecond)},
				{"still", time.Time{}}, // it isn't set
				{"soon by the wall clock", time.Now().Add(20 * time.Millisecond).Round(0)},
			} {
				if !tt.at.IsZero() {
					_ = set(tt.at)
				}
				n, err := await(t, tt.what, call(conn))
				passes(tt.what, n, err)
			}
			_ = set(time.Time{})
			waits := begun(call(conn))
			_ = set(time.Now().Add(time.Hour))
			_ = conn.SetDeadline(time.Now())
			n, err := waits(t, "moved")
			passes("moved", n, err)

			_ = conn.SetDeadline(time.Time{}) // it is as good as before
			waits = begun(func() (int, error) { return io.WriteString(conn, "last words") })
			p.resume(t)
			if n, err = waits(t, "Write"); n != len("last words") || err != nil {
				t.Errorf("Write: %d, %v", n, err)
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			if got, want := p.all(t), strings.Repeat("\x00", total)+"last words"; got != want {
				t.Errorf("of %d bytes %d have arrived", len(want), len(got))
			}
		})
	}
}

// TestDialConnReadsNothing: a Read without room waits for nothing.
func TestDialConnReadsNothing(t *testing.T) {
	d, _ := servesBytes(t, newPauser())
	conn := dialConn(t, d)
	if n, err := await(t, "Read", func() (int, error) { return conn.Read(nil) }); n != 0 || err != nil {
		t.Errorf("Read: %d, %v", n, err)
	}
}

// TestDialConnWriters: what several goroutines write doesn't get mixed.
func TestDialConnWriters(t *testing.T) {
	const each, count = 10 * suiteCapacity, 3
	d, _ := servesBytes(t, echoStream)
	conn := dialConn(t, d)
	var ends []func(testing.TB, string) (int, error)
	for w := range count {
		ends = append(ends, begun(func() (int, error) { return conn.Write(bytes.Repeat([]byte{byte('a' + w)}, each)) }))
	}
	p := make([]byte, count*each)
	if _, err := io.ReadFull(conn, p); err != nil {
		t.Fatal(err)
	}
	if pieces := slices.Compact(p); len(pieces) != count {
		t.Errorf("it is mixed: %.50q", pieces)
	}
	for _, end := range ends {
		if n, err := end(t, "Write"); n != each || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
	}
}

// TestDialConnReaders: what comes reaches one of many that read, and the end all.
func TestDialConnReaders(t *testing.T) {
	const size = 20 * suiteCapacity
	d, _ := servesBytes(t, echoStream)
	conn := dialConn(t, d)
	var ends []func(testing.TB, string) (int, error)
	for range 4 {
		ends = append(ends, begun(func() (int, error) {
			n, err := io.Copy(io.Discard, conn)
			return int(n), err
		}))
	}
	if n, err := await(t, "Write", writing(conn, size)); n != size || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Error(err)
	}
	total := 0
	for _, end := range ends {
		n, err := end(t, "a reader")
		if total += n; err != nil {
			t.Error(err)
		}
	}
	if total != size {
		t.Errorf("of %d bytes %d have come", size, total)
	}
}

// TestDialConnCloseWriteWhileWriting: a Write that waits ends, and what it has written is delivered.
func TestDialConnCloseWriteWhileWriting(t *testing.T) {
	p := newPauser()
	d, _ := servesBytes(t, p)
	conn := dialConn(t, d)
	_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	filled, err := await(t, "Write", writing(conn, 10*suiteCapacity))
	isOp(t, "Write", err, "write", os.ErrDeadlineExceeded)
	_ = conn.SetWriteDeadline(time.Time{})
	waits := begun(writing(conn, suiteCapacity))
	if err := conn.CloseWrite(); err != nil {
		t.Error(err)
	}
	n, err := waits(t, "Write")
	isOp(t, "Write", err, "write", syscall.EPIPE)
	p.resume(t)
	if got := p.all(t); len(got) != filled+n {
		t.Errorf("of %d bytes %d have arrived", filled+n, len(got))
	}
	if n, err := await(t, "Read", reading(conn)); n != 0 || err != io.EOF { //nolint:errorlint // by contract the sentinel itself
		t.Errorf("Read: %d, %v", n, err)
	}
}

// flooder sends much, and then tells for each byte that comes how much of it waits.
type flooder chan int

const flood = 4 << 20

func (flooder) HandleOpen(s *connection.Stream) error {
	_, err := s.Write(make([]byte, flood))
	return err
}

func (f flooder) HandleData(s *connection.Stream, data []byte) (consumed int, err error) {
	for range data {
		f <- s.QueuedBytes()
	}
	return len(data), nil
}

// TestDialConnBackPressure: what nobody reads is not taken from the ring.
func TestDialConnBackPressure(t *testing.T) {
	queued := make(flooder, 1)
	d, _ := serves(t, connection.Streams(queued, connection.StreamConfig{HighWater: 2 * flood, MaxOutput: 4 * flood})) // it reads whatever waits
	conn := dialConn(t, d)
	for range 10 {
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n := looptest.Await(t, queued, "the service"); n < flood-suiteCapacity {
			t.Fatalf("of %d bytes only %d still wait", flood, n)
		}
	}
	if n, err := io.ReadFull(conn, make([]byte, flood)); err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// TestDialConnUnread: a peer that closes without having read all is an error, but what it had sent is read first.
func TestDialConnUnread(t *testing.T) {
	d, _ := serves(t, shmconn.Records(shmconn.RecordFunc(func(c *shmconn.RecordConn, _ []byte) error {
		_ = c.Send([]byte("goodbye"))
		c.Unread()
		return errors.New("enough")
	}), shmconn.RecordConfig{}))
	conn := dialConn(t, d)
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if isOp(t, "Read", err, "read", shmconn.ErrUnread); string(text) != "goodbye" || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %q, %v", text, err)
	}
	_, err = conn.Write([]byte("x"))
	isOp(t, "Write", err, "write", syscall.ECONNRESET)
}

// TestDialConnRecords: records are bytes, also those with memory of their own and those without a byte, of which there may
// be no end.
func TestDialConnRecords(t *testing.T) {
	nothingMapped(t)
	long := strings.Repeat("0123456789", suiteCapacity/10)
	d, _ := serves(t, shmconn.Records(emptier{long}, shmconn.RecordConfig{}))
	conn := dialConn(t, d)
	p := make([]byte, len(long))
	if n, err := await(t, "Read", func() (int, error) { return io.ReadFull(conn, p) }); string(p) != long || err != nil {
		t.Errorf("read %d bytes, %v: %.20q", n, err, p)
	}
	isRead := begun(reading(conn))
	if n, err := await(t, "Write", writing(conn, 1)); n != 1 || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
	_, _ = await(t, "Close", func() (int, error) { return 0, conn.Close() })
	_, err := isRead(t, "Read")
	isOp(t, "Read", err, "read", net.ErrClosed)
}

// emptier sends a record, and then one after the other without a byte.
type emptier struct{ first string }

func (e emptier) HandleOpen(c *shmconn.RecordConn) error {
	return errors.Join(c.Send([]byte(e.first)), e.HandleRoom(c))
}

func (e emptier) HandleRoom(c *shmconn.RecordConn) error {
	for {
		if err := c.Send(nil); errors.Is(err, shmconn.ErrFull) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (emptier) HandleRecords(c *shmconn.RecordConn) error {
	for _, ok := c.Next(); ok; _, ok = c.Next() {
		c.Release()
	}
	return nil
}

func (emptier) HandleClose(*shmconn.RecordConn, error) {}

// dialRaw is a connection to a side that the test plays by hand: its socket, and the bell of who has dialled.
func dialRaw(tb testing.TB) (conn blocking, socket, bell int) {
	tb.Helper()
	path := ringPath(tb)
	listener := rawListen(tb, path, 1)
	tb.Cleanup(func() { _ = unix.Close(listener) })
	dialled := begun(func() (int, error) {
		c, err := shmconn.Dialer{Path: path}.DialConn(context.Background())
		if err == nil {
			conn = c.(blocking)
		}
		return 0, err
	})
	socket = rawAccept(tb, listener)
	_, bell, _ = hears(tb, socket)
	proper(tb, suiteCapacity).send(tb, socket)
	if _, err := dialled(tb, "the handshake"); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn, socket, bell
}

// TestDialConnPeerDied: whoever waits hears of the peer's death, even from one that has silenced the bell.
func TestDialConnPeerDied(t *testing.T) {
	for _, silenced := range []bool{false, true} {
		conn, socket, bell := dialRaw(t)
		_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		_, err := await(t, "Write", writing(conn, 2*shmconn.DefaultCapacity))
		isOp(t, "Write", err, "write", os.ErrDeadlineExceeded)
		_ = conn.SetWriteDeadline(time.Time{})
		isRead, isWritten := begun(reading(conn)), begun(writing(conn, 1000))
		if silenced {
			if _, err := unix.Read(bell, make([]byte, 8)); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.Shutdown(socket, unix.SHUT_RDWR); err != nil {
			t.Fatal(err)
		}
		_, err = isRead(t, "Read")
		isOp(t, "Read", err, "read", shmconn.ErrPeerDied)
		if _, err = isWritten(t, "Write"); !errors.Is(err, syscall.EPIPE) && !errors.Is(err, shmconn.ErrPeerDied) {
			t.Errorf("Write: %v", err)
		}
		for range 2 { // it stays like that
			_, err = await(t, "Read", reading(conn))
			isOp(t, "Read", err, "read", shmconn.ErrPeerDied)
			if _, err = await(t, "Write", writing(conn, 1)); err == nil {
				t.Error("it can still be written")
			}
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestDialConnPeerKilled is the same with a process.
func TestDialConnPeerKilled(t *testing.T) {
	fdtest.Check(t)
	d := shmconn.Dialer{Path: ringPath(t), Ring: killConfig}
	p := startOther(t, "TestKilled", killVariable+"=stream echoes listens"+killBetween+d.Path, newTally(t))
	p.letGo()
	p.says(killListens)
	conn := dialConn(t, d)
	for range 100 {
		if _, err := await(t, "Write", writing(conn, 8)); err != nil {
			t.Fatal(err)
		}
		if _, err := await(t, "Read", func() (int, error) { return io.ReadFull(conn, make([]byte, 8)) }); err != nil {
			t.Fatal(err)
		}
	}
	isRead := begun(reading(conn))
	p.kill()
	_, err := isRead(t, "Read")
	isOp(t, "Read", err, "read", shmconn.ErrPeerDied)
	p.wasKilled()
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

// TestDialConnErrors: the errors of dialling, after which nothing is left.
func TestDialConnErrors(t *testing.T) {
	fdtest.Check(t)
	nothingMapped(t)
	mute, missing := mute(t, 0).(shmconn.Dialer), shmconn.Dialer{Path: ringPath(t)}
	full := stuck(t, 0).(shmconn.Dialer)
	foreign := ringPath(t)
	listener := rawListen(t, foreign, 1)
	t.Cleanup(func() { _ = unix.Close(listener) })
	answered := begun(func() (int, error) { return 0, answerForeign(listener) })
	ended, cancel := context.WithCancelCause(t.Context())
	because := errors.New("it was given up")
	cancel(because)
	short, stop := context.WithTimeout(t.Context(), quick)
	defer stop()
	for name, tt := range map[string]struct {
		ctx    context.Context
		dialer shmconn.Dialer
		want   error
	}{
		"nobody there":            {t.Context(), missing, syscall.ENOENT},
		"left behind":             {t.Context(), nowhere(t).(shmconn.Dialer), syscall.ECONNREFUSED},
		"no capacity":             {t.Context(), shmconn.Dialer{Path: mute.Path, Ring: shmconn.Config{Capacity: 1}}, shmconn.ErrCapacity},
		"another protocol":        {t.Context(), shmconn.Dialer{Path: foreign}, shmconn.ErrForeign},
		"a context that is over":  {ended, mute, because},
		"a context that ends":     {short, mute, context.DeadlineExceeded},
		"one before the backlog":  {short, full, context.DeadlineExceeded},
		"a handshake's time":      {t.Context(), shmconn.Dialer{Path: mute.Path, Timeout: quick}, os.ErrDeadlineExceeded},
		"a path that is too long": {t.Context(), shmconn.Dialer{Path: strings.Repeat("x", 200)}, syscall.EINVAL},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := await(t, "DialConn", func() (int, error) {
				conn, err := tt.dialer.DialConn(tt.ctx)
				if err == nil {
					_ = conn.Close()
				}
				return 0, err
			})
			operation := (*net.OpError)(nil)
			if !errors.Is(err, tt.want) || !errors.As(err, &operation) || operation.Op != "dial" || operation.Net != "shm" ||
				operation.Addr.String() != tt.dialer.Path {
				t.Errorf("%v; want a dial's %v", err, tt.want)
			}
		})
	}
	if _, err := answered(t, "the other protocol"); err != nil {
		t.Error(err)
	}
}

// answerForeign accepts a connection, and says what no ring says.
func answerForeign(listener int) error {
	fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte("READY\n"))
	return errors.Join(err, unix.Close(fd))
}

// TestDialConnContextLater: a context that ends later is none of the connection's business.
func TestDialConnContextLater(t *testing.T) {
	d, _ := servesBytes(t, echoStream)
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := d.DialConn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if n, err := await(t, "Read", reading(conn)); n != 1 || err != nil {
		t.Errorf("Read: %d, %v", n, err)
	}
}

// clerk answers GREET, and LATER when it is told to.
type clerk struct {
	path  string
	later chan *connection.MessageConn
	stop  func()
}

// start has it listen, until stop.
func (c *clerk) start(tb testing.TB) {
	tb.Helper()
	mux := dispatcher.New(dispatcher.Config{})
	mux.HandleFunc("GREET", func(from message.Sender, m *message.Message) error {
		return from.(*connection.MessageConn).Send(message.New("HELLO").Set("name", m.Get("name")))
	})
	mux.HandleFunc("LATER", func(from message.Sender, _ *message.Message) error {
		c.later <- from.(*connection.MessageConn)
		return nil
	})
	loop, _ := looptest.New(tb)
	if _, err := shmconn.Listen(loop, c.path, connection.Messages(mux, connection.MessageConfig{}), shmconn.ListenConfig{}); err != nil {
		tb.Fatal(err)
	}
	ended := begun(func() (int, error) { return 0, loop.Run(context.Background()) })
	c.stop = func() {
		loop.Stop(nil)
		if _, err := ended(tb, "the end of the loop"); err != nil {
			tb.Error(err)
		}
	}
}

// greets holds that a client's call is answered.
func greets(tb testing.TB, client *connection.Blocking, name string) {
	tb.Helper()
	reply, err := client.Call(tb.Context(), message.New("GREET").Set("name", name))
	if err != nil || reply.Get("name") != name {
		tb.Errorf("greeted by %v, %v; want %s", reply, err, name)
	}
}

// TestDialConnBlocking: connection.Blocking runs over a ring.
func TestDialConnBlocking(t *testing.T) {
	fdtest.Check(t)
	c := &clerk{path: ringPath(t), later: make(chan *connection.MessageConn, 1)}
	c.start(t)
	defer func() { c.stop() }()
	dials := 0
	client := connection.NewBlocking(func(ctx context.Context) (io.ReadWriteCloser, error) {
		dials++
		return shmconn.Dialer{Path: c.path}.DialConn(ctx)
	}, connection.BlockingConfig{})
	defer client.Close()
	expectDials := func(what string, want int) {
		t.Helper()
		if dials != want {
			t.Errorf("%s: dialled %d times, want %d", what, dials, want)
		}
	}
	calls := func(ctx context.Context) func() (int, error) {
		return func() (int, error) {
			reply, err := client.Call(ctx, message.New("LATER"))
			if err == nil && reply.Command() != "NOW" {
				err = fmt.Errorf("the reply is %v", reply)
			}
			return 0, err
		}
	}
	for i := range 100 {
		greets(t, client, fmt.Sprint("number ", i))
	}
	expectDials("calls", 1)

	// A reply that comes late.
	called := begun(calls(t.Context()))
	from := looptest.Await(t, c.later, "the request")
	looptest.Do(t, from.Loop(), func() {
		if err := from.Send(message.New("NOW")); err != nil {
			t.Error(err)
		}
	})
	if _, err := called(t, "Call"); err != nil {
		t.Error(err)
	}
	expectDials("a late reply", 1)

	// One that comes too late is not taken for that of the next call.
	ctx, cancel := context.WithCancel(t.Context())
	called = begun(calls(ctx))
	from = looptest.Await(t, c.later, "the request")
	cancel()
	if _, err := called(t, "Call"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	looptest.Do(t, from.Loop(), func() { _ = from.Send(message.New("NOW")) }) // it may know that nobody listens
	greets(t, client, "Ada")
	expectDials("a call that was given up", 2)

	// What is sent without a reply.
	if err := client.Send(t.Context(), message.New("LATER")); err != nil {
		t.Error(err)
	}
	_ = looptest.Await(t, c.later, "what was sent")
	greets(t, client, "Bea")
	expectDials("Send", 2)

	// A service that goes away in the middle of a call, and comes back.
	called = begun(calls(t.Context()))
	_ = looptest.Await(t, c.later, "the request")
	c.stop()
	if _, err := called(t, "Call"); err == nil {
		t.Error("a call was answered by nobody")
	}
	if _, err := client.Call(t.Context(), message.New("GREET")); !errors.Is(err, connection.ErrNotSent) {
		t.Errorf("without a service: %v", err)
	}
	c.start(t)
	greets(t, client, "Cid")
	expectDials("a service that came back", 4)

	// Close ends a call.
	called = begun(calls(t.Context()))
	_ = looptest.Await(t, c.later, "the request")
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if _, err := called(t, "Call"); !errors.Is(err, connection.ErrClosed) {
		t.Error(err)
	}
}

// BenchmarkDialConn is a round trip of 64 bytes within one process: over a ring, and over a Unix socket with package net.
func BenchmarkDialConn(b *testing.B) {
	for name, dial := range map[string]func(b *testing.B) (net.Conn, error){
		"ring": func(b *testing.B) (net.Conn, error) {
			d, _ := servesBytes(b, echoStream)
			return d.DialConn(b.Context())
		},
		"unix": func(b *testing.B) (net.Conn, error) {
			loop, _ := runs(b)
			path := ringPath(b)
			looptest.Do(b, loop, func() {
				if _, err := unixsock.Listen(loop, path, connection.Streams(echoStream, connection.StreamConfig{}), unixsock.ListenConfig{}); err != nil {
					b.Error(err)
				}
			})
			return new(net.Dialer).DialContext(b.Context(), "unix", path)
		},
	} {
		b.Run(name, func(b *testing.B) {
			conn, err := dial(b)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			b.ReportAllocs()
			p := make([]byte, 64)
			for b.Loop() {
				if _, err := conn.Write(p); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(conn, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
