//go:build linux

package unixsock_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// pipes are pipes whose ends for writing are to be passed along. A read from one ends when nobody
// has its other end any more.
type pipes struct {
	tb      testing.TB
	readers []*os.File
	writers []*os.File
}

func newPipes(tb testing.TB, n int) *pipes {
	tb.Helper()
	p := &pipes{tb: tb}
	for range n {
		r, w, err := os.Pipe()
		if err != nil {
			tb.Fatal(err)
		}
		_ = r.SetReadDeadline(time.Now().Add(looptest.Patience))
		p.readers, p.writers = append(p.readers, r), append(p.writers, w)
	}
	tb.Cleanup(func() {
		p.closeWriters()
		for _, r := range p.readers {
			_ = r.Close()
		}
	})
	return p
}

// closeWriters closes the test's own ends for writing.
func (p *pipes) closeWriters() {
	for _, w := range p.writers {
		_ = w.Close()
	}
	p.writers = nil
}

// expect reads a pipe to its end.
func (p *pipes) expect(i int, want string) {
	p.tb.Helper()
	p.closeWriters()
	if got, err := io.ReadAll(p.readers[i]); string(got) != want || err != nil {
		p.tb.Errorf("pipe %d has %q, %v, want %q", i, got, err, want)
	}
}

// giveAway writes a text to each file and closes it.
func giveAway(tb testing.TB, files []*os.File, text string) {
	tb.Helper()
	for _, f := range files {
		if _, err := io.WriteString(f, text); err != nil {
			tb.Error(err)
		}
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	}
}

// passLoop is a loop that listens with descriptors and runs on a goroutine of its own until the
// test ends.
type passLoop struct {
	*looptest.Log
	tb   testing.TB
	loop connection.Loop
	path string
}

func newPassLoop(tb testing.TB, serve connection.Serve, limit int) *passLoop {
	tb.Helper()
	p := &passLoop{tb: tb, path: socketPath(tb)}
	p.loop, p.Log = looptest.New(tb)
	if _, err := unixsock.Listen(p.loop, p.path, serve, unixsock.ListenConfig{Descriptors: limit}); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.loop.Run(tb.Context()) }()
	tb.Cleanup(func() {
		p.loop.Stop(nil)
		if err := looptest.Await(tb, ended, "the end of the loop"); err != nil && !errors.Is(err, context.Canceled) {
			tb.Error(err)
		}
	})
	return p
}

// peer is a blocking connection to it.
func (p *passLoop) peer() *passPeer {
	p.tb.Helper()
	conn, err := net.Dial("unix", p.path)
	if err != nil {
		p.tb.Fatal(err)
	}
	p.tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(looptest.Patience))
	return &passPeer{conn.(*net.UnixConn), p.tb}
}

// passPeer passes descriptors along by package net.
type passPeer struct {
	*net.UnixConn
	tb testing.TB
}

func (p *passPeer) send(text string, files ...*os.File) {
	p.tb.Helper()
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	var control []byte
	if len(fds) > 0 {
		control = unix.UnixRights(fds...)
	}
	if _, _, err := p.WriteMsgUnix([]byte(text), control, nil); err != nil {
		p.tb.Fatal(err)
	}
}

// receive reads once and returns what came, and the descriptors that came along.
func (p *passPeer) receive(size int) (string, []int) {
	p.tb.Helper()
	buf, control := make([]byte, size), make([]byte, unix.CmsgSpace(4*300))
	n, nc, flags, _, err := p.ReadMsgUnix(buf, control)
	if err != nil || n == 0 || flags&unix.MSG_CTRUNC != 0 {
		p.tb.Fatalf("read %d bytes, flags %#x, %v", n, flags, err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:nc])
	if err != nil {
		p.tb.Fatal(err)
	}
	var fds []int
	for _, m := range messages {
		some, err := unix.ParseUnixRights(&m)
		if err != nil {
			p.tb.Fatal(err)
		}
		fds = append(fds, some...)
	}
	return string(buf[:n]), fds
}

// expectEnd reads the end, or the reset that follows when the other side has left bytes unread.
func (p *passPeer) expectEnd() {
	p.tb.Helper()
	_, err := io.Copy(io.Discard, p.UnixConn)
	var netError net.Error
	if errors.As(err, &netError) && netError.Timeout() {
		p.tb.Fatal("the connection lives on")
	}
}

// lines serves each connection by a function for each line.
func lines(f func(s *connection.Stream, line string) error, config connection.StreamConfig) connection.Serve {
	return connection.Streams(connection.Split(bufio.ScanLines, connection.FrameFunc(
		func(s *connection.Stream, line []byte) error { return f(s, string(line)) })), config)
}
