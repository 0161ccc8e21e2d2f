//go:build linux

package tcp_test

import (
	"crypto/tls"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// FuzzTLSRecords sends any bytes to a TLS server in any pieces and then ends: as a handshake, as records
// behind one, or as what is in records behind one. The server neither panics nor stalls, and nothing is
// left.
func FuzzTLSRecords(f *testing.F) {
	hello := helloOf(f)
	for stage := range byte(3) {
		f.Add(stage, uint64(1), []byte{})
		f.Add(stage, uint64(2), []byte{22, 3, 1, 0, 5, 1, 0, 0, 1, 0})
		f.Add(stage, uint64(3), []byte{23, 3, 3, 0, 4, 0, 0, 0, 0})
		f.Add(stage, uint64(4), []byte{21, 2, 1, 0, 23, 3, 'a', 'b', 'c', 22, 5, 24, 0, 0, 1, 1, 22, 1, 0})
		f.Add(stage, uint64(5), []byte{23, 0, 20, 1, 1, 22, 6, 4, 0, 0, 2, 0, 0})
		f.Add(stage, uint64(6), hello)
		f.Add(stage, uint64(7), hello[:len(hello)/2])
	}
	r := turn(f, communicator.Config{})
	authority := tlstest.NewAuthority(f)
	over := make(chan error, 10)
	shakes := tcp.NewHandshakes(tcp.HandshakeConfig{Failed: func(_ net.Addr, err error) { over <- err }})
	config := &tls.Config{Certificates: []tls.Certificate{authority.Issue(f, "here")}}
	serve := tcp.ServeTLS(config, into(closing{over}, connection.StreamConfig{}), shakes)
	f.Fuzz(func(t *testing.T, stage byte, seed uint64, data []byte) {
		if len(data) > 20_000 {
			t.Skip()
		}
		random := rand.New(rand.NewPCG(seed, 0))
		socket, conn := socketPair(t)
		looptest.Do(t, r.loop, func() {
			if err := serve(r.loop, socket); err != nil {
				t.Error(err)
			}
		})
		if stage %= 3; stage > 0 {
			keys := &tlstest.KeyLog{}
			client := tls.Client(conn, &tls.Config{RootCAs: authority.Pool(), ServerName: "here", KeyLogWriter: keys, CurvePreferences: []tls.CurveID{tls.X25519}})
			if err := client.Handshake(); err != nil {
				t.Fatal(err)
			}
			if stage == 2 {
				data = contents(keys.ClientSender(t, client.ConnectionState()), data)
			}
		}
		for len(data) > 0 {
			n := 1 + random.IntN(len(data))
			if _, err := conn.Write(data[:n]); err != nil {
				break // the server has had enough
			}
			data = data[n:]
		}
		_ = conn.CloseWrite()
		_ = looptest.Await(t, over, "the end of the connection")
		looptest.Do(t, r.loop, func() {
			if left := len(r.loop.Sources()); left != 1 {
				t.Errorf("%d sources are left", left-1)
			}
		})
	})
}

// contents makes records: of each the type, the length and the content are in data.
func contents(s *tlstest.Sender, data []byte) (records []byte) {
	for len(data) >= 2 {
		kind, n := data[0], min(int(data[1]), len(data)-2)
		records = append(records, s.Record(kind, data[2:2+n], 0)...)
		data = data[2+n:]
	}
	return records
}

// socketPair is a transport and the blocking other side of it. Unlike those of TCP there is no end of them
// in an hour of fuzzing.
func socketPair(tb testing.TB) (*connection.Socket, *net.UnixConn) {
	tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	socket, err := connection.NewSocket(fds[0])
	if err != nil {
		tb.Fatal(err)
	}
	file := os.NewFile(uintptr(fds[1]), "peer")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(looptest.Patience))
	return socket, conn.(*net.UnixConn)
}
