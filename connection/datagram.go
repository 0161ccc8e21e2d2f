//go:build linux

package connection

import (
	"errors"
	"net"
	"net/netip"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// Peer is the other side of a datagram socket. Peers can be compared and used as keys of a map.
type Peer struct {
	addr netip.AddrPort
}

// PeerFrom is the peer at an IP address and port.
func PeerFrom(addr netip.AddrPort) Peer { return Peer{addr} }

// AddrPort is the peer's IP address and port.
func (p Peer) AddrPort() netip.AddrPort { return p.addr }

// String is the peer's address for people.
func (p Peer) String() string { return p.addr.String() }

// DatagramHandler takes the datagrams of a socket, on the loop's goroutine. The bytes are valid until
// it returns. An error closes the socket with that cause: one about a single datagram is to be handled,
// or logged, by the handler.
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

// NewDatagram puts a bound datagram socket into the loop and owns its descriptor from then on, also when it
// returns an error.
func NewDatagram(loop Loop, fd int, h DatagramHandler, config DatagramConfig) (*Datagram, error) {
	d := &Datagram{fd: fd, handler: h, config: config}
	var err error
	if err = sys.SetNonblock(fd); err == nil {
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

// Failed is how many errors of earlier datagrams the kernel has reported: a port that nobody listens on, a
// host that can't be reached. They don't close the socket.
func (d *Datagram) Failed() uint64 { return d.failed }

// WriteTo sends a datagram. It never waits: with the socket's buffer full it returns an error for which
// errors.Is(err, ErrWouldBlock) holds, and the datagram is not sent.
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

// Close closes the socket: nothing comes and nothing can be sent any more. What was sent has been handed to the kernel.
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
	switch {
	case src.config.Closed != nil:
		src.config.Closed((*Datagram)(src), cause)
	case cause != nil && !errors.Is(cause, communicator.ErrClosed):
		h.Loop().Logger().Warn("a datagram socket failed", "socket", h.Name(), "error", cause)
	}
}

// maxDatagrams is how many datagrams are taken in one callback, and no more than a buffer's worth of bytes.
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
			d.failed++ // the kernel reports each such error once
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

// DefaultMaxMessage is the longest message in a UDP datagram, in bytes. The C++ library cuts what is
// longer.
const DefaultMaxMessage = 1024

// MessageDatagramConfig says how messages travel in datagrams. The zero value is right for most.
type MessageDatagramConfig struct {
	// MaxSize is the longest message that is sent, in bytes; Send answers ErrSize to longer ones. What comes
	// may have any length. Zero: DefaultMaxMessage.
	MaxSize int
}

// MessageDatagrams returns a DatagramHandler that takes each datagram as a message and hands it to h; the
// sender that h is given answers to where the datagram came from, and can be kept.
//
// A datagram that is no message is counted, and the first one logged; it is never answered, because
// anybody can forge a datagram's sender. An error that h returns is logged; the socket goes on.
func MessageDatagrams(h message.Handler, config MessageDatagramConfig) *DatagramMessages {
	setDefault(&config.MaxSize, DefaultMaxMessage)
	return &DatagramMessages{handler: h, config: config}
}

// DatagramMessages is the layer that MessageDatagrams makes.
type DatagramMessages struct {
	handler message.Handler
	config  MessageDatagramConfig
	skipped uint64
}

// Skipped is how many datagrams were no message.
func (l *DatagramMessages) Skipped() uint64 { return l.skipped }

// HandleDatagram takes a datagram as a message.
func (l *DatagramMessages) HandleDatagram(d *Datagram, data []byte, from Peer) error {
	m := new(message.Message)
	if err := m.UnmarshalText(data); err != nil {
		l.skipped++
		if l.skipped == 1 {
			d.handle.Loop().Logger().Warn("a datagram was no message", "socket", d.handle.Name(), "from", from, "error", err)
		}
		return nil
	}
	if err := l.handler.HandleMessage(l.SenderTo(d, from), m); err != nil {
		d.handle.Loop().Logger().Warn("a message failed", "socket", d.handle.Name(), "from", from, "message", m, "error", err)
	}
	return nil
}

// SenderTo returns a Sender of messages to a peer.
func (l *DatagramMessages) SenderTo(d *Datagram, to Peer) message.Sender {
	return &peerSender{datagram: d, to: to, max: l.config.MaxSize}
}

type peerSender struct {
	datagram *Datagram
	to       Peer
	max      int
}

func (p *peerSender) Send(m *message.Message) error {
	buf := p.datagram.handle.Loop().WriteBuffer()
	start := len(*buf)
	text, err := m.AppendText(*buf)
	if err != nil {
		return err
	}
	if len(text)-start > p.max {
		return ErrSize
	}
	return p.datagram.WriteTo(text[start:], p.to)
}

// String is the peer's address, for logs.
func (p *peerSender) String() string { return p.to.String() }
