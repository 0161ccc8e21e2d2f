//go:build linux

package shmconn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

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
