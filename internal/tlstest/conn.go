package tlstest

import (
	"errors"
	"net"
	"sync"
	"time"
)

// ErrCut is the error of a Write behind the end of a Mortal connection.
var ErrCut = errors.New("tlstest: the connection has died")

// Mortal is a connection that dies when that many bytes have been written: the rest is lost, and Died is closed.
type Mortal struct {
	net.Conn
	Left int
	Died chan struct{}
	once sync.Once
}

// NewMortal lets conn live for so many bytes.
func NewMortal(conn net.Conn, left int) *Mortal {
	return &Mortal{Conn: conn, Left: left, Died: make(chan struct{})}
}

// Write writes what may still be written.
func (m *Mortal) Write(p []byte) (int, error) {
	n := min(len(p), m.Left)
	if n > 0 {
		if _, err := m.Conn.Write(p[:n]); err != nil {
			return 0, err
		}
		m.Left -= n
	}
	if n == len(p) {
		return n, nil
	}
	m.once.Do(func() { close(m.Died) })
	return n, ErrCut
}

// Held is a connection that keeps what is written to it from Hold on, so that a test can send it in its own way. Any goroutine may use it.
type Held struct {
	net.Conn
	mu   sync.Mutex
	held bool
	kept []byte
}

// Hold begins to keep.
func (h *Held) Hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = true
}

// Take returns what was kept, which is then kept no longer.
func (h *Held) Take() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.kept
	h.kept = nil
	return kept
}

// Write writes or keeps p.
func (h *Held) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.held {
		return h.Conn.Write(p)
	}
	h.kept = append(h.kept, p...)
	return len(p), nil
}

// SetWriteDeadline does nothing: crypto/tls would end all writing with the close_notify that is kept.
func (h *Held) SetWriteDeadline(time.Time) error { return nil }

// Tap is a connection that notes the sizes of the writes and all that was written. It is for one goroutine.
type Tap struct {
	net.Conn
	Written []byte
	Writes  []int
}

// Write writes and notes.
func (t *Tap) Write(p []byte) (int, error) {
	t.Written = append(t.Written, p...)
	t.Writes = append(t.Writes, len(p))
	return t.Conn.Write(p)
}
