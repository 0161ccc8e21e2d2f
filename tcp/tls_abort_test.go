//go:build linux

package tcp_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// die ends a connection, every other one by a reset.
func die(conn net.Conn, i int) {
	if i%2 == 1 {
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
	_ = conn.Close()
}

// clientFlights is what a client of the server writes until its handshake is over, and how many bytes of
// it are the ClientHello.
func clientFlights(tb testing.TB, r *served, config *tls.Config) (flights []byte, hello int) {
	tb.Helper()
	tap := &tlstest.Tap{Conn: plain(tb, r.address)}
	conn := tls.Client(tap, config)
	if err := conn.Handshake(); err != nil {
		tb.Fatal(err)
	}
	flights, hello = tap.Written, tap.Writes[0]
	echoes(tb, conn) // so that the server has seen all of it
	_ = conn.Close()
	return flights, hello
}

// TestClientDiesAtEachByte: whatever a client has said of its handshake when it dies, the server notices,
// holds nothing, and goes on.
func TestClientDiesAtEachByte(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		r := serveTLS(t, service{config: ofVersion(&tls.Config{}, version)})
		config := ofVersion(r.client(), version)
		config.CurvePreferences = []tls.CurveID{tls.X25519} // which makes the hello shorter
		flights, hello := clientFlights(t, r, config)
		for n := range hello {
			conn, err := net.Dial("tcp", r.address)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write(flights[:n])
			die(conn, n)
		}
		r.fails(hello)
		want := uint64(hello)
		for n := hello; n < len(flights); n += 3 {
			conn := plain(t, r.address)
			mortal := tlstest.NewMortal(conn, n)
			if err := tls.Client(mortal, config).Handshake(); err == nil {
				t.Errorf("the handshake was made with %d of %d bytes", n, len(flights))
			}
			die(conn, n/3)
			want++
			_ = r.failure()
		}
		if done, failed := r.counts(); done != 1 || failed != want {
			t.Errorf("%d handshakes done and %d failed, want 1 and %d", done, failed, want)
		}
		r.goesOn()
	})
}

// TestServerDiesAtEachByte: whatever a server has said when it dies, the dialer fails at once.
func TestServerDiesAtEachByte(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		r := turn(t, communicator.Config{})
		authority := tlstest.NewAuthority(t)
		server := ofVersion(&tls.Config{Certificates: []tls.Certificate{authority.Issue(t, "127.0.0.1")}, CurvePreferences: []tls.CurveID{tls.X25519}}, version)
		server.SessionTicketsDisabled = true // or the last bytes would not matter
		d := tcp.Dialer{TLS: &tls.Config{RootCAs: authority.Pool()}}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		d.Address = listener.Addr().String()
		lives := make(chan int, 10_000)
		written := make(chan int, 1)
		var servers sync.WaitGroup
		defer servers.Wait()
		defer listener.Close()
		servers.Go(func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				left := <-lives
				tap := &tlstest.Tap{Conn: conn}
				_ = conn.SetDeadline(time.Now().Add(looptest.Patience))
				_ = tls.Server(tlstest.NewMortal(tap, left), server).Handshake()
				if left > 1_000_000 {
					written <- len(tap.Written)
				}
				die(conn, left)
			}
		})
		lives <- 1 << 30
		if err := r.call(d).outcome(); err != nil {
			t.Fatal(err)
		}
		total := <-written - 8 // the length of a signature varies
		for n := 0; n < total; n += 5 {
			lives <- n
			err := r.call(d).outcome()
			if err == nil {
				t.Errorf("connected to a server that has said %d of %d bytes", n, total)
				continue
			}
			isHandshakeError(t, err)
			if errors.Is(err, tcp.ErrHandshakeTimeout) {
				t.Errorf("the end after %d bytes was not noticed", n)
			}
		}
	})
}

// TestNotTLS: what speaks something else is turned down, and others are served.
func TestNotTLS(t *testing.T) {
	r := serveTLS(t, service{})
	noise := bytes.Repeat([]byte{0x8f, 0x13, 0xe2, 0x77, 0x05, 0xbb}, 1000)
	for name, c := range map[string]struct {
		bytes []byte
		want  string
	}{
		"HTTP":            {[]byte("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"), "does not look like a TLS handshake"},
		"noise":           {noise, "does not look like a TLS handshake"},
		"zeros":           {make([]byte, 100_000), "does not look like a TLS handshake"},
		"a huge record":   {append([]byte{22, 3, 1, 0xff, 0xff}, noise...), "oversized record"},
		"an early alert":  {[]byte{21, 3, 1, 0, 2, 2, 40}, "remote error"},
		"no hello":        {append([]byte{22, 3, 1, 0, 4}, 20, 0, 0, 0), "unexpected"},
		"a hello too big": {append([]byte{22, 3, 1, 0x40, 0}, append([]byte{1, 0xff, 0xff, 0xff}, make([]byte, 0x4000-4)...)...), "exceeds maximum"},
	} {
		conn := plain(t, r.address)
		_, _ = conn.Write(c.bytes)
		failure := r.failure()
		isHandshakeError(t, failure)
		if !strings.Contains(failure.Error(), c.want) {
			t.Errorf("%s: the error is %v, want %q in it", name, failure, c.want)
		}
		if name == "HTTP" {
			var header tls.RecordHeaderError
			if !errors.As(failure, &header) {
				t.Errorf("%v is no tls.RecordHeaderError", failure)
			}
		}
		// The end or a reset: the server has not read all of it.
		if _, err := new(bytes.Buffer).ReadFrom(conn); err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	r.goesOn()
}

// TestDialNotTLS: a server that speaks something else is an error.
func TestDialNotTLS(t *testing.T) {
	r := turn(t, communicator.Config{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var servers sync.WaitGroup
	defer servers.Wait()
	defer listener.Close()
	servers.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("220 mail.example.org ESMTP\r\n"))
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = conn.Read(make([]byte, 10_000))
			_ = conn.Close()
		}
	})
	for range 3 {
		err := r.call(tcp.Dialer{Address: listener.Addr().String(), TLS: &tls.Config{}}).outcome()
		isHandshakeError(t, err)
		if header := (tls.RecordHeaderError{}); !errors.As(err, &header) {
			t.Errorf("%v is no tls.RecordHeaderError", err)
		}
	}
}

var nonsense = connection.DataFunc(func(s *connection.Stream, data []byte) (int, error) {
	_, err := s.Write([]byte("what?"))
	s.Close()
	return len(data), err
})

// TestPlainClient: a TLS client of a server without TLS fails, and that server has seen a line of nonsense.
func TestPlainClient(t *testing.T) {
	r := turn(t, communicator.Config{})
	var address string
	r.do(func() {
		l, err := tcp.Listen(r.loop, "127.0.0.1:0", connection.Streams(nonsense, connection.StreamConfig{}), tcp.ListenConfig{})
		if err != nil {
			t.Error(err)
			return
		}
		address = l.Addr().String()
	})
	isHandshakeError(t, r.call(tcp.Dialer{Address: address, TLS: &tls.Config{}}).outcome())
}

// TestSilentClientsNeedNoGoroutine: who says nothing costs a descriptor and no goroutine.
func TestSilentClientsNeedNoGoroutine(t *testing.T) {
	r := serveTLS(t, service{})
	before := runtime.NumGoroutine()
	for range 100 {
		plain(t, r.address)
	}
	r.until("the connections", func() bool { all, _ := r.handshaking(); return all == 100 })
	if now := runtime.NumGoroutine(); now > before+5 {
		t.Errorf("%d goroutines for 100 silent clients", now-before)
	}
	r.goesOn()
}
