//go:build linux

package connection_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// watched is a connection whose closings are counted.
type watched struct {
	io.ReadWriteCloser
	count func(int)
}

func (w *watched) Close() error {
	w.count(-1)
	return w.ReadWriteCloser.Close()
}

// end is the far end of a connection.
type end struct {
	io.ReadWriteCloser
	over <-chan struct{} // is closed when the test ends
}

// far is the far end of the connections of a Blocking: each is served on a goroutine of its own. At the
// end of the test all have to be closed, each once.
type far struct {
	tb    testing.TB
	wg    sync.WaitGroup
	mu    sync.Mutex
	dials int
	open  int
	ends  []io.Closer
	over  chan struct{}
}

// newFar serves the connections that dial makes. It returns the Blocking that dials them; makes is asked
// for both ends of one.
func newFar(tb testing.TB, makes func(ctx context.Context) (near, far io.ReadWriteCloser, err error), config connection.BlockingConfig,
	serve func(n int, conn *end),
) (*connection.Blocking, *far) {
	tb.Helper()
	f := &far{tb: tb, over: make(chan struct{})}
	b := connection.NewBlocking(func(ctx context.Context) (io.ReadWriteCloser, error) {
		near, other, err := makes(ctx)
		if err != nil {
			return nil, err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.dials++
		f.open++
		f.ends = append(f.ends, other)
		n := f.dials
		f.wg.Go(func() {
			defer other.Close()
			serve(n, &end{other, f.over})
		})
		return &watched{near, f.count}, nil
	}, config)
	tb.Cleanup(func() {
		_ = b.Close()
		close(f.over)
		f.hangUp()
		f.wg.Wait()
		if f.open != 0 {
			tb.Errorf("%d connections were not closed, or more than once", f.open)
		}
	})
	return b, f
}

func (f *far) count(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open += n
}

// dialled is how many connections were made.
func (f *far) dialled() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dials
}

// hangUp ends all connections from the far end.
func (f *far) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, end := range f.ends {
		_ = end.Close()
	}
}

// echoes answers each line with ECHO and its parameters, until the end.
func echoes(_ int, conn *end) {
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		m, err := message.Parse(lines.Text())
		if err != nil {
			return
		}
		reply := message.New("ECHO")
		for name, value := range m.Parameters() {
			reply.Set(name, value)
		}
		if _, err := io.WriteString(conn, reply.String()+"\n"); err != nil {
			return
		}
	}
}

// silent reads and never answers.
func silent(_ int, conn *end) { _, _ = io.Copy(io.Discard, conn) }

// deaf doesn't even read, until the test ends.
func deaf(_ int, conn *end) { <-conn.over }

// socketpairs makes both ends by a socketpair.
func socketpairs(context.Context) (near, far io.ReadWriteCloser, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "near"), os.NewFile(uintptr(fds[1]), "far"), nil
}

// pipes are two pipes as a connection.
type pipes struct{ r, w *os.File }

func (p *pipes) Read(b []byte) (int, error)  { return p.r.Read(b) }
func (p *pipes) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p *pipes) Close() error                { return errors.Join(p.r.Close(), p.w.Close()) }

func pipePairs(context.Context) (near, far io.ReadWriteCloser, err error) {
	r1, w1, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	r2, w2, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(err, r1.Close(), w1.Close())
	}
	return &pipes{r1, w2}, &pipes{r2, w1}, nil
}

// overListener makes both ends by a listener; secured puts TLS on them, if it is not nil.
func overListener(tb testing.TB, network, address string, server, client *tls.Config) func(context.Context) (near, far io.ReadWriteCloser, err error) {
	tb.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	if server != nil {
		l = tls.NewListener(l, server)
	}
	return func(ctx context.Context) (io.ReadWriteCloser, io.ReadWriteCloser, error) {
		accepted := make(chan net.Conn, 1)
		go func() {
			conn, err := l.Accept()
			if tlsConn, ok := conn.(*tls.Conn); ok && err == nil {
				_ = tlsConn.HandshakeContext(ctx)
			}
			accepted <- conn
		}()
		var near net.Conn
		var err error
		if client != nil {
			near, err = (&tls.Dialer{Config: client}).DialContext(ctx, network, l.Addr().String())
		} else {
			near, err = new(net.Dialer).DialContext(ctx, network, l.Addr().String())
		}
		if err != nil {
			return nil, nil, err
		}
		return near, <-accepted, nil
	}
}

// everyKind runs a test over each kind of blocking connection.
func everyKind(t *testing.T, test func(t *testing.T, makes func(context.Context) (near, far io.ReadWriteCloser, err error))) {
	t.Helper()
	t.Run("tcp", func(t *testing.T) { test(t, overListener(t, "tcp", "127.0.0.1:0", nil, nil)) })
	t.Run("unix", func(t *testing.T) { test(t, overListener(t, "unix", filepath.Join(t.TempDir(), "s"), nil, nil)) })
	t.Run("tls", func(t *testing.T) {
		authority := tlstest.NewAuthority(t)
		server := &tls.Config{Certificates: []tls.Certificate{authority.Issue(t, "127.0.0.1")}}
		test(t, overListener(t, "tcp", "127.0.0.1:0", server, &tls.Config{RootCAs: authority.Pool(), ServerName: "127.0.0.1"}))
	})
	t.Run("socketpair", func(t *testing.T) { test(t, socketpairs) })
	t.Run("pipes", func(t *testing.T) { test(t, pipePairs) })
}

// patient is a context that only ends when something is broken.
func patient(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), looptest.Patience, errPatience)
	tb.Cleanup(cancel)
	return ctx
}

// soon is a context that ends after a while, with errTest.
func soon(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Millisecond, errTest)
	tb.Cleanup(cancel)
	return ctx
}
