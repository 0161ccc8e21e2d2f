//go:build linux

package tcp_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
)

// These tests are of crypto/tls alone. They pin what TLSConn relies on and crypto/tls doesn't promise in
// so many words: where one fails under a new version of Go, tls.go has to be looked at.

// nothingYetError is as a test wants it.
type nothingYetError struct{ timeout, temporary bool }

func (nothingYetError) Error() string     { return "nothing yet" }
func (e nothingYetError) Timeout() bool   { return e.timeout }
func (e nothingYetError) Temporary() bool { return e.temporary }

var temporary = nothingYetError{timeout: true, temporary: true}

// memory is a net.Conn to another one. It blocks until settled, so that a handshake can be made.
type memory struct {
	net.Conn
	other  *memory
	mu     sync.Mutex
	more   *sync.Cond
	in     []byte
	step   int   // at most so many bytes a read; 0: any number
	empty  error // of a read that has nothing; nil: it blocks
	refuse error // of a write
}

func memories() (a, b *memory) {
	a, b = &memory{}, &memory{}
	a.other, b.other = b, a
	a.more, b.more = sync.NewCond(&a.mu), sync.NewCond(&b.mu)
	return a, b
}

func (m *memory) Read(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.in) == 0 && m.empty == nil {
		m.more.Wait()
	}
	if len(m.in) == 0 {
		return 0, m.empty
	}
	if m.step > 0 {
		p = p[:min(len(p), m.step)]
	}
	n := copy(p, m.in)
	m.in = m.in[n:]
	return n, nil
}

func (m *memory) Write(p []byte) (int, error) {
	if m.refuse != nil {
		return 0, m.refuse
	}
	m.other.give(p)
	return len(p), nil
}

// give puts something into what is read.
func (m *memory) give(p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.in = append(m.in, p...)
	m.more.Broadcast()
}

// take takes what has not been read.
func (m *memory) take() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.in
	m.in = nil
	return taken
}

// wait waits until there is something to read.
func (m *memory) wait() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.in) == 0 {
		m.more.Wait()
	}
}

// fail lets reads fail that have nothing, also one that blocks.
func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.empty = err
	m.more.Broadcast()
}

// As for TLSConn deadlines do nothing.
func (m *memory) SetDeadline(time.Time) error      { return nil }
func (m *memory) SetReadDeadline(time.Time) error  { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }

// pinned is a connection of crypto/tls in memory, whose handshake is over.
type pinned struct {
	tb             testing.TB
	client, server *tls.Conn
	toClient       *memory // what the client reads from
	toServer       *memory
	keys           *tlstest.KeyLog
}

func pin(tb testing.TB, version uint16) *pinned {
	tb.Helper()
	authority := tlstest.NewAuthority(tb)
	c, s := memories()
	p := &pinned{tb: tb, toClient: c, toServer: s, keys: &tlstest.KeyLog{}}
	p.client = tls.Client(c, ofVersion(&tls.Config{RootCAs: authority.Pool(), ServerName: "here", KeyLogWriter: p.keys}, version))
	p.server = tls.Server(s, ofVersion(&tls.Config{Certificates: []tls.Certificate{authority.Issue(tb, "here")}}, version))
	done := make(chan error, 1)
	go func() { done <- p.server.Handshake() }()
	if err := errors.Join(p.client.Handshake(), looptest.Await(tb, done, "a handshake in memory")); err != nil {
		tb.Fatal(err)
	}
	c.empty, s.empty = temporary, temporary
	return p
}

// records are those that the server makes of a text.
func (p *pinned) records(text string) []byte {
	p.tb.Helper()
	before := p.toClient.take() // tickets, of TLS 1.3
	if _, err := io.WriteString(p.server, text); err != nil {
		p.tb.Fatal(err)
	}
	return append(before, p.toClient.take()...)
}

// nothingComes makes sure that a read has nothing now and may have something later.
func nothingComes(tb testing.TB, conn *tls.Conn, where string) {
	tb.Helper()
	if n, err := conn.Read(make([]byte, 100)); n != 0 || !errors.Is(err, temporary) {
		tb.Fatalf("%s: a Read returns %d, %v, want the net.Conn's own temporary error", where, n, err)
	}
}

func eachVersion(t *testing.T, test func(t *testing.T, version uint16)) {
	t.Helper()
	for name, version := range versions {
		t.Run(name, func(t *testing.T) { test(t, version) })
	}
}

// TestCryptoReadResumes: a Read that failed with a temporary net.Error goes on where it was, at each byte
// of the records, those of TLS 1.3 with tickets among them.
func TestCryptoReadResumes(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		p := pin(t, version)
		records := p.records("hello")
		for i := range records[:len(records)-1] {
			p.toClient.give(records[i : i+1])
			nothingComes(t, p.client, fmt.Sprintf("after %d bytes", i+1))
		}
		p.toClient.give(records[len(records)-1:])
		expect(t, p.client, "hello")
		nothingComes(t, p.client, "after the record")
		p.toClient.give(p.records("again"))
		expect(t, p.client, "again")
	})
}

// TestCryptoReadsTogether: records that came in one read are returned one by one without another read, and
// what is left of the last one is kept.
func TestCryptoReadsTogether(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		p := pin(t, version)
		records := append(append(p.records("one"), p.records("two")...), p.records("three")...)
		p.toClient.give(records[:len(records)-1])
		expect(t, p.client, "one")
		expect(t, p.client, "two")
		if rest := p.toClient.take(); len(rest) > 0 {
			t.Errorf("%d bytes are left in the net.Conn: crypto/tls no longer reads ahead", len(rest))
			p.toClient.give(rest)
		}
		nothingComes(t, p.client, "before the end of the last record")
		p.toClient.give(records[len(records)-1:])
		expect(t, p.client, "three")
	})
}

// TestCryptoReadErrorsLast: any other error ends the reading, so errNothing has to be temporary.
func TestCryptoReadErrorsLast(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for name, failure := range map[string]error{
			"a plain error":    errors.New("an error of the test"),
			"only a timeout":   nothingYetError{timeout: true},
			"neither":          nothingYetError{},
			"the end in vain":  io.EOF,
			"the end too soon": io.ErrUnexpectedEOF,
		} {
			p := pin(t, version)
			_ = p.records("")
			p.toClient.empty = failure
			if _, err := p.client.Read(make([]byte, 100)); err == nil {
				t.Errorf("%s: a Read doesn't fail", name)
			}
			p.toClient.empty = temporary
			p.toClient.give(p.records("hello"))
			if n, err := p.client.Read(make([]byte, 100)); n != 0 || err == nil || errors.Is(err, temporary) {
				t.Errorf("%s is no longer the end of reading: another Read returns %d, %v", name, n, err)
			}
		}
	})
}

// TestCryptoWriteErrorsLast: any error ends the writing, also a temporary one. So no write of a TLSConn may meet one.
func TestCryptoWriteErrorsLast(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for name, failure := range map[string]error{"a temporary error": temporary, "a plain error": errors.New("an error of the test")} {
			p := pin(t, version)
			p.toServer.refuse, p.toClient.refuse = failure, failure
			if _, err := io.WriteString(p.client, "hello"); err == nil {
				t.Errorf("%s: a Write doesn't fail", name)
			}
			p.toClient.refuse = nil
			if _, err := io.WriteString(p.client, "hello"); err == nil {
				t.Errorf("%s is no longer the end of writing: TLSConn could write without gathering", name)
			}
		}
	})
}

// TestCryptoHandshakeErrorsLast: a handshake that was left can't be resumed, which is why it has a goroutine.
func TestCryptoHandshakeErrorsLast(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		authority := tlstest.NewAuthority(t)
		c, s := memories()
		c.empty = temporary
		client := tls.Client(c, ofVersion(&tls.Config{RootCAs: authority.Pool(), ServerName: "here"}, version))
		server := tls.Server(s, &tls.Config{Certificates: []tls.Certificate{authority.Issue(t, "here")}})
		if err := client.Handshake(); !errors.Is(err, temporary) {
			t.Fatalf("the handshake ends with %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- server.Handshake() }()
		c.wait()
		if err := client.Handshake(); err == nil {
			t.Error("a handshake that was left goes on: it could be made on the loop")
		}
		s.fail(io.EOF)
		_ = looptest.Await(t, done, "the server's end")
	})
}

// TestCryptoCloseWrite: close_notify is written with deadlines that do nothing; afterwards only writing has ended.
func TestCryptoCloseWrite(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		p := pin(t, version)
		p.toClient.take()
		if err := p.server.CloseWrite(); err != nil {
			t.Fatalf("CloseWrite: %v", err)
		}
		if n, err := p.client.Read(make([]byte, 100)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("the other side reads %d, %v, want the end", n, err)
		}
		if _, err := io.WriteString(p.client, "hello"); err != nil {
			t.Errorf("the other side can't write: %v", err)
		}
		expect(t, p.server, "hello")
		if _, err := io.WriteString(p.server, "hello"); err == nil {
			t.Error("a Write behind CloseWrite is no error")
		}
	})
}

// TestCryptoNewKeys: a new key between records, whole or one byte at a time, stops nothing, and is
// answered from within a Read.
func TestCryptoNewKeys(t *testing.T) {
	for name, step := range map[string]int{"whole": 0, "bytes": 1} {
		t.Run(name, func(t *testing.T) {
			p := pin(t, tls.VersionTLS13)
			s := p.keys.ClientSender(t, p.client.ConnectionState())
			p.toServer.step = step
			var records []byte
			records = append(records, s.Text("one")...)
			records = append(records, s.KeyUpdate(true)...)
			records = append(records, s.Text("two")...)
			if step == 0 {
				p.toServer.give(records)
			} else {
				go func() {
					for _, b := range records {
						p.toServer.give([]byte{b})
					}
				}()
			}
			p.toClient.take()
			for got := ""; got != "onetwo"; {
				buf := make([]byte, 100)
				n, err := p.server.Read(buf)
				if got += string(buf[:n]); err != nil && !errors.Is(err, temporary) {
					t.Fatalf("after %q: %v", got, err)
				}
			}
			answer := p.toClient.take()
			if len(answer) == 0 {
				t.Error("the new key was not answered within Read")
			}
			p.toClient.give(answer)
			p.toClient.give(p.records("three"))
			expect(t, p.client, "three")
		})
	}
}
