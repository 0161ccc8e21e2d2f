//go:build linux

package shmconn_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

// TestDialConnUnread: a peer that closes without having read all is an error, but what it had sent is read first.
func TestDialConnUnread(t *testing.T) {
	p := newPauser()
	d, _ := servesBytes(t, p)
	conn := dialConn(t, d)
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	s := looptest.Await(t, p.opened, "the peer's beginning")
	looptest.Do(t, s.Loop(), func() {
		_, err := s.Write([]byte("goodbye"))
		s.Abort(err)
	})
	text, err := io.ReadAll(conn)
	if isOp(t, "Read", err, "read", shmconn.ErrUnread); string(text) != "goodbye" || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %q, %v", text, err)
	}
	_, err = conn.Write([]byte("x"))
	isOp(t, "Write", err, "write", syscall.ECONNRESET)
}

// TestDialConnMismatch: a peer of records is none of streams.
func TestDialConnMismatch(t *testing.T) {
	d, _ := serves(t, shmconn.Records(greeter{"hello"}, shmconn.RecordConfig{}))
	conn := dialConn(t, d)
	_, err := await(t, "Read", reading(conn))
	isOp(t, "Read", err, "read", shmconn.ErrMismatch)
}

// rawPeer is the side that has accepted a connection, played by the test.
type rawPeer struct {
	socket, bell int // the bell is that of who has dialled
	out          *ring.Writer
}

// send sends a record, and rings for it whether anybody sleeps or not.
func (p *rawPeer) send(tb testing.TB, text string) {
	tb.Helper()
	if n, err := p.out.Write([]byte(text)); n != len(text) || err != nil {
		tb.Fatalf("%d, %v", n, err)
	}
	p.out.Publish()
	if err := sys.RingDoorbell(p.bell); err != nil {
		tb.Fatal(err)
	}
}

// fill makes the bell of who has dialled as full as it can be, against the rules.
func (p *rawPeer) fill(tb testing.TB) {
	tb.Helper()
	var b [8]byte
	for n := uint64(1) << 63; n > 0; n /= 2 {
		binary.NativeEndian.PutUint64(b[:], n)
		if _, err := unix.Write(p.bell, b[:]); err != nil && !errors.Is(err, unix.EAGAIN) {
			tb.Fatal(err)
		}
	}
}

// die does what the end of a process does.
func (p *rawPeer) die(tb testing.TB) {
	tb.Helper()
	if err := unix.Shutdown(p.socket, unix.SHUT_RDWR); err != nil {
		tb.Fatal(err)
	}
}

func dialRaw(tb testing.TB) (conn blocking, p *rawPeer) {
	tb.Helper()
	path := ringPath(tb)
	listener := rawListen(tb, path, 1)
	tb.Cleanup(func() { _ = unix.Close(listener) })
	dialled := begun(func() (int, error) {
		c, err := shmconn.Dialer{Path: path, Ring: shmconn.Config{Capacity: suiteCapacity}}.DialConn(context.Background())
		if err == nil {
			conn = c.(blocking)
		}
		return 0, err
	})
	p = &rawPeer{socket: rawAccept(tb, listener)}
	theirs, bell, capacity := hears(tb, p.socket)
	p.bell = bell
	area, err := sys.MapShared(theirs, ring.Size(capacity), false)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = sys.Unmap(area) })
	memory, own := newArea(tb, suiteCapacity)
	if p.out, _, err = ring.New(own, area); err != nil {
		tb.Fatal(err)
	}
	hello := wire.Packet{Kind: wire.Hello, First: suiteCapacity, Second: 1 << 20}
	(&greeting{packet: hello.Append(nil), fds: []int{memory, newBell(tb)}}).send(tb, p.socket)
	if _, err := dialled(tb, "the handshake"); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn, p
}

// TestDialConnEmptyRecords: a peer that sends nothing, and that without end, holds up nobody but who reads.
func TestDialConnEmptyRecords(t *testing.T) {
	conn, p := dialRaw(t)
	stop := make(chan struct{})
	flood := begun(func() (n int, err error) {
		for ; ; n++ {
			select {
			case <-stop:
				return n, nil
			default:
			}
			room, err := p.out.Reserve(0)
			if err != nil {
				return n, err
			}
			if room != nil {
				p.out.Commit(0, ring.KindPiece)
				p.out.Publish()
			}
		}
	})
	isRead := begun(reading(conn))
	for range 10 {
		if n, err := await(t, "Write", writing(conn, 1)); n != 1 || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
	}
	_, _ = await(t, "Close", func() (int, error) { return 0, conn.Close() })
	_, err := isRead(t, "Read")
	isOp(t, "Read", err, "read", net.ErrClosed)
	close(stop)
	if _, err := flood(t, "the flood"); err != nil {
		t.Error(err)
	}
}

// TestDialConnPeerDied: whoever waits hears of the peer's death, even from one that has spoilt the bell.
func TestDialConnPeerDied(t *testing.T) {
	for _, spoilt := range []bool{false, true} {
		conn, p := dialRaw(t)
		isRead, isWritten := begun(reading(conn)), begun(writing(conn, 2*suiteCapacity))
		untilWaiting(t, "Read", 1)
		untilWaiting(t, "Write", 1)
		if spoilt {
			p.fill(t)
		}
		p.die(t)
		_, err := isRead(t, "Read")
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

// TestDialConnPeerDiedUnread: what a peer has sent before it died is read, but nobody waits for its room.
func TestDialConnPeerDiedUnread(t *testing.T) {
	conn, p := dialRaw(t)
	p.send(t, "last words")
	isWritten := begun(writing(conn, 2*suiteCapacity))
	untilWaiting(t, "Write", 1)
	p.die(t)
	n, err := isWritten(t, "Write")
	if isOp(t, "Write", err, "write", syscall.EPIPE); n == 0 || n > suiteCapacity {
		t.Errorf("Write: %d", n)
	}
	_, err = await(t, "Write", writing(conn, 1))
	isOp(t, "Write", err, "write", syscall.EPIPE)
	text, err := io.ReadAll(conn)
	if isOp(t, "Read", err, "read", shmconn.ErrPeerDied); string(text) != "last words" {
		t.Errorf("read %q", text)
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
		"nobody there":           {t.Context(), missing, syscall.ENOENT},
		"left behind":            {t.Context(), nowhere(t).(shmconn.Dialer), syscall.ECONNREFUSED},
		"no capacity":            {t.Context(), shmconn.Dialer{Path: mute.Path, Ring: shmconn.Config{Capacity: 1}}, shmconn.ErrCapacity},
		"another protocol":       {t.Context(), shmconn.Dialer{Path: foreign}, shmconn.ErrForeign},
		"a context that is over": {ended, mute, because},
		"a context that ends":    {short, mute, context.DeadlineExceeded},
		"one before the backlog": {short, full, context.DeadlineExceeded},
		"a handshake's time":     {t.Context(), shmconn.Dialer{Path: mute.Path, Timeout: quick}, os.ErrDeadlineExceeded},
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
	if _, err = unix.Read(fd, make([]byte, 100)); err == nil {
		_, err = unix.Write(fd, []byte("READY\n"))
	}
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
