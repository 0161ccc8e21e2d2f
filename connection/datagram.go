//go:build linux

package connection

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

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

// DefaultMaxDatagram is the longest datagram that a socket takes, in bytes. No datagram of UDP is
// longer.
const DefaultMaxDatagram = 64 << 10

// MaxDescriptors is how many descriptors can come along with one datagram: SCM_MAX_FD of unix(7).
const MaxDescriptors = sys.MaxDescriptors

// DatagramConfig says how a datagram socket behaves. The zero value is right for most.
type DatagramConfig struct {
	// Name is for people. Empty: the network and the socket's address.
	Name string
	// Priority in the loop; smaller is served first.
	Priority int
	// MaxSize is the longest datagram that is taken, in bytes. Longer ones are counted, see
	// Datagram.Truncated, and dropped. The socket has room for 16 of that size, of which what was
	// never used mostly costs no memory. Zero: DefaultMaxDatagram.
	MaxSize int
	// BatchWrites lets what is written to the socket while it hands over datagrams wait until the
	// last one of the callback, and go out in one call, which is cheaper for a server of many small
	// requests. The outcome of such a write is not returned: what the kernel refuses is counted, see
	// Datagram.Dropped, and logged once a second at most. False: each is sent at once.
	BatchWrites bool
	// Descriptors is how many descriptors may come along with a datagram of a Unix socket, no more
	// than MaxDescriptors: see Datagram.Descriptors. A datagram with more counts as truncated. Zero:
	// none; a peer that sends some gets EPERM, and before Linux 6.16 the kernel closes them, which can
	// block the loop for as long as the peer has set by SO_LINGER.
	Descriptors int
	// Failed is called for each passing error that the kernel reports while reading, such as
	// ECONNREFUSED when nobody listens where a connected socket sends to. It may close the socket.
	// Nil: they are counted only, see Datagram.Failed.
	Failed func(d *Datagram, err error)
	// Closed is called, once, when the socket is closed. Nil: a failure is logged.
	Closed func(d *Datagram, cause error)
}

// DatagramSocket owns the descriptor of a socket that keeps the bounds of what is written. A
// Transport is one.
type DatagramSocket interface {
	FD() int
	io.Closer
}

// The networks, as package net calls them.
const (
	networkUDP     = "udp"
	networkUnix    = "unixgram"
	networkPackets = "unixpacket"
)

// Datagram is a datagram socket in a loop. It belongs to the loop's goroutine.
//
// A callback takes up to 64 datagrams, or about 64 KiB, then others get their turn. What has come
// and waits while the socket is disabled is handed over when it is enabled again.
//
// A packet socket, of the kind SOCK_SEQPACKET, is one that is connected and ends: when its peer has
// ended, and what it had sent is handed over, it is closed with the cause nil, or with ECONNRESET if the
// peer has left unread what was sent to it. An empty packet can't be told from that end.
type Datagram struct {
	handle    *communicator.Handle
	socket    DatagramSocket
	handler   DatagramHandler
	config    DatagramConfig
	network   string
	connected bool
	remote    Peer // if it is connected

	in   *sys.Batch // of a socket that isn't connected for good; made at the first read
	next int        // of the batch, the first that was not handed over
	got  int
	buf  []byte // for a packet longer than the loop's buffer
	fds  []int  // of the datagram at hand, not taken
	room []int  // for those of a packet

	reset error // of a packet socket whose peer has gone: the cause, when all is read

	from struct { // of the datagram at hand
		peer Peer
		addr *sys.Sockaddr
	}
	last struct { // the last sender
		peer  Peer
		addr  sys.Sockaddr
		known bool
	}
	to      destination
	pending *pendingDatagrams
	corked  bool

	received  uint64
	sent      uint64
	truncated uint64
	failed    uint64
	dropped   uint64
	drops     logger.Limited
}

// NewDatagram puts a datagram socket into the loop and owns its descriptor from then on, also when
// it returns an error, and makes it non-blocking and close-on-exec. The socket is bound, or connected:
// see Datagram.Write.
func NewDatagram(loop Loop, fd int, h DatagramHandler, config DatagramConfig) (*Datagram, error) {
	mustNotBeNil(h)
	if err := sys.CheckKind(fd, sys.Datagram); err != nil {
		return nil, errors.Join(err, sys.Close(fd))
	}
	return NewDatagramOn(loop, &descriptor{fd}, h, config)
}

// NewDatagramOn is NewDatagram for a socket with an owner, which is closed in its place. It also
// takes a connected packet socket.
func NewDatagramOn(loop Loop, s DatagramSocket, h DatagramHandler, config DatagramConfig) (*Datagram, error) {
	mustNotBeNil(h)
	setDefault(&config.MaxSize, DefaultMaxDatagram)
	config.Descriptors = min(max(config.Descriptors, 0), MaxDescriptors)
	d := &Datagram{socket: s, handler: h, config: config}
	err := d.look()
	if err == nil {
		err = sys.SetNonblock(s.FD())
	}
	if err == nil {
		err = sys.CloseOnExec(s.FD())
	}
	if err == nil && d.network != networkUDP && config.Descriptors == 0 {
		err = sys.RefuseDescriptors(s.FD())
	}
	if err == nil {
		d.handle, err = loop.Add((*datagramSource)(d), communicator.Options{Name: config.Name, Priority: config.Priority})
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return d, nil
}

// look finds out what the socket is.
func (d *Datagram) look() error {
	kind, err := sys.SocketKind(d.socket.FD())
	if err != nil {
		return err
	}
	var sa sys.Sockaddr
	if err := sys.LocalAddr(d.socket.FD(), &sa); err != nil {
		return err
	}
	switch {
	case kind == sys.Datagram && sa.IsUnix():
		d.network = networkUnix
	case kind == sys.Datagram:
		d.network = networkUDP
	case kind == sys.SeqPacket && sa.IsUnix():
		d.network = networkPackets
	default:
		return os.NewSyscallError("getsockopt", syscall.EPROTOTYPE)
	}
	err = sys.RemoteAddr(d.socket.FD(), &sa)
	switch {
	case err == nil:
		d.connected, d.remote = true, d.peerOf(&sa)
	case d.network == networkPackets || !errors.Is(err, syscall.ENOTCONN):
		return err
	}
	return nil
}

// descriptor is a DatagramSocket that is nothing else.
type descriptor struct{ fd int }

func (s *descriptor) FD() int { return s.fd }

func (s *descriptor) Close() error {
	fd := s.fd
	s.fd = sys.NoFD
	return sys.Close(fd)
}

// Handle is the socket's place in its loop.
func (d *Datagram) Handle() *communicator.Handle { return d.handle }

// FD is the socket's descriptor, for its options. Whoever reads from it, or closes it, breaks the
// Datagram.
func (d *Datagram) FD() int { return d.socket.FD() }

// Addr is the socket's own address, a *net.UDPAddr or a *net.UnixAddr.
func (d *Datagram) Addr() net.Addr {
	var sa sys.Sockaddr
	_ = sys.LocalAddr(d.socket.FD(), &sa)
	if d.network != networkUDP {
		return &net.UnixAddr{Net: d.network, Name: sa.Path()}
	}
	return net.UDPAddrFromAddrPort(sa.AddrPort())
}

// Remote is whom the socket is connected to; the zero Peer if it isn't. It stays when the socket is
// closed.
func (d *Datagram) Remote() Peer { return d.remote }

// Received is how many datagrams have come.
func (d *Datagram) Received() uint64 { return d.received }

// Sent is how many datagrams were sent.
func (d *Datagram) Sent() uint64 { return d.sent }

// Truncated is how many datagrams were longer than MaxSize, or had more descriptors than may come
// or the process may open, and were dropped. The descriptors of such a datagram are closed.
func (d *Datagram) Truncated() uint64 { return d.truncated }

// Failed is how many passing errors the kernel has reported while reading: a host that can't be
// reached, where the socket is told of it, or a shortage of memory. They don't close the socket.
func (d *Datagram) Failed() uint64 { return d.failed }

// Dropped is how many datagrams could not be sent after BatchWrites had taken them.
func (d *Datagram) Dropped() uint64 { return d.dropped }

// Close closes the socket: nothing comes and nothing can be sent any more. What was sent has been
// handed to the kernel.
func (d *Datagram) Close() { d.handle.Remove(nil) }

// Descriptors takes what has come along with the datagram that is being handled: see
// DatagramConfig.Descriptors. The files are the caller's, who closes them, and close-on-exec. What
// is not taken is closed when the handler returns.
func (d *Datagram) Descriptors() []*os.File {
	if len(d.fds) == 0 {
		return nil
	}
	files := make([]*os.File, len(d.fds))
	for i, fd := range d.fds {
		files[i] = os.NewFile(uintptr(fd), "passed descriptor")
	}
	d.fds = d.fds[:0]
	return files
}

// closeDescriptors closes those that nobody has taken.
func (d *Datagram) closeDescriptors() {
	sys.Discard(d.fds)
	d.fds = d.fds[:0]
}
