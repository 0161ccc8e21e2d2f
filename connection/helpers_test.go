//go:build linux

package connection_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

var (
	errTest     = errors.New("an error of the test")
	errPatience = errors.New("the test's patience is over")
)

// run runs the loop on this goroutine until it ends; its error must be nil.
func run(tb testing.TB, loop connection.Loop) {
	tb.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), looptest.Patience, errPatience)
	defer cancel()
	if err := loop.Run(ctx); err != nil {
		for _, info := range loop.Sources() {
			tb.Log(info)
		}
		tb.Fatalf("Run: %v", err)
	}
}

// start runs the loop on a goroutine of its own until the test ends, or nothing is left in it.
func start(tb testing.TB, loop connection.Loop) (ended <-chan struct{}) {
	tb.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = loop.Run(context.Background())
	}()
	tb.Cleanup(func() {
		loop.Stop(nil)
		<-done
	})
	return done
}

// dial makes a blocking connection, closed at the end of the test.
func dial(tb testing.TB, addr net.Addr) net.Conn {
	tb.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(looptest.Patience)); err != nil {
		tb.Fatal(err)
	}
	return conn
}

// expect reads a text.
func expect(tb testing.TB, r io.Reader, text string) {
	tb.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(r, got); err != nil || string(got) != text {
		tb.Fatalf("read %.100q, %v; want %.100q", got[:n], err, text)
	}
}

// expectEnd reads until the other side has ended.
func expectEnd(tb testing.TB, r io.Reader) {
	tb.Helper()
	var netError net.Error
	if _, err := io.Copy(io.Discard, r); errors.As(err, &netError) && netError.Timeout() {
		tb.Fatalf("read: %v; want the end", err)
	}
}

// pieces is a Transport in memory: each Read gives one piece of input, then end; Write takes no more than room, if
// that isn't negative. Its descriptor is an eventfd that is always readable and writable.
type pieces struct {
	fd     int
	in     []string
	end    error // io.EOF if nil
	room   int
	out    bytes.Buffer
	writes int
	closed int
}

func newPieces(tb testing.TB, in ...string) *pieces {
	tb.Helper()
	fd, err := unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		tb.Fatal(err)
	}
	return &pieces{fd: fd, in: in, end: io.EOF, room: -1}
}

func (p *pieces) FD() int { return p.fd }

func (p *pieces) Read(b []byte) (int, error) {
	if len(b) == 0 {
		panic("a read into nothing")
	}
	if len(p.in) == 0 {
		return 0, p.end
	}
	n := copy(b, p.in[0])
	if p.in[0] = p.in[0][n:]; p.in[0] == "" {
		p.in = p.in[1:]
	}
	if n == 0 {
		return 0, connection.ErrWouldBlock
	}
	return n, nil
}

func (p *pieces) Write(b []byte) (int, error) {
	p.writes++
	if p.room < 0 || len(b) <= p.room {
		p.room = max(-1, p.room-len(b))
		return p.out.Write(b)
	}
	n, _ := p.out.Write(b[:p.room])
	p.room = 0
	return n, connection.ErrWouldBlock
}

func (p *pieces) Close() error {
	p.closed++
	if p.closed > 1 {
		return errors.New("closed twice")
	}
	return unix.Close(p.fd)
}

// quiet makes the descriptor unreadable: nothing comes any more.
func (p *pieces) quiet() {
	var count [8]byte
	_, _ = unix.Read(p.fd, count[:])
}

// cut cuts a text at the positions.
func cut(text string, at ...int) (parts []string) {
	from := 0
	for _, to := range at {
		if to > from && to < len(text) {
			parts = append(parts, text[from:to])
			from = to
		}
	}
	if from < len(text) {
		parts = append(parts, text[from:])
	}
	return parts
}
