package main

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

// behaviour says what a peer does with what it is sent.
type behaviour struct {
	replies []string // sent for the first line or datagram of each sender, each with a write of its own
	greet   bool     // streams: the replies come before anything was read
	hold    bool     // streams: hangs up only after the other side
	reset   bool     // streams: resets the connection instead of an orderly end
	cut     bool     // streams: ends TLS without its alert
	torn    bool     // streams: ends in the middle of a TLS record
	deaf    bool     // never reads
	records bool     // rings: has records, not a stream
	tls     *tls.Config
}

// peer is a service that ed-signal talks to. It ends with the test.
type peer struct {
	address  string
	received chan string  // what each sender has sent, all of it for a stream
	listener net.Listener // of a stream
	close    func()
}

// newPeer starts a peer of a type of --type, at a free port, or a socket in a folder; without one the socket is abstract.
func newPeer(network, dir string, b behaviour) (*peer, error) {
	address := "127.0.0.1:0"
	switch {
	case network != receiver.UDP && network != receiver.TCP && dir == "":
		address = "@ed-signal-test-" + rand.Text()
	case network != receiver.UDP && network != receiver.TCP:
		address = filepath.Join(dir, "socket")
	}
	p := &peer{received: make(chan string, 100)}
	switch network {
	case receiver.UDP, receiver.Unixgram:
		conn, err := net.ListenPacket(network, address)
		if err != nil {
			return nil, err
		}
		p.address = conn.LocalAddr().String()
		p.serveDatagrams(conn, b)
	case receiver.Shm:
		if err := p.serveRings(address, b); err != nil {
			return nil, err
		}
	default:
		listener, err := net.Listen(network, address)
		if err != nil {
			return nil, err
		}
		p.address, p.listener = listener.Addr().String(), listener
		p.serveStreams(listener, b)
	}
	return p, nil
}

func (p *peer) serveDatagrams(conn net.PacketConn, b behaviour) {
	var wait sync.WaitGroup
	p.close = sync.OnceFunc(func() {
		_ = conn.Close()
		wait.Wait()
	})
	if b.deaf {
		return
	}
	wait.Go(func() {
		buffer := make([]byte, 1<<17)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			p.received <- string(buffer[:n])
			for _, text := range b.replies {
				_, _ = conn.WriteTo([]byte(text), from)
			}
		}
	})
}

func (p *peer) serveStreams(listener net.Listener, b behaviour) {
	var wait sync.WaitGroup
	done := make(chan struct{})
	p.close = sync.OnceFunc(func() {
		close(done)
		_ = listener.Close()
		wait.Wait()
	})
	if b.deaf {
		return
	}
	wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wait.Go(func() {
				<-done
				_ = conn.Close()
			})
			wait.Go(func() { p.received <- serveStream(conn, b) })
		}
	})
}

// serveStream serves one connection, and returns what it has read.
func serveStream(conn net.Conn, b behaviour) string {
	plain := conn
	if b.tls != nil {
		conn = tls.Server(conn, b.tls)
	}
	reader := bufio.NewReader(conn)
	var line string
	if !b.greet {
		var err error
		if line, err = reader.ReadString('\n'); err != nil {
			_ = conn.Close()
			return line + "!" + err.Error()
		}
	}
	for _, text := range b.replies {
		_, _ = io.WriteString(conn, text)
	}
	switch {
	case b.reset:
		if tcp, ok := plain.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = plain.Close()
		return line
	case b.cut:
		_ = plain.Close()
		return line
	case b.torn:
		_, _ = io.WriteString(plain, "\x17\x03\x03\x00\x50abc") // application data of 80 bytes
		_ = plain.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, plain)
		_ = plain.Close()
		return line
	case !b.hold:
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}
	rest, _ := io.ReadAll(reader)
	_ = conn.Close()
	return line + string(rest)
}

// got returns what the next sender has sent. What was sent with datagrams before is there already.
func (p *peer) got() string { return <-p.received }

// startPeer starts a peer for a test.
func startPeer(tb testing.TB, network string, b behaviour) *peer {
	tb.Helper()
	dir := ""
	if network != receiver.UDP && network != receiver.TCP {
		dir = tb.TempDir()
	}
	p, err := newPeer(network, dir, b)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.close)
	return p
}

// mark is what mark sends, to tell that nothing else was sent before.
const mark = "MARK"

func (p *peer) mark() error {
	conn, err := net.Dial(receiver.UDP, p.address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = conn.Write([]byte(mark))
	return err
}
