//go:build linux

package tcp_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// counted is a connection that counts what is read from it. It is for one goroutine.
type counted struct {
	net.Conn
	read int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read += n
	return n, err
}

// answering is a handler that answers and, when its peer has ended, says so and ends in a way of the test's.
type answering struct {
	end func(s *connection.Stream) // nil: it has no say
}

func (answering) HandleData(s *connection.Stream, data []byte) (int, error) { return s.Write(data) }

// goodbye is one that has.
type goodbye struct{ answering }

func (g goodbye) HandleEOF(s *connection.Stream, _ []byte) error {
	g.end(s)
	return nil
}

// TestCloseNotifyAfterPeersEnd: a peer that ends first is answered by a close_notify before the socket ends, so that it can tell that from
// a cut; crypto/tls itself makes no difference between the two.
func TestCloseNotifyAfterPeersEnd(t *testing.T) {
	for name, c := range map[string]struct {
		handler connection.StreamHandler
		text    string
	}{
		"by default": {answering{}, ""},
		"Close":      {goodbye{answering{(*connection.Stream).Close}}, ""},
		"text": {goodbye{answering{func(s *connection.Stream) {
			_, _ = io.WriteString(s, "goodbye")
			s.Close()
		}}}, "goodbye"},
		"CloseWrite": {goodbye{answering{func(s *connection.Stream) {
			s.CloseWrite()
			s.Close()
		}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, version uint16) {
				r := serveTLS(t, service{
					config: ofVersion(&tls.Config{SessionTicketsDisabled: true}, version),
					serve:  into(c.handler, connection.StreamConfig{}),
				})
				raw := &counted{Conn: plain(t, r.address)}
				conn := tls.Client(raw, r.client())
				echoes(t, conn)
				before := raw.read
				echoes(t, conn)
				overhead := raw.read - before - len("hello") // of a record of text
				before = raw.read
				if err := conn.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				if text, err := io.ReadAll(conn); err != nil || string(text) != c.text {
					t.Errorf("read %q, %v", text, err)
				}
				end := raw.read - before
				if c.text != "" {
					end -= overhead + len(c.text)
				}
				if want := overhead + len(tlstest.CloseNotify); end != want {
					t.Errorf("%d bytes came at the end, want a close_notify of %d", end, want)
				}
			})
		})
	}
}

// TestCloseNotifyWhenIdle: a peer that was idle for too long is told an end, and not cut off.
func TestCloseNotifyWhenIdle(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		r := serveTLS(t, service{
			config: ofVersion(&tls.Config{SessionTicketsDisabled: true}, version),
			serve:  into(answering{}, connection.StreamConfig{IdleTimeout: 30 * time.Millisecond}),
		})
		raw := &counted{Conn: plain(t, r.address)}
		conn := tls.Client(raw, r.client())
		echoes(t, conn)
		before := raw.read
		echoes(t, conn)
		overhead := raw.read - before - len("hello")
		before = raw.read
		if text, err := io.ReadAll(conn); err != nil || len(text) > 0 {
			t.Errorf("read %q, %v", text, err)
		}
		if end, want := raw.read-before, overhead+len(tlstest.CloseNotify); end != want {
			t.Errorf("%d bytes came at the end, want a close_notify of %d", end, want)
		}
	})
}

// TestNewKeyAfterCloseWrite: a peer may ask for a new key of a side that has ended its own; that reads on.
func TestNewKeyAfterCloseWrite(t *testing.T) {
	p := newPourer(t, func(s *connection.Stream) error {
		_, err := io.WriteString(s, "bye")
		s.CloseWrite()
		return err
	})
	r := serveTLS(t, service{config: &tls.Config{SessionTicketsDisabled: true}, serve: into(p, connection.StreamConfig{})})
	peer := keyedPeer(t, r, plain(t, r.address))
	if text, err := io.ReadAll(peer); string(text) != "bye" || err != nil {
		t.Fatalf("read %q, %v", text, err)
	}
	want := ""
	for _, text := range []string{"one,", "two,", "three"} {
		peer.send(t, peer.sender.Text(text))
		want += text
		r.until(text, func() bool { return p.got.String() == want || len(p.ended) > 0 })
		peer.send(t, peer.sender.KeyUpdate(true))
		r.do(func() {})
	}
	if len(p.ended) > 0 {
		t.Fatalf("ended with %v", <-p.ended)
	}
	if rest, err := io.ReadAll(peer.raw); len(rest) > 0 || err != nil {
		t.Errorf("behind the end came %d bytes, %v", len(rest), err)
	}
	peer.send(t, peer.sender.Record(tlstest.Alert, tlstest.CloseNotify, 0))
	if err := looptest.Await(t, p.ended, "the end"); err != nil || p.got.String() != want {
		t.Errorf("got %q, ended with %v", p.got.String(), err)
	}
}

// TestHandshakeTimeoutIsTimeout: a handshake that takes too long ends, on either side, with a net.Error that says so.
func TestHandshakeTimeoutIsTimeout(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	client := turn(t, communicator.Config{}).call(tcp.Dialer{Address: silent.Addr().String(), TLS: &tls.Config{}, Timeout: 30 * time.Millisecond})
	server := serveTLS(t, service{shakes: tcp.HandshakeConfig{Timeout: 30 * time.Millisecond}})
	_ = plain(t, server.address)
	for side, err := range map[string]error{"client": client.outcome(), "server": server.failure()} {
		isHandshakeError(t, err)
		var netError net.Error
		if !errors.As(err, &netError) || !netError.Timeout() {
			t.Errorf("%s: %v is no timeout", side, err)
		}
		if !errors.Is(err, tcp.ErrHandshakeTimeout) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: ended with %v", side, err)
		}
	}
}
