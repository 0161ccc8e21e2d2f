//go:build linux

package receiver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

// serveRing listens for rings until the end of the test.
func serveRing(t *testing.T, serve connection.Serve) (path string) {
	t.Helper()
	loop, _ := looptest.New(t)
	path = filepath.Join(t.TempDir(), "ring")
	if _, err := shmconn.Listen(loop, path, serve, shmconn.ListenConfig{}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- loop.Run(context.Background()) }()
	t.Cleanup(func() {
		loop.Stop(nil)
		if err := looptest.Await(t, done, "the end of the loop"); err != nil {
			t.Error(err)
		}
	})
	return path
}

func serveBytes(t *testing.T, h connection.StreamHandler) (path string) {
	return serveRing(t, connection.Streams(h, connection.StreamConfig{}))
}

// stuck is a peer that reads nothing.
type stuck struct{}

func (stuck) HandleOpen(s *connection.Stream) error {
	s.Pause()
	return nil
}

func (stuck) HandleData(*connection.Stream, []byte) (int, error) { return 0, nil }

// ringConn is a connection with all that the tools use.
type ringConn interface {
	net.Conn
	CloseWrite() error
}

func dialRing(t *testing.T, path string) ringConn {
	t.Helper()
	target, err := receiver.Parse(receiver.Shm, path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := target.Dial(t.Context(), net.Dialer{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(ringConn)
}

func echo(s *connection.Stream, data []byte) (int, error) { return s.Write(data) }

// TestRingBytes: what is written comes back, however much, and the end after it.
func TestRingBytes(t *testing.T) {
	path := serveBytes(t, connection.DataFunc(echo))
	for _, length := range []int{0, 1, 1 << 16, 1<<22 + 1} {
		conn := dialRing(t, path)
		if a := conn.RemoteAddr(); a.Network() != receiver.Shm || a.String() != path || conn.LocalAddr().String() != "" {
			t.Errorf("connected from %v to %v", conn.LocalAddr(), a)
		}
		text := bytes.Repeat([]byte("x1y"), length/3+1)[:length]
		written := make(chan error, 1)
		go func() {
			n, err := conn.Write(text)
			if n != length {
				err = errors.Join(err, io.ErrShortWrite)
			}
			written <- errors.Join(err, conn.CloseWrite())
		}()
		got, err := io.ReadAll(conn)
		if !bytes.Equal(got, text) || err != nil {
			t.Errorf("of %d bytes %d came back, %v", length, len(got), err)
		}
		if err := looptest.Await(t, written, "Write"); err != nil {
			t.Error(err)
		}
		if n, err := conn.Write([]byte("x")); n != 0 || !errors.Is(err, syscall.EPIPE) {
			t.Errorf("after CloseWrite: %d, %v", n, err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRingClose: Close delivers what Write has returned from, ends what is under way, and all later calls.
func TestRingClose(t *testing.T) {
	got := make(chan string, 1)
	conn := dialRing(t, serveBytes(t, &collector{got: got}))
	if _, err := io.WriteString(conn, "last words"); err != nil {
		t.Fatal(err)
	}
	reading := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		reading <- err
	}()
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if text := looptest.Await(t, got, "the end"); text != "last words" {
		t.Errorf("the service got %q", text)
	}
	_, write := conn.Write([]byte("x"))
	for name, err := range map[string]error{
		"Read": looptest.Await(t, reading, "Read"), "Write": write, "Close": conn.Close(), "CloseWrite": conn.CloseWrite(),
		"SetDeadline": conn.SetDeadline(time.Time{}),
	} {
		if operation := (*net.OpError)(nil); !errors.Is(err, net.ErrClosed) || !errors.As(err, &operation) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// collector hands over what has come until the end.
type collector struct {
	text []byte
	got  chan<- string
}

func (c *collector) HandleData(_ *connection.Stream, data []byte) (int, error) {
	c.text = append(c.text, data...)
	return len(data), nil
}

func (c *collector) HandleClose(_ *connection.Stream, cause error) {
	if cause != nil {
		c.text = append(c.text, cause.Error()...)
	}
	c.got <- string(c.text)
}

// TestRingDeadlines: deadlines end what waits, also what began before they were set, and can be moved.
func TestRingDeadlines(t *testing.T) {
	path := serveBytes(t, stuck{})
	calls := map[string]func(net.Conn) error{
		"Read": func(c net.Conn) error {
			_, err := c.Read(make([]byte, 1))
			return err
		},
		"Write": func(c net.Conn) error {
			n, err := c.Write(make([]byte, 2*shmconn.DefaultCapacity))
			if n >= 2*shmconn.DefaultCapacity {
				t.Errorf("%d bytes were taken", n)
			}
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			check := func(what string, err error) {
				t.Helper()
				var timeout net.Error
				if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
					t.Errorf("%s: %v", what, err)
				}
			}
			conn := dialRing(t, path)
			set := conn.SetReadDeadline
			if name == "Write" {
				set = conn.SetWriteDeadline
			}
			_ = set(time.Now().Add(-time.Second))
			check("passed", call(conn))
			_ = set(time.Now().Add(10 * time.Millisecond))
			check("soon", call(conn))
			check("still", call(conn))
			_ = set(time.Time{})
			waiting := make(chan error, 1)
			go func() { waiting <- call(conn) }()
			_ = set(time.Now().Add(time.Hour))
			_ = set(time.Now())
			check("moved", looptest.Await(t, waiting, name))

			_ = conn.SetDeadline(time.Time{})
			go func() { waiting <- call(conn) }()
			_ = conn.Close()
			if err := looptest.Await(t, waiting, name); !errors.Is(err, net.ErrClosed) {
				t.Errorf("closed: %v", err)
			}
		})
	}
}

// TestRingWriters: what several goroutines write doesn't get mixed.
func TestRingWriters(t *testing.T) {
	got := make(chan string, 1)
	conn := dialRing(t, serveBytes(t, &collector{got: got}))
	const each = 300_000 // more than a piece
	written := make(chan error, 3)
	for _, b := range "abc" {
		go func() {
			_, err := conn.Write(bytes.Repeat([]byte{byte(b)}, each))
			written <- err
		}()
	}
	for range 3 {
		if err := looptest.Await(t, written, "Write"); err != nil {
			t.Error(err)
		}
	}
	_ = conn.CloseWrite()
	text := looptest.Await(t, got, "the end")
	for _, b := range "abc" {
		if !strings.Contains(text, strings.Repeat(string(b), each)) {
			t.Errorf("what one has written is not in one piece: %c", b)
		}
	}
}

// TestRingBackPressure: what nobody reads is not taken from the ring.
func TestRingBackPressure(t *testing.T) {
	queued := make(chan int, 1)
	config := connection.StreamConfig{HighWater: 2 * flood, MaxOutput: 4 * flood} // it reads whatever waits
	conn := dialRing(t, serveRing(t, connection.Streams(flooder(queued), config)))
	for range 2 * flood / (64 << 10) { // as often as it could take some of it
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n := looptest.Await(t, queued, "the service"); n < flood/2 {
			t.Fatalf("of %d bytes only %d still wait", flood, n)
		}
	}
	if n, err := io.ReadFull(conn, make([]byte, flood)); err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

const flood = 4 << 20

// flooder sends much, and then tells for each byte that comes how much of it waits.
type flooder chan<- int

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

// TestRingReset: a peer that closes without having read all is an error, but what it had sent is read first.
func TestRingReset(t *testing.T) {
	conn := dialRing(t, serveRing(t, shmconn.Records(leaver{}, shmconn.RecordConfig{})))
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if string(text) != "goodbye" || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %q, %v", text, err)
	}
	if _, err := conn.Write([]byte("x")); err == nil {
		t.Error("it can still be written")
	}
}

// leaver says something and leaves without having read anything.
type leaver struct{}

func (leaver) HandleRecords(c *shmconn.RecordConn) error {
	_ = c.Send([]byte("goodbye"))
	return errors.New("enough")
}

func (leaver) HandleClose(*shmconn.RecordConn, error) {}

func TestRingDialErrors(t *testing.T) {
	dir := t.TempDir()
	stale, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: filepath.Join(dir, "stale"), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	stream := listenUnix(t, "unix", filepath.Join(dir, "stream"))
	silent := listenUnix(t, "unixpacket", filepath.Join(dir, "silent"))
	chatty := listenUnix(t, "unixpacket", filepath.Join(dir, "chatty"))
	go func() {
		conn, err := chatty.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "READY\n")
		_, _ = conn.Read(make([]byte, 1000))
		_ = conn.Close()
	}()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for _, tt := range []struct {
		ctx  context.Context
		path string
		want error
	}{
		{t.Context(), filepath.Join(dir, "missing"), syscall.ENOENT},
		{t.Context(), filepath.Join(dir, "stale"), syscall.ECONNREFUSED},
		{t.Context(), "@nobody-" + filepath.Base(dir), syscall.ECONNREFUSED},
		{t.Context(), stream.Addr().String(), syscall.EPROTOTYPE},
		{t.Context(), chatty.Addr().String(), shmconn.ErrForeign},
		{ended, silent.Addr().String(), context.Canceled},
		{short, silent.Addr().String(), context.DeadlineExceeded},
	} {
		conn, err := receiver.Target{Network: receiver.Shm, Address: tt.path}.Dial(tt.ctx, net.Dialer{})
		if operation := (*net.OpError)(nil); !errors.Is(err, tt.want) || !errors.As(err, &operation) {
			t.Errorf("%s: %v, want %v", tt.path, err, tt.want)
		}
		if err == nil {
			_ = conn.Close()
		} else if text := err.Error(); !strings.Contains(text, tt.path) || strings.Contains(text, "\n") {
			t.Errorf("%s: %q", tt.path, text)
		}
	}
}

func listenUnix(t *testing.T, network, path string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}
