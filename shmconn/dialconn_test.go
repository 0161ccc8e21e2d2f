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
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
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

// untilWaiting waits until that many calls of a method wait for something. Nothing else tells it than their stacks.
func untilWaiting(tb testing.TB, method string, calls int) {
	tb.Helper()
	buf := make([]byte, 1<<20)
	for limit := time.Now().Add(looptest.Patience); ; runtime.Gosched() {
		waiting := 0
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(stack, "sync.(*Cond).Wait(") && strings.Contains(stack, "shmconn.(*conn)."+method+"(") {
				waiting++
			}
		}
		if waiting == calls {
			return
		}
		if time.Now().After(limit) {
			tb.Fatalf("%d calls of %s wait, want %d", waiting, method, calls)
		}
	}
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

// resume lets it read.
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
	isRead, alsoRead, isWritten := begun(reading(conn)), begun(reading(conn)), begun(writing(conn, 10*suiteCapacity))
	untilWaiting(t, "Read", 2)
	untilWaiting(t, "Write", 1)
	alsoWritten := begun(writing(conn, 1))
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	written, err := isWritten(t, "Write")
	isOp(t, "Write", err, "write", net.ErrClosed)
	n, err := alsoWritten(t, "the other Write")
	if isOp(t, "the other Write", err, "write", net.ErrClosed); n != 0 {
		t.Errorf("the other Write: %d", n)
	}
	_, err = isRead(t, "Read")
	isOp(t, "Read", err, "read", net.ErrClosed)
	_, err = alsoRead(t, "the other Read")
	isOp(t, "Read", err, "read", net.ErrClosed)
	_, err = conn.Read(nil)
	isOp(t, "Read", err, "read", net.ErrClosed)
	_, err = conn.Write(nil)
	isOp(t, "Write", err, "write", net.ErrClosed)
	isOp(t, "Close", conn.Close(), "close", net.ErrClosed)
	isOp(t, "CloseWrite", conn.CloseWrite(), "close", net.ErrClosed)
	isOp(t, "SetDeadline", conn.SetDeadline(time.Now()), "set", net.ErrClosed)
	p.resume(t)
	if got, want := p.all(t), "last words"+strings.Repeat("\x00", written); got != want {
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
			untilWaiting(t, strings.ToUpper(name[:1])+name[1:], 1)
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
	untilWaiting(t, "Write", 1)
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
