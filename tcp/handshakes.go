//go:build linux

package tcp

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
)

const (
	// DefaultHandshakeTimeout is how long a TLS handshake may take.
	DefaultHandshakeTimeout = 10 * time.Second
	// DefaultMaxHandshakes is how many TLS handshakes may be under way at once, each on a goroutine.
	DefaultMaxHandshakes = 1000
)

// HandshakeConfig says how TLS handshakes are made. The zero value is right for most.
type HandshakeConfig struct {
	// Timeout is how long one may take, with its time in the queue. Zero: DefaultHandshakeTimeout. That of
	// a Dialer is part of its Timeout, too.
	Timeout time.Duration
	// Max is how many may be under way at once; the others wait, without a goroutine. One whose peer has said
	// nothing yet is not under way, and one that has kept the service waiting for a second gives way to others, with
	// ErrCrowded. Zero: DefaultMaxHandshakes.
	Max int
	// Processors is how many of them may compute at the same time, so that a storm of new connections
	// leaves room for the loop. What the functions of the tls.Config do counts as computing: if they wait, for a
	// network or a disk, there should be more. Zero: one less than GOMAXPROCS, and one at least.
	Processors int
	// Priority is that of the handshakes in the loop; smaller is served first.
	Priority int
	// Failed is called on the loop's goroutine for each accepted connection whose handshake has failed or
	// whose time was up. Nil: it is logged, once a second at most.
	Failed func(peer net.Addr, err error)
}

// Handshakes makes the TLS handshakes of one loop, each on a goroutine of its own, because crypto/tls can't leave one
// and come back. A listener makes its own; dialers that share one share its limits. It belongs to the
// loop's goroutine.
type Handshakes struct {
	config     HandshakeConfig
	processors chan struct{} // one in it for each goroutine that computes
	running    []*handshake  // those on a goroutine, in the order of their beginning
	waiting    []*handshake
	done       uint64
	failed     uint64
	failures   logger.Limited
}

// NewHandshakes makes a place for handshakes.
func NewHandshakes(config HandshakeConfig) *Handshakes {
	if config.Timeout <= 0 {
		config.Timeout = DefaultHandshakeTimeout
	}
	if config.Max <= 0 {
		config.Max = DefaultMaxHandshakes
	}
	if config.Processors <= 0 {
		config.Processors = max(1, runtime.GOMAXPROCS(0)-1)
	}
	return &Handshakes{config: config, processors: make(chan struct{}, config.Processors)}
}

// Done is how many handshakes have succeeded.
func (p *Handshakes) Done() uint64 { return p.done }

// Failed is how many handshakes have failed, or have taken too long. Those that a dialer or a shutdown has
// ended don't count.
func (p *Handshakes) Failed() uint64 { return p.failed }

// ServeTLS returns a Serve that secures each transport with TLS, as a server, and then lets serve put a
// layer on it. The config is crypto/tls's own: it needs a certificate. Listen does this by itself for a
// ListenConfig with TLS; use it for listeners from elsewhere. The Handshakes may be nil.
func ServeTLS(config *tls.Config, serve connection.Serve, h *Handshakes) connection.Serve {
	if serve == nil {
		panic("tcp: nil Serve")
	}
	if h == nil {
		h = NewHandshakes(HandshakeConfig{})
	}
	return func(loop connection.Loop, t connection.Transport) error {
		var peer net.Addr
		if a, ok := t.(addresses); ok {
			peer = a.RemoteAddr()
		}
		_, err := h.begin(loop, t, tls.Server, config, time.Time{}, func(c *TLSConn, err error) {
			switch {
			case err == nil:
				if err := serve(loop, c); err != nil {
					h.failures.Log(loop.Logger(), slog.LevelWarn, "a connection was not served", "peer", peer, "error", err)
				}
			case !errors.Is(err, communicator.ErrClosed):
				h.report(loop, peer, err)
			}
		})
		return err
	}
}

// report tells of an accepted connection that was not secured.
func (p *Handshakes) report(loop connection.Loop, peer net.Addr, err error) {
	if p.config.Failed != nil {
		p.config.Failed(peer, err)
		return
	}
	p.failures.Log(loop.Logger(), slog.LevelInfo, "a connection was not secured", "peer", peer, "error", err)
}

// crowded is how long a handshake may wait for its peer while others have no place.
const crowded = time.Second

// makeRoom gives up the handshake that has waited for its peer for the longest time, if that is long.
// Otherwise who sends one byte and no more would keep a place until the time limit.
func (p *Handshakes) makeRoom() {
	now := time.Now()
	var longest *handshake
	for _, h := range p.running {
		if h.state == running && !h.since.IsZero() && now.Sub(h.since) >= crowded && (longest == nil || h.since.Before(longest.since)) {
			longest = h
		}
	}
	if longest != nil {
		longest.handle.Remove(ErrCrowded)
	}
}

// next lets those begin that have waited.
func (p *Handshakes) next() {
	for len(p.running) < p.config.Max && len(p.waiting) > 0 {
		h := p.waiting[0]
		p.waiting[0] = nil
		p.waiting = p.waiting[1:]
		if h.state == queued {
			h.start()
		}
	}
	if len(p.waiting) == 0 {
		p.waiting = nil
	}
}
