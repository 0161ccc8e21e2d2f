//go:build linux

package tcp_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// stubborn is a socket that takes and gives a few bytes at a time, and every other time none. With a step
// of 0 it is like any other.
type stubborn struct {
	*connection.Socket
	step          int
	reads, writes int
}

func (s *stubborn) Read(p []byte) (int, error) {
	if s.step == 0 {
		return s.Socket.Read(p)
	}
	if s.reads++; s.reads%2 == 0 {
		return 0, connection.ErrWouldBlock
	}
	return s.Socket.Read(p[:min(len(p), s.step)])
}

func (s *stubborn) Write(p []byte) (int, error) {
	if s.step == 0 {
		return s.Socket.Write(p)
	}
	if s.writes++; s.writes%2 == 0 {
		return 0, connection.ErrWouldBlock
	}
	n, err := s.Socket.Write(p[:min(len(p), s.step)])
	if err == nil && n < len(p) && s.writes%4 == 1 {
		err = connection.ErrWouldBlock // which a transport may say or not
	}
	return n, err
}

// byeOrEcho writes back what comes; behind a "bye" it ends its side.
type byeOrEcho struct{}

func (byeOrEcho) HandleData(s *connection.Stream, data []byte) (int, error) {
	n, err := s.Write(data)
	if bytes.HasSuffix(data, []byte("e")) {
		s.CloseWrite()
	}
	return n, err
}

// TestStubbornSocket: handshakes, records and the end get through a socket that takes and gives them in
// small pieces. Behind the close_notify the socket's own end follows.
func TestStubbornSocket(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, step := range []int{0, 1, 7, 1000} {
			t.Run(fmt.Sprint(step), func(t *testing.T) {
				r := turn(t, communicator.Config{})
				authority := tlstest.NewAuthority(t)
				config := ofVersion(&tls.Config{Certificates: []tls.Certificate{authority.Issue(t, "here")}, CurvePreferences: []tls.CurveID{tls.X25519}}, version)
				secure := tcp.ServeTLS(config, into(byeOrEcho{}, connection.StreamConfig{}), nil)
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				r.do(func() {
					_, err := connection.ListenOn(r.loop, l, func(loop connection.Loop, tr connection.Transport) error {
						return secure(loop, &stubborn{Socket: tr.(*connection.Socket), step: step})
					}, connection.ListenConfig{})
					if err != nil {
						t.Error(err)
					}
				})
				raw := plain(t, l.Addr().String())
				conn := tls.Client(raw, &tls.Config{RootCAs: authority.Pool(), ServerName: "here", CurvePreferences: config.CurvePreferences})
				if err := conn.Handshake(); err != nil {
					t.Fatal(err)
				}
				echoes(t, conn)
				if _, err := io.WriteString(conn, "bye"); err != nil {
					t.Fatal(err)
				}
				expect(t, conn, "bye")
				if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
					t.Errorf("behind the text: %d, %v, want the end", n, err)
				}
				if rest, err := io.ReadAll(raw); len(rest) > 0 || err != nil {
					t.Errorf("behind the close_notify: %d bytes, %v, want the end of the socket", len(rest), err)
				}
			})
		}
	})
}

// TestBesideEachOther: what connections of one loop keep while they wait is their own.
func TestBesideEachOther(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		r := serveTLS(t, service{
			config: ofVersion(&tls.Config{}, version),
			serve:  into(connection.DataFunc(echoBack), connection.StreamConfig{ReadRate: 300_000}),
		})
		var peers sync.WaitGroup
		defer peers.Wait()
		for seed := range uint64(6) {
			conn := peerOf(t, r.address, r.client())
			text := noise(rand.New(rand.NewPCG(seed, 1)), 60_000)
			peers.Go(func() {
				if _, err := conn.Write(text); err != nil {
					t.Error(err)
				}
			})
			peers.Go(func() {
				got := make([]byte, len(text))
				if n, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, text) {
					t.Errorf("%d bytes of %d came back, %v", n, len(text), err)
				}
			})
		}
	})
}
