//go:build linux

package tcp_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// versions are those of TLS that a loop has to do with.
var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// ofVersion lets a config have one version.
func ofVersion(config *tls.Config, version uint16) *tls.Config {
	config = config.Clone()
	config.MinVersion, config.MaxVersion = version, version
	return config
}

// turning is a loop on a goroutine of its own, until the test ends.
type turning struct {
	tb   testing.TB
	loop *communicator.Communicator
	log  *looptest.Log
	done chan struct{}
	err  error // of Run
}

// anchor keeps a loop that has nothing else from ending; Shutdown removes it.
type anchor struct{}

func (*anchor) FD() int                                  { return communicator.NoFD }
func (*anchor) HandleTimeout(*communicator.Handle) error { return nil }

// turn starts a loop, and sees to it that nothing is left open.
func turn(tb testing.TB, config communicator.Config) *turning {
	tb.Helper()
	fdtest.Check(tb)
	r := &turning{tb: tb, log: &looptest.Log{}, done: make(chan struct{})}
	config.Logger = slog.New(r.log)
	var err error
	if r.loop, err = communicator.New(config); err != nil {
		tb.Fatal(err)
	}
	if _, err = r.loop.Add(&anchor{}, communicator.Options{Name: "anchor"}); err != nil {
		tb.Fatal(err)
	}
	go func() {
		defer close(r.done)
		r.err = r.loop.Run(context.Background())
	}()
	tb.Cleanup(func() { _ = r.stop() })
	return r
}

// stop stops the loop and waits for its end.
func (r *turning) stop() error {
	r.tb.Helper()
	r.loop.Stop(nil)
	return r.end()
}

// end waits for the end of the loop.
func (r *turning) end() error {
	r.tb.Helper()
	looptest.Await(r.tb, r.done, "the end of Run")
	return r.err
}

// do runs f on the loop.
func (r *turning) do(f func()) {
	r.tb.Helper()
	looptest.Do(r.tb, r.loop, f)
}

// until lets the loop turn until f, on the loop, is true.
func (r *turning) until(what string, f func() bool) {
	r.tb.Helper()
	for end := time.Now().Add(looptest.Patience); ; {
		var is bool
		r.do(func() { is = f() })
		if is {
			return
		}
		if time.Now().After(end) {
			r.tb.Fatalf("waited in vain for %s", what)
		}
	}
}

// handshaking is how many handshakes are in the loop, and how many of these have begun.
func (r *turning) handshaking() (all, begun int) {
	for _, i := range r.loop.Sources() {
		if strings.HasSuffix(i.Kind, ".handshake") {
			all++
			if i.Calls > 0 {
				begun++
			}
		}
	}
	return all, begun
}

// service says how a test serves.
type service struct {
	config  *tls.Config // nil: a certificate for 127.0.0.1
	shakes  tcp.HandshakeConfig
	serve   connection.Serve // nil: an echo
	options tcp.Options
	loop    communicator.Config
	logs    bool // of failures, in the place of Failed
}

// served is a TLS server on a loop.
type served struct {
	*turning
	authority *tlstest.Authority
	listener  *connection.Listener
	shakes    *tcp.Handshakes
	address   string
	failures  chan error // what Failed was told
	failed    atomic.Int64
}

// serveTLS starts one.
func serveTLS(tb testing.TB, s service) *served {
	tb.Helper()
	r := &served{turning: turn(tb, s.loop), authority: tlstest.NewAuthority(tb), failures: make(chan error, 10_000)}
	if s.config == nil {
		s.config = &tls.Config{}
	}
	if s.config.Certificates == nil && s.config.GetCertificate == nil {
		s.config = s.config.Clone()
		s.config.Certificates = []tls.Certificate{r.authority.Issue(tb, "127.0.0.1")}
	}
	if s.serve == nil {
		s.serve = connection.Streams(connection.DataFunc(echoBack), connection.StreamConfig{})
	}
	if !s.logs {
		s.shakes.Failed = func(_ net.Addr, err error) {
			r.failed.Add(1)
			r.failures <- err
		}
	}
	r.shakes = tcp.NewHandshakes(s.shakes)
	r.do(func() {
		var err error
		r.listener, err = tcp.Listen(r.loop, "127.0.0.1:0", s.serve, tcp.ListenConfig{TLS: s.config, Handshakes: r.shakes, Options: s.options})
		if err != nil {
			tb.Error(err)
		}
	})
	if tb.Failed() {
		tb.FailNow()
	}
	r.address = r.listener.Addr().String()
	return r
}

func echoBack(s *connection.Stream, data []byte) (int, error) { return s.Write(data) }

// client is the config of a client that trusts the server.
func (r *served) client() *tls.Config {
	return &tls.Config{RootCAs: r.authority.Pool(), ServerName: "127.0.0.1"}
}

// counts are the counters of the server's handshakes.
func (r *served) counts() (done, failed uint64) {
	r.do(func() { done, failed = r.shakes.Done(), r.shakes.Failed() })
	return done, failed
}

// failure waits until a handshake has failed on the server.
func (r *served) failure() error {
	r.tb.Helper()
	return looptest.Await(r.tb, r.failures, "a failed handshake")
}

// fails waits until so many handshakes have failed on the server.
func (r *served) fails(want int) {
	r.tb.Helper()
	for range want {
		_ = r.failure()
	}
}

// goesOn makes sure that the server serves.
func (r *served) goesOn() {
	r.tb.Helper()
	conn := peerOf(r.tb, r.address, r.client())
	echoes(r.tb, conn)
	_ = conn.Close()
}

// plain is a connection without TLS; it is closed at the end of the test.
func plain(tb testing.TB, address string) net.Conn {
	tb.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(looptest.Patience)); err != nil {
		tb.Fatal(err)
	}
	return conn
}

// peerOf is a blocking client of a server, whose handshake is over.
func peerOf(tb testing.TB, address string, config *tls.Config) *tls.Conn {
	tb.Helper()
	conn, err := tryPeer(tb, address, config)
	if err != nil {
		tb.Fatal(err)
	}
	return conn
}

// tryPeer is peerOf for a handshake that may fail.
func tryPeer(tb testing.TB, address string, config *tls.Config) (*tls.Conn, error) {
	tb.Helper()
	conn := tls.Client(plain(tb, address), config)
	return conn, conn.Handshake()
}

// echoes makes sure that what is written comes back.
func echoes(tb testing.TB, conn net.Conn) {
	tb.Helper()
	if _, err := io.WriteString(conn, "hello"); err != nil {
		tb.Fatal(err)
	}
	expect(tb, conn, "hello")
}

// expect reads that text.
func expect(tb testing.TB, conn io.Reader, text string) {
	tb.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		tb.Fatalf("read %.80q, %v; want %.80q", got[:n], err, text)
	}
}

// caller is the handler of a stream on a loop, whose outcome a test waits for.
type caller struct {
	tb     testing.TB
	stream *connection.Stream
	opened chan *connection.Stream
	data   chan string
	ended  chan error
}

func newCaller(tb testing.TB) *caller {
	return &caller{tb: tb, opened: make(chan *connection.Stream, 1), data: make(chan string, 1000), ended: make(chan error, 1)}
}

func (c *caller) HandleOpen(s *connection.Stream) error {
	c.opened <- s
	return nil
}

func (c *caller) HandleData(_ *connection.Stream, data []byte) (int, error) {
	c.data <- string(data)
	return len(data), nil
}

func (c *caller) HandleClose(_ *connection.Stream, cause error) { c.ended <- cause }

// call dials on the loop.
func (r *turning) call(d connection.Dialer) *caller {
	r.tb.Helper()
	c := newCaller(r.tb)
	r.do(func() {
		var err error
		if c.stream, err = connection.DialStream(r.loop, d, c, connection.StreamConfig{}); err != nil {
			r.tb.Error(err)
		}
	})
	if r.tb.Failed() {
		r.tb.FailNow()
	}
	return c
}

// outcome waits for the end of dialling.
func (c *caller) outcome() error {
	c.tb.Helper()
	select {
	case <-c.opened:
		return nil
	case err := <-c.ended:
		if err == nil {
			err = io.EOF
		}
		return err
	case <-time.After(looptest.Patience):
		c.tb.Fatal("waited in vain for the end of dialling")
		return nil
	}
}

// end waits for the end of the stream.
func (c *caller) end() error {
	c.tb.Helper()
	return looptest.Await(c.tb, c.ended, "the end of a stream")
}

// isHandshakeError makes sure that an error is that of a handshake.
func isHandshakeError(tb testing.TB, err error) {
	tb.Helper()
	var opError *net.OpError
	if !errors.As(err, &opError) || opError.Op != "handshake" || opError.Net != "tcp" || opError.Source == nil || opError.Addr == nil {
		tb.Errorf("%v (%T) is no *net.OpError of a handshake with its addresses", err, err)
		return
	}
	if strings.HasSuffix(opError.Source.String(), ":0") || strings.HasPrefix(opError.Source.String(), ":") {
		tb.Errorf("%v: no address on this side", err)
	}
}
