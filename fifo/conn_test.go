//go:build linux

package fifo_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/fifo"
	"github.com/eventdispatcher-go/eventdispatcher/internal/conntest"
)

const (
	noAddresses = "a pipe has none"
	noReset     = "who reads a pipe sees nothing but its end"
	smallPipe   = 8 << 10
	smallSocket = 8 << 10
)

// TestPipes runs the suite of all stream transports over pairs of pipes.
func TestPipes(t *testing.T) {
	conntest.Run(t, conntest.Env{Listen: listenPipes, NoReset: noReset, NoAddresses: noAddresses, Sources: 2})
}

// TestFIFOs runs it over pairs of named FIFOs.
func TestFIFOs(t *testing.T) {
	conntest.Run(t, conntest.Env{Listen: listenFIFOs, NoReset: noReset, NoAddresses: "both ends have the same paths", Sources: 2})
}

// TestSocketPairs runs it over socket pairs, one end of which the program has as a file.
func TestSocketPairs(t *testing.T) {
	conntest.Run(t, conntest.Env{Listen: listenSocketPairs, NoAddresses: "a socket pair has none"})
}

// shrink makes the pipes of a transport small.
func shrink(t connection.Transport, small bool) {
	if small {
		_, _ = unix.FcntlInt(uintptr(t.FD()), unix.F_SETPIPE_SZ, smallPipe)
		_, _ = unix.FcntlInt(uintptr(t.(*fifo.Transport).WriteFD()), unix.F_SETPIPE_SZ, smallPipe)
	}
}

func listenPipes(tb testing.TB, loop connection.Loop, serve connection.Serve, small bool) conntest.Endpoint {
	tb.Helper()
	return conntest.Queue(tb, loop, serve, "pipe",
		func() (accepted, dialled connection.Transport, err error) {
			a, b, err := fifo.Pair()
			if err != nil {
				return nil, nil, err
			}
			shrink(a, small)
			return a, b, nil
		},
		func() (connection.Transport, net.Conn, error) {
			r, theirW, err := os.Pipe()
			if err != nil {
				return nil, nil, err
			}
			theirR, w, err := os.Pipe()
			if err != nil {
				return nil, nil, errors.Join(err, r.Close(), theirW.Close())
			}
			there := &files{theirR, theirW}
			accepted, err := fifo.FromFile(r, w)
			if err != nil {
				return nil, nil, errors.Join(err, there.Close())
			}
			shrink(accepted, small)
			return accepted, there, nil
		})
}

func listenFIFOs(tb testing.TB, loop connection.Loop, serve connection.Serve, small bool) conntest.Endpoint {
	tb.Helper()
	// make opens both ends of two FIFOs: one end by there, which is given what it reads and what it writes.
	pair := func(there func(r, w string) error) (accepted connection.Transport, err error) {
		folder := tb.TempDir()
		a, b := filepath.Join(folder, "a"), filepath.Join(folder, "b")
		for _, path := range []string{a, b} {
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				return nil, err
			}
			both, err := os.OpenFile(path, os.O_RDWR, 0) // or each would wait for the other
			if err != nil {
				return nil, err
			}
			defer both.Close()
		}
		if accepted, err = (fifo.Dialer{Read: a, Write: b}).Open(); err != nil {
			return nil, err
		}
		shrink(accepted, small)
		if err = there(b, a); err != nil {
			return nil, errors.Join(err, accepted.Close())
		}
		return accepted, nil
	}
	return conntest.Queue(tb, loop, serve, "fifo",
		func() (accepted, dialled connection.Transport, err error) {
			accepted, err = pair(func(r, w string) (err error) {
				dialled, err = fifo.Dialer{Read: r, Write: w}.Open()
				return err
			})
			return accepted, dialled, err
		},
		func() (accepted connection.Transport, there net.Conn, err error) {
			accepted, err = pair(func(r, w string) error {
				f := &files{}
				var err, err2 error
				f.r, err = os.OpenFile(r, os.O_RDONLY|syscall.O_NONBLOCK, 0)
				f.w, err2 = os.OpenFile(w, os.O_WRONLY|syscall.O_NONBLOCK, 0)
				there = f
				return errors.Join(err, err2)
			})
			return accepted, there, err
		})
}

func listenSocketPairs(tb testing.TB, loop connection.Loop, serve connection.Serve, small bool) conntest.Endpoint {
	tb.Helper()
	pair := func() (*connection.Socket, *os.File, error) {
		s, child, err := fifo.SocketPair()
		if err == nil && small {
			_ = unix.SetsockoptInt(s.FD(), unix.SOL_SOCKET, unix.SO_SNDBUF, smallSocket)
		}
		return s, child, err
	}
	return conntest.Queue(tb, loop, serve, "unix",
		func() (accepted, dialled connection.Transport, err error) {
			s, child, err := pair()
			if err != nil {
				return nil, nil, err
			}
			if dialled, err = fifo.FromFile(child, child); err != nil {
				return nil, nil, errors.Join(err, s.Close())
			}
			return s, dialled, nil
		},
		func() (connection.Transport, net.Conn, error) {
			s, child, err := pair()
			if err != nil {
				return nil, nil, err
			}
			conn, err := net.FileConn(child)
			if err = errors.Join(err, child.Close()); err != nil {
				return nil, nil, errors.Join(err, s.Close())
			}
			if small {
				_ = conn.(*net.UnixConn).SetWriteBuffer(smallSocket)
			}
			return s, conn, nil
		})
}

// files are the ends of two pipes as a net.Conn.
type files struct{ r, w *os.File }

func (f *files) Read(p []byte) (int, error)  { return f.r.Read(p) }
func (f *files) Write(p []byte) (int, error) { return f.w.Write(p) }
func (f *files) CloseWrite() error           { return f.w.Close() }

func (f *files) Close() error {
	err := f.w.Close()
	if errors.Is(err, os.ErrClosed) { // by CloseWrite
		err = nil
	}
	return errors.Join(err, f.r.Close())
}

func (f *files) LocalAddr() net.Addr  { return nil }
func (f *files) RemoteAddr() net.Addr { return nil }

func (f *files) SetDeadline(t time.Time) error {
	return errors.Join(f.r.SetDeadline(t), f.w.SetDeadline(t))
}

func (f *files) SetReadDeadline(t time.Time) error  { return f.r.SetReadDeadline(t) }
func (f *files) SetWriteDeadline(t time.Time) error { return f.w.SetWriteDeadline(t) }
