//go:build linux

package connection

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// Peer is the other side of a datagram socket. Peers can be compared and used as keys of a map.
type Peer struct {
	addr netip.AddrPort
}

// PeerFrom is the peer at an IP address and port.
func PeerFrom(addr netip.AddrPort) Peer { return Peer{addr} }

// PeerFromAddr is the peer at an address such as Datagram.Addr returns; for one that is no IP
// address and port it is the zero Peer, to which nothing can be sent.
func PeerFromAddr(addr net.Addr) Peer {
	a, ok := addr.(*net.UDPAddr)
	if !ok {
		return Peer{}
	}
	ap := a.AddrPort()
	return Peer{netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())}
}

// AddrPort is the peer's IP address and port.
func (p Peer) AddrPort() netip.AddrPort { return p.addr }

// String is the peer's address for people.
func (p Peer) String() string { return p.addr.String() }

// DatagramHandler takes the datagrams of a socket, on the loop's goroutine. The bytes are valid
// until it returns. An error closes the socket with that cause: one about a single datagram is to
// be handled, or logged, by the handler.
type DatagramHandler interface {
	HandleDatagram(d *Datagram, data []byte, from Peer) error
}

// DatagramFunc is a function as a DatagramHandler.
type DatagramFunc func(d *Datagram, data []byte, from Peer) error

// HandleDatagram calls f.
func (f DatagramFunc) HandleDatagram(d *Datagram, data []byte, from Peer) error {
	return f(d, data, from)
}

// DatagramConfig says how a datagram socket behaves. The zero value is right for most.
type DatagramConfig struct {
	// Name is for people. Empty: "udp" and the socket's address.
	Name string
	// Priority in the loop; smaller is served first.
	Priority int
	// Closed is called, once, when the socket is closed. Nil: a failure is logged.
	Closed func(d *Datagram, cause error)
}

// Datagram is a datagram socket in a loop. It belongs to the loop's goroutine.
type Datagram struct {
	handle    *communicator.Handle
	fd        int
	handler   DatagramHandler
	config    DatagramConfig
	peer      sys.Sockaddr // of the datagram at hand
	to        sys.Sockaddr
	received  uint64
	sent      uint64
	truncated uint64
	failed    uint64
}

// NewDatagram puts a bound datagram socket into the loop and owns its descriptor from then on, also
// when it returns an error.
func NewDatagram(loop Loop, fd int, h DatagramHandler, config DatagramConfig) (*Datagram, error) {
	mustNotBeNil(h)
	d := &Datagram{fd: fd, handler: h, config: config}
	err := sys.CheckKind(fd, sys.Datagram)
	if err == nil {
		err = sys.SetNonblock(fd)
	}
	if err == nil {
		d.handle, err = loop.Add((*datagramSource)(d), communicator.Options{Name: config.Name, Priority: config.Priority})
	}
	if err != nil {
		return nil, errors.Join(err, sys.Close(fd))
	}
	return d, nil
}

// Handle is the socket's place in its loop.
func (d *Datagram) Handle() *communicator.Handle { return d.handle }

// Addr is the socket's own address, a *net.UDPAddr.
func (d *Datagram) Addr() net.Addr {
	var sa sys.Sockaddr
	_ = sys.LocalAddr(d.fd, &sa)
	return net.UDPAddrFromAddrPort(sa.AddrPort())
}

// Received is how many datagrams have come.
func (d *Datagram) Received() uint64 { return d.received }

// Sent is how many datagrams were sent.
func (d *Datagram) Sent() uint64 { return d.sent }

// Truncated is how many datagrams were longer than the loop's buffer, and dropped.
func (d *Datagram) Truncated() uint64 { return d.truncated }

// Failed is how many passing errors the kernel has reported while reading: a host that can't be
// reached, where the socket is told of it, or a shortage of memory. They don't close the socket.
func (d *Datagram) Failed() uint64 { return d.failed }

// WriteTo sends a datagram. It never waits: with the socket's buffer full it returns an error for
// which errors.Is(err, ErrWouldBlock) holds, and the datagram is not sent.
func (d *Datagram) WriteTo(data []byte, to Peer) error {
	if !d.handle.Active() {
		return ErrClosed
	}
	if from := d.peer.AddrPort(); from == to.addr {
		return d.send(data, &d.peer, to) // an answer: the address is there as the kernel had it
	}
	d.to.SetAddrPort(to.addr)
	return d.send(data, &d.to, to)
}

func (d *Datagram) send(data []byte, sa *sys.Sockaddr, to Peer) error {
	if err := sys.SendTo(d.fd, data, sa); err != nil {
		return &net.OpError{Op: "write", Net: "udp", Source: d.Addr(), Addr: net.UDPAddrFromAddrPort(to.addr), Err: err}
	}
	d.sent++
	return nil
}

// Close closes the socket: nothing comes and nothing can be sent any more. What was sent has been
// handed to the kernel.
func (d *Datagram) Close() { d.handle.Remove(nil) }

// datagramSource is a Datagram as the loop sees it.
type datagramSource Datagram

func (src *datagramSource) FD() int { return src.fd }

func (src *datagramSource) String() string { return "udp " + (*Datagram)(src).Addr().String() }

func (src *datagramSource) Close() error {
	fd := src.fd
	src.fd = sys.NoFD
	return sys.Close(fd)
}

func (src *datagramSource) HandleClose(h *communicator.Handle, cause error) {
	if src.config.Closed != nil {
		src.config.Closed((*Datagram)(src), cause)
	} else {
		logFailure(h, slog.LevelWarn, "a datagram socket failed", cause)
	}
}

// maxDatagrams is how many datagrams are taken in one callback, and no more than a buffer's worth
// of bytes.
const maxDatagrams = 64

func (src *datagramSource) HandleRead(h *communicator.Handle) error {
	d := (*Datagram)(src)
	buf := h.Loop().ReadBuffer()
	bytes := 0
	for range maxDatagrams {
		n, err := sys.RecvFrom(d.fd, buf, &d.peer)
		if err != nil {
			if errors.Is(err, ErrWouldBlock) {
				return nil
			}
			if !passing(err) {
				return &net.OpError{Op: "read", Net: "udp", Source: d.Addr(), Err: err}
			}
			d.failed++
			return nil
		}
		d.received++
		if n > len(buf) {
			d.truncated++
			continue
		}
		if err := d.handler.HandleDatagram(d, buf[:n], Peer{d.peer.AddrPort()}); err != nil {
			return err
		}
		if bytes += n; bytes >= len(buf) || !h.Enabled() {
			return nil
		}
	}
	return nil
}

// passing tells whether an error is about one datagram, or a shortage, rather than about the
// socket.
func passing(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) ||
		errors.Is(err, syscall.EHOSTDOWN) || errors.Is(err, syscall.ENETDOWN) || errors.Is(err, syscall.EMSGSIZE) ||
		errors.Is(err, syscall.EPROTO) || outOfMemory(err)
}

// DefaultMaxMessage is the longest message in a UDP datagram, in bytes. The C++ library cuts what
// is longer.
const DefaultMaxMessage = 1024

// MessageDatagramConfig says how messages travel in datagrams. The zero value is right for most.
type MessageDatagramConfig struct {
	// MaxSend is the longest message that is sent, in bytes; Send answers ErrSize to longer ones.
	// What comes may be as long as the Parser allows. A dispatcher's INVALID may have 1000 bytes. Zero:
	// DefaultMaxMessage.
	MaxSend int
	// Form is the form of the messages that are sent. Zero: text.
	Form message.Form
	// Parser says what is accepted as a message. Zero: what message.Parse accepts.
	Parser message.Parser
	// Coverage counts the messages sent. Nil: they are not counted.
	Coverage *message.Coverage
}

// NewMessageDatagrams returns a DatagramHandler that takes each datagram as a message and hands it
// to h. The sender that h is given is a *PeerSender: it answers to where the datagram came from,
// and can be kept.
//
// A datagram that is no message is counted, and the first one logged; it is never answered, because
// anybody can forge a datagram's sender. An error that h returns is logged, once a second at most;
// the socket goes on.
func NewMessageDatagrams(h message.Handler, config MessageDatagramConfig) *MessageDatagrams {
	mustNotBeNil(h)
	setDefault(&config.MaxSend, DefaultMaxMessage)
	return &MessageDatagrams{handler: h, config: config}
}

// MessageDatagrams is the layer that takes datagrams as messages.
type MessageDatagrams struct {
	handler message.Handler
	config  MessageDatagramConfig
	skipped uint64

	failures logger.Limited
}

// Skipped is how many datagrams were no message.
func (l *MessageDatagrams) Skipped() uint64 { return l.skipped }

// HandleDatagram takes a datagram as a message.
func (l *MessageDatagrams) HandleDatagram(d *Datagram, data []byte, from Peer) error {
	m, err := l.config.Parser.ParseBytes(data)
	if err != nil {
		l.skipped++
		if l.skipped == 1 {
			d.handle.Loop().Logger().Warn("a datagram was no message", "socket", d.handle.Name(), "from", from, "error", err)
		}
		return nil
	}
	command := m.Command() // now: the handler may keep m
	if err := l.handler.HandleMessage(l.SenderTo(d, from), m); err != nil {
		l.failures.Log(d.handle.Loop().Logger(), slog.LevelWarn, "a message failed", "socket", d.handle.Name(), "from", from, "command", command, "error", err)
	}
	return nil
}

// SenderTo returns a sender of messages to a peer.
func (l *MessageDatagrams) SenderTo(d *Datagram, to Peer) *PeerSender {
	return &PeerSender{datagram: d, peer: to, layer: l}
}

// PeerSender sends messages to one peer of a datagram socket; it is a message.Sender.
type PeerSender struct {
	datagram *Datagram
	peer     Peer
	layer    *MessageDatagrams
}

// Peer is to whom the messages go.
func (p *PeerSender) Peer() Peer { return p.peer }

// Datagram is the socket.
func (p *PeerSender) Datagram() *Datagram { return p.datagram }

// Send sends a message. Its errors are a *message.Error for one that can't be written, ErrSize, and
// those of Datagram.WriteTo.
func (p *PeerSender) Send(m *message.Message) error {
	buf := p.datagram.handle.Loop().WriteBuffer()
	start := len(*buf)
	text, err := appendMessage(*buf, m, p.layer.config.Form)
	if err != nil {
		return err
	}
	if len(text)-start > p.layer.config.MaxSend {
		return ErrSize
	}
	if err := p.datagram.WriteTo(text[start:], p.peer); err != nil {
		return err
	}
	p.layer.config.Coverage.AddSent(m)
	return nil
}

// String is the peer's address, for logs.
func (p *PeerSender) String() string { return p.peer.String() }
