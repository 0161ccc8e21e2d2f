//go:build linux

package receiver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
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

// TestRingDialErrors: an error is of package net, and names the path.
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
